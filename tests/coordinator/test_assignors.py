"""The assignors: what every assignment must be, against brute force where that can be done.

The interop tests hold them against Kafka's own.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest

from streamlog.coordinator.assignors import ASSIGNORS, Assignment, AssignmentRequest, MemberRequest
from streamlog.protocol import Uuid

TOPICS = [Uuid(bytes([number]) * 16) for number in range(1, 5)]
CASES = 300


def members(*topics: int, count: int, **owned: frozenset[tuple[Uuid, int]]) -> AssignmentRequest:
    """Members a, b, ... that read the same topics, of so many partitions each."""
    counts = dict(zip(TOPICS, topics, strict=False))
    names = [chr(ord("a") + number) for number in range(count)]
    return AssignmentRequest(
        tuple(
            MemberRequest(name, frozenset(counts), owned.get(name, frozenset())) for name in names
        ),
        counts,
    )


def numbers(assignment: Assignment, topic: int = 0) -> dict[str, list[int]]:
    return {
        member: sorted(p for topic_id, p in partitions if topic_id == TOPICS[topic])
        for member, partitions in assignment.items()
    }


def random_request(rng: random.Random, *, alike: bool) -> AssignmentRequest:
    topics = TOPICS[: rng.randint(1, 3)]
    counts = {topic: rng.randint(1, 4) for topic in topics}
    free = [(topic, p) for topic in topics for p in range(counts[topic] + 1)]
    rng.shuffle(free)
    read = frozenset(rng.sample(topics, rng.randint(1, len(topics))))
    found = []
    for number in range(rng.randint(1, 4)):
        if not alike:
            read = frozenset(rng.sample(topics, rng.randint(0, len(topics))))
        owned = frozenset(free.pop() for _ in range(min(rng.randint(0, 5), len(free))))
        instance = f"i{9 - number}" if rng.random() < 0.3 else None
        found.append(MemberRequest(f"m{number}", read, owned, instance))
    return AssignmentRequest(tuple(found), counts)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("name", ASSIGNORS)
def test_everything_that_is_read_is_assigned_once(name: str, alike: bool) -> None:
    rng = random.Random(f"{name} {alike}")
    for _ in range(CASES):
        request = random_request(rng, alike=alike)
        assignment = ASSIGNORS[name](request)
        read = {topic: m for m in request.members for topic in m.topics}
        wanted = {(topic, p) for topic in read for p in range(request.partition_counts[topic])}
        assert Counter(p for has in assignment.values() for p in has) == Counter(wanted)
        for member in request.members:
            assert {topic for topic, _ in assignment[member.member_id]} <= member.topics


def unevenness(loads: tuple[int, ...]) -> int:
    return sum(load * load for load in loads)


def best_unevenness(request: AssignmentRequest) -> int:
    """Of all assignments that there are."""
    takers = [
        [n for n, member in enumerate(request.members) if topic in member.topics]
        for topic, count in request.partition_counts.items()
        for _ in range(count)
    ]
    reached = {(0,) * len(request.members)}
    for choices in takers:
        if choices:
            reached = {
                (*loads[:n], loads[n] + 1, *loads[n + 1 :])
                for loads, n in product(reached, choices)
            }
    return min(map(unevenness, reached))


@pytest.mark.parametrize("alike", [True, False])
def test_uniform_is_as_even_as_can_be(alike: bool) -> None:
    rng = random.Random(f"even {alike}")
    for _ in range(CASES):
        request = random_request(rng, alike=alike)
        loads = tuple(len(has) for has in ASSIGNORS["uniform"](request).values())
        assert unevenness(loads) == best_unevenness(request)


@pytest.mark.parametrize("alike", [True, False])
def test_uniform_moves_nothing_twice(alike: bool) -> None:
    """What it made once it makes again of the same."""
    rng = random.Random(f"again {alike}")
    for _ in range(CASES):
        request = random_request(rng, alike=alike)
        assignment = ASSIGNORS["uniform"](request)
        again = AssignmentRequest(
            tuple(
                MemberRequest(m.member_id, m.topics, frozenset(assignment[m.member_id]))
                for m in request.members
            ),
            request.partition_counts,
        )
        assert ASSIGNORS["uniform"](again) == assignment


def test_uniform_keeps_what_it_can() -> None:
    low = frozenset((TOPICS[0], p) for p in range(4))
    high = frozenset((TOPICS[0], p) for p in range(4, 6))
    given = ASSIGNORS["uniform"](members(6, count=3, a=low, b=high))
    assert numbers(given) == {"a": [0, 1], "b": [4, 5], "c": [2, 3]}


def test_the_odd_ones_stay_with_who_has_them() -> None:
    has = frozenset((TOPICS[0], p) for p in (2, 3, 4))
    given = ASSIGNORS["uniform"](members(5, count=2, b=has))
    assert numbers(given) == {"a": [0, 1], "b": [2, 3, 4]}


def test_range_deals_contiguous_ranges() -> None:
    given = ASSIGNORS["range"](members(7, 7, count=3))
    expected = {"a": [0, 1, 2], "b": [3, 4], "c": [5, 6]}
    assert numbers(given) == numbers(given, 1) == expected


def test_range_goes_by_instances_first() -> None:
    request = AssignmentRequest(
        (
            MemberRequest("a", frozenset(TOPICS[:1])),
            MemberRequest("b", frozenset(TOPICS[:1]), instance_id="z"),
            MemberRequest("c", frozenset(TOPICS[:1]), instance_id="y"),
        ),
        {TOPICS[0]: 3},
    )
    assert numbers(ASSIGNORS["range"](request)) == {"c": [0], "b": [1], "a": [2]}


@pytest.mark.parametrize("name", ASSIGNORS)
def test_nobody_gets_nothing(name: str) -> None:
    assert ASSIGNORS[name](AssignmentRequest((), {})) == {}


def test_a_large_group_is_assigned_in_no_time() -> None:
    """Two hundred members with two kinds of subscriptions, 3,000 partitions."""
    topics = TOPICS[:3]
    counts = dict.fromkeys(topics, 1_000)
    kinds = [frozenset(topics), frozenset(topics[:2])]
    request = AssignmentRequest(
        tuple(MemberRequest(f"m{n}", kinds[n % 2]) for n in range(200)), counts
    )
    assignment = ASSIGNORS["uniform"](request)
    assert {len(has) for has in assignment.values()} == {15}
