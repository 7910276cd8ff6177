"""Our assignors, patterns and hash beside Kafka's own classes."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from streamlog.coordinator.assignors import ASSIGNORS, AssignmentRequest, MemberRequest
from streamlog.coordinator.partitions import by_topic
from streamlog.coordinator.regex import BadRegexError, compile_regex
from streamlog.coordinator.regex.classes import ALPHABET
from streamlog.coordinator.xxh3 import xxh3_64
from streamlog.protocol import Uuid
from tests.coordinator.patterns import random_pattern
from tests.interop.rig.group_oracle import ask
from tests.interop.rig.jars import KafkaJars

pytestmark = pytest.mark.interop

CASES = 300


def random_group(rng: random.Random, *, alike: bool) -> AssignmentRequest:
    """Members with what an earlier assignment gave them, some of it out of date."""
    topics = [Uuid(bytes([n + 1]) * 16) for n in range(rng.randint(1, 5))]
    counts = {topic: rng.randint(1, 12) for topic in topics}
    members = []
    subscription = frozenset(rng.sample(topics, rng.randint(1, len(topics))))
    free = [(topic, p) for topic in topics for p in range(counts[topic])]
    rng.shuffle(free)
    for number in range(rng.randint(1, 7)):
        if not alike:
            subscription = frozenset(rng.sample(topics, rng.randint(1, len(topics))))
        owned = frozenset(free.pop() for _ in range(min(rng.randint(0, 8), len(free))))
        instance = f"i{rng.randint(0, 99)}-{number}" if rng.random() < 0.3 else None
        members.append(
            MemberRequest(f"m{rng.randint(0, 99)}-{number}", subscription, owned, instance)
        )
    return AssignmentRequest(tuple(members), counts)


def question(assignor: str, group: AssignmentRequest) -> dict[str, Any]:
    return {
        "ask": "assign",
        "assignor": assignor,
        "counts": {str(topic): count for topic, count in group.partition_counts.items()},
        "members": [
            {
                "id": member.member_id,
                "instance": member.instance_id,
                "topics": [str(topic) for topic in member.topics],
                "owned": {str(topic): parts for topic, parts in by_topic(member.owned).items()},
            }
            for member in group.members
        ],
    }


def kafkas(answer: Any, group: AssignmentRequest) -> dict[str, set[tuple[Uuid, int]]]:
    return {
        member.member_id: {
            (Uuid.parse(topic), partition)
            for topic, partitions in answer.get(member.member_id, {}).items()
            for partition in partitions
        }
        for member in group.members
    }


def compared(
    jars: KafkaJars, assignor: str, *, alike: bool
) -> Iterator[tuple[AssignmentRequest, Any, Any]]:
    """(group, Kafka's assignment, ours) for many groups."""
    rng = random.Random(f"{assignor} {alike}")
    groups = [random_group(rng, alike=alike) for _ in range(CASES)]
    answers = ask(jars, [question(assignor, group) for group in groups])
    for group, answer in zip(groups, answers, strict=True):
        yield group, kafkas(answer, group), ASSIGNORS[assignor](group)


def moved(group: AssignmentRequest, assignment: dict[str, set[tuple[Uuid, int]]]) -> int:
    return sum(len(assignment[member.member_id] - member.owned) for member in group.members)


def unevenness(assignment: dict[str, set[tuple[Uuid, int]]]) -> int:
    return sum(len(partitions) ** 2 for partitions in assignment.values())


@pytest.mark.parametrize("alike", [True, False])
def test_range_is_kafkas_range(kafka_jars: KafkaJars, alike: bool) -> None:
    for _, theirs, ours in compared(kafka_jars, "range", alike=alike):
        assert ours == theirs


def test_uniform_is_as_even_and_moves_no_more(kafka_jars: KafkaJars) -> None:
    for group, theirs, ours in compared(kafka_jars, "uniform", alike=True):
        assert sorted(map(len, ours.values())) == sorted(map(len, theirs.values()))
        assert moved(group, ours) <= moved(group, theirs)


def test_uniform_is_no_less_even_where_subscriptions_differ(kafka_jars: KafkaJars) -> None:
    for _, theirs, ours in compared(kafka_jars, "uniform", alike=False):
        assert unevenness(ours) <= unevenness(theirs)


ODD_BRACE = re.compile(r"\{[*+?{]")
"""RE2/J takes a literal { for a repetition when one comes behind it, and refuses the pattern."""


def test_patterns_mean_what_they_mean_to_kafka(kafka_jars: KafkaJars) -> None:
    rng = random.Random(7)
    names = ["", "orders", "orders-1", "ORDERS", "a", "b", "ab", "aa", "a.b", "a_b", "0", "-", "x9"]
    names += ["".join(rng.choices(sorted(ALPHABET), k=rng.randint(1, 8))) for _ in range(30)]
    noise = "ab.*+?|()[]{}^$\\-,12:iQE"
    patterns = [random_pattern(rng) for _ in range(3_000)]
    patterns += ["".join(rng.choices(noise, k=rng.randint(1, 9))) for _ in range(5_000)]
    patterns += [r"\Qa.b\E", r"\Qa", "[[:alpha:]]+", "[[:^digit:]]", "(?i)ORD.*", "(?i:A)b"]
    patterns += [f"\\{character}" for character in string.printable[:95]]
    answers = ask(kafka_jars, [{"ask": "match", "pattern": p, "names": names} for p in patterns])
    valid = 0
    for pattern, theirs in zip(patterns, answers, strict=True):
        ours = None
        with suppress(BadRegexError):
            regex = compile_regex(pattern)
            ours = [name for name in names if regex.matches(name)]
        valid += theirs is not None
        if not ODD_BRACE.search(pattern):
            assert ours == theirs, pattern
    assert valid > 2_000


def test_the_hash_is_kafkas(kafka_jars: KafkaJars) -> None:
    rng = random.Random(3)
    inputs = [rng.randbytes(size) for size in (*range(260), 511, 512, 1024, 1025, 1088, 1089, 5000)]
    answers = ask(kafka_jars, [{"ask": "hash", "data": data.hex()} for data in inputs])
    assert [str(xxh3_64(data)) for data in inputs] == answers
