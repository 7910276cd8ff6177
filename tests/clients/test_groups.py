"""Consumers of one group: who reads what, and what a fenced member hears."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import (
    ClosedError,
    ConfigError,
    ForkedHandleError,
    GroupError,
    MemberFencedError,
    UsageError,
)
from tests.clients.conftest import Story
from tests.clients.members import (
    BY_HAND,
    FLIGHTS,
    GROUP,
    LIMIT_MS,
    LIMIT_S,
    ORDERS_0,
    ORDERS_1,
    drained,
    fence,
    inner,
    offsets,
    settle,
    values,
)
from tests.clients.skins import Driven

# ---------------------------------------------------------------- sharing


def test_members_share_the_partitions(story: Story) -> None:
    story.write("orders", 0, b"a", b"b")
    story.write("orders", 1, b"c")
    first = story.log.consumer("orders", **GROUP)
    assert first.assignment() == {ORDERS_0, ORDERS_1}
    second = story.log.consumer("orders", **GROUP)
    assert second.assignment() == set()
    settle(first, second)
    assert len(first.assignment()) == len(second.assignment()) == 1
    assert first.assignment() | second.assignment() == {ORDERS_0, ORDERS_1}
    assert sorted(drained(first, second)) == [b"a", b"b", b"c"]
    first.close()
    settle(second)
    assert second.assignment() == {ORDERS_0, ORDERS_1}


def test_groups_do_not_know_of_each_other(story: Story) -> None:
    story.write("orders", 0, b"a")
    one = story.log.consumer("orders", group_id="one", auto_offset_reset="earliest")
    two = story.log.consumer("orders", group_id="two", auto_offset_reset="earliest")
    assert drained(one) == drained(two) == [b"a"]
    assert one.assignment() == two.assignment() == {ORDERS_0, ORDERS_1}


def test_members_may_want_different_topics(story: Story) -> None:
    one = story.log.consumer("orders", **GROUP)
    two = story.log.consumer("orders", "flights", **GROUP)
    settle(one, two)
    assert FLIGHTS in two.assignment()
    assert one.assignment() | two.assignment() == {ORDERS_0, ORDERS_1, FLIGHTS}
    assert not one.assignment() & two.assignment()
    assert one.subscription() == {"orders"}
    assert two.subscription() == {"orders", "flights"}


def test_new_partitions_and_topics_are_given_to_somebody(story: Story) -> None:
    consumer = story.log.consumer(**GROUP)
    consumer.subscribe(pattern="fl.*")
    assert consumer.assignment() == {FLIGHTS}
    story.log.create_topic("flocks")
    story.log.create_partitions("flights", 2)
    story.write("flocks", 0, b"f")
    story.write("flights", 1, b"g")
    assert sorted(drained(consumer)) == [b"f", b"g"]
    assert consumer.subscription() == {"flights", "flocks"}
    story.log.delete_topic("flocks")
    settle(consumer)
    assert {p.topic for p in consumer.assignment()} == {"flights"}


def test_a_member_that_waits_hears_of_others(blocking_story: Story) -> None:
    first = blocking_story.log.consumer("orders", **GROUP)
    second = blocking_story.log.consumer("orders", **GROUP)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(first.poll, LIMIT_MS)
        while not second.assignment():  # until the first one has given something up
            assert second.poll(LIMIT_MS / 1000) == []
        given, kept = second.assignment(), {ORDERS_0, ORDERS_1} - second.assignment()
        blocking_story.write("orders", *(p.partition for p in given), b"second's")
        blocking_story.write("orders", *(p.partition for p in kept), b"first's")
        assert values(waiting.result(LIMIT_S)) == [b"first's"]
        assert values(second.poll(LIMIT_MS)) == [b"second's"]


def test_unsubscribing_leaves_the_group(story: Story) -> None:
    first = story.log.consumer("orders", **GROUP)
    second = story.log.consumer("orders", **GROUP)
    settle(first, second)
    first.unsubscribe()
    assert first.assignment() == set()
    settle(second)
    assert second.assignment() == {ORDERS_0, ORDERS_1}
    with pytest.raises(UsageError, match="subscribe"):
        first.poll(0)
    first.subscribe("flights")
    assert first.assignment() == {FLIGHTS}
    second.subscribe(["orders", "flights"])
    settle(first, second)
    assert second.assignment() == {ORDERS_0, ORDERS_1}
    first.subscribe(pattern="o.*")
    settle(first, second)
    assert FLIGHTS in second.assignment()
    assert len(first.assignment()) == 1


def test_a_static_member_that_comes_back_finds_its_partitions(story: Story) -> None:
    static = {**GROUP, "group_instance_id": "me"}
    first = story.log.consumer("orders", **static)
    other = story.log.consumer("orders", **GROUP)
    settle(first, other)
    mine, others = first.assignment(), other.assignment()
    with pytest.raises(GroupError) as caught:
        story.log.consumer("orders", **static).poll(0)
    assert caught.value.code_name == "UNRELEASED_INSTANCE_ID"
    first.close()
    settle(other)
    assert other.assignment() == others  # it is expected back
    again = story.log.consumer("orders", **static)
    assert again.assignment() == mine


def test_an_assignor_can_be_asked_for(story: Story) -> None:
    story.log.create_partitions("orders", 6)
    ranged = {**GROUP, "group_remote_assignor": "range"}
    consumers = [story.log.consumer("orders", **ranged) for _ in range(2)]
    settle(*consumers)
    numbers = sorted(sorted(p.partition for p in each.assignment()) for each in consumers)
    assert numbers == [[0, 1, 2], [3, 4, 5]]


# ---------------------------------------------------------------- callbacks


def test_callbacks_hear_of_everything_that_comes_and_goes(story: Story) -> None:
    told: list[Any] = []
    story.write("orders", 0, b"a", b"b")
    first = story.log.consumer(
        "orders",
        **BY_HAND,
        on_assign=lambda partitions: told.append(("assign", partitions)),
        on_revoke=lambda partitions: told.append(("revoke", partitions)),
    )
    assert told == [("assign", [ORDERS_0, ORDERS_1])]
    second = story.log.consumer("orders", **BY_HAND)
    settle(first, second)
    (kept,) = first.assignment()
    (given,) = second.assignment()
    assert told[1:] == [("revoke", [given])]
    second.close()
    settle(first)
    assert told[2:] == [("assign", [given])]
    fence(story, first)
    with pytest.raises(MemberFencedError):
        first.poll(0)
    assert told[3:] == [("revoke", [ORDERS_0, ORDERS_1])]  # there is no on_lost
    first.subscribe("orders", on_lost=lambda partitions: told.append(("lost", partitions)))
    fence(story, first)
    with pytest.raises(MemberFencedError):
        first.poll(0)
    assert told[4:] == [("assign", [ORDERS_0, ORDERS_1]), ("lost", [ORDERS_0, ORDERS_1])]
    assert kept != given


def test_a_callback_may_use_the_consumer(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    story.write("orders", 1, b"d")
    seeking = story.log.consumer(**BY_HAND)
    plain = inner(seeking)
    failed: list[BaseException] = []

    def go_to_the_end(partitions: list[TopicPartition]) -> None:
        try:
            plain.poll(0)
        except UsageError as error:
            failed.append(error)
        plain.seek_to_end(*partitions)

    def commit(_: list[TopicPartition]) -> None:
        plain.commit()

    if isinstance(seeking, Driven):
        twin = seeking.driven

        async def go_to_the_end_too(partitions: list[TopicPartition]) -> None:
            try:
                await twin.poll(0)
            except UsageError as error:
                failed.append(error)
            await twin.seek_to_end(*partitions)

        async def commit_too(_: list[TopicPartition]) -> None:
            await twin.commit()

        seeking.subscribe("orders", on_assign=go_to_the_end_too, on_revoke=commit_too)
    else:
        seeking.subscribe("orders", on_assign=go_to_the_end, on_revoke=commit)
    assert len(failed) == 1
    assert seeking.position(ORDERS_0) == 3
    story.write("orders", 0, b"e")
    assert values(seeking.poll(LIMIT_MS)) == [b"e"]
    seeking.close()  # which revokes
    again = story.log.consumer("orders", **BY_HAND)
    assert offsets(again.committed()) == {ORDERS_0: 4, ORDERS_1: 1}
    with pytest.raises(ClosedError):
        seeking.commit()


def test_a_callback_that_fails_is_not_called_again(story: Story) -> None:
    calls: list[Any] = []

    def fail(partitions: list[TopicPartition]) -> None:
        calls.append(partitions)
        raise ZeroDivisionError

    consumer = story.log.consumer(**BY_HAND)
    with pytest.raises(ZeroDivisionError):
        consumer.subscribe("orders", on_assign=fail)
    story.write("orders", 0, b"a")
    assert values(consumer.poll(LIMIT_MS)) == [b"a"]
    assert len(calls) == 1


@pytest.mark.parametrize("wrong", [{"on_assign": 5}, {"on_revoke": "f"}, {"on_lost": []}])
def test_callbacks_have_to_be_callable(story: Story, wrong: Any) -> None:
    consumer = story.log.consumer(**BY_HAND)
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        consumer.subscribe("orders", **wrong)
    assert consumer.subscription() == frozenset()


def test_what_a_callback_raises_keeps_no_partition_from_others(story: Story) -> None:
    def fail(_: list[TopicPartition]) -> None:
        raise ZeroDivisionError

    first = story.log.consumer("orders", **BY_HAND, on_revoke=fail)
    second = story.log.consumer("orders", **BY_HAND)
    with pytest.raises(ZeroDivisionError):
        first.poll(0)
    settle(first, second)  # and it is not called again
    assert len(first.assignment()) == len(second.assignment()) == 1
    with pytest.raises(ZeroDivisionError):
        first.unsubscribe()
    assert first.assignment() == set()
    settle(second)
    assert second.assignment() == {ORDERS_0, ORDERS_1}


def test_a_callback_that_fails_when_all_is_lost_is_heard_once(story: Story) -> None:
    def fail(_: list[TopicPartition]) -> None:
        raise ZeroDivisionError

    story.write("orders", 0, b"a")
    consumer = story.log.consumer("orders", **BY_HAND, on_lost=fail)
    fence(story, consumer)
    with pytest.raises(ZeroDivisionError) as caught:
        consumer.poll(0)
    assert isinstance(caught.value.__context__, MemberFencedError)
    assert values(consumer.poll(LIMIT_MS)) == [b"a"]
    consumer.close()


def test_a_consumer_whose_callback_fails_when_it_closes_has_left(story: Story) -> None:
    def fail(_: list[TopicPartition]) -> None:
        raise ZeroDivisionError

    consumer = story.log.consumer("orders", **BY_HAND, on_revoke=fail)
    with pytest.raises(ZeroDivisionError):
        consumer.close()
    consumer.close()
    assert story.log.consumer("orders", **BY_HAND).assignment() == {ORDERS_0, ORDERS_1}


def test_coroutine_functions_are_for_event_loops(blocking_story: Story) -> None:
    async def nobody_awaits(_: list[TopicPartition]) -> None:
        raise AssertionError

    consumer = blocking_story.log.consumer(**BY_HAND)
    with pytest.raises(UsageError, match="coroutine"):
        consumer.subscribe("orders", on_assign=nobody_awaits)


# ---------------------------------------------------------------- being fenced


def test_a_fenced_member_hears_it_once_and_joins_again(story: Story) -> None:
    story.write("orders", 0, b"a", b"b")
    consumer = story.log.consumer("orders", **BY_HAND)
    assert values(consumer.poll(LIMIT_MS, max_records=1)) == [b"a"]
    fence(story, consumer)
    with pytest.raises(MemberFencedError) as caught:
        consumer.poll(LIMIT_MS)
    assert caught.value.group_id == "billing"
    assert consumer.assignment() == set()
    assert values(consumer.poll(LIMIT_MS)) == [b"a", b"b"]  # as far as it was committed


def test_a_commit_of_a_fenced_member_does_not_land(story: Story) -> None:
    story.write("orders", 0, b"a", b"b")
    consumer = story.log.consumer("orders", **BY_HAND)
    consumer.poll(LIMIT_MS)
    fence(story, consumer)
    for _ in range(2):
        with pytest.raises(MemberFencedError):
            consumer.commit()
    assert consumer.committed(ORDERS_0) == {ORDERS_0: None}
    assert values(consumer.poll(LIMIT_MS)) == [b"a", b"b"]
    consumer.commit()
    assert offsets(consumer.committed(ORDERS_0)) == {ORDERS_0: 2}


def test_a_fenced_member_commits_nothing_when_it_closes(story: Story) -> None:
    story.write("orders", 0, b"a", b"b")
    consumer = story.log.consumer("orders", **GROUP)
    consumer.poll(LIMIT_MS)
    fence(story, consumer)
    consumer.close()
    again = story.log.consumer("orders", **GROUP)
    assert again.position(ORDERS_0) == 0


def test_a_member_that_does_not_poll_is_fenced(blocking_story: Story) -> None:
    log = blocking_story.log
    hangs = log.consumer("orders", **BY_HAND, max_poll_interval_ms=300)
    waits = log.consumer("orders", **BY_HAND)
    blocking_story.write("orders", 0, b"a")
    blocking_story.write("orders", 1, b"b")
    found: list[bytes | None] = []
    while len(found) < 2:
        found += values(waits.poll(LIMIT_MS))
    assert sorted(map(str, found)) == ["b'a'", "b'b'"]
    with pytest.raises(MemberFencedError):
        hangs.commit()


def test_a_member_that_waits_for_records_is_none_that_hangs(blocking_story: Story) -> None:
    log = blocking_story.log
    consumer = log.consumer("orders", **BY_HAND, max_poll_interval_ms=150)
    assert consumer.poll(700) == []
    assert consumer.poll(0) == []
    blocking_story.write("orders", 0, b"a")
    assert values(consumer.poll(LIMIT_MS)) == [b"a"]


def test_a_member_that_nobody_holds_any_more_leaves_its_partitions(blocking_story: Story) -> None:
    log = blocking_story.log
    dropped, kept = log.consumer("orders", **GROUP), log.consumer("orders", **GROUP)
    iterated = iter(dropped)
    settle(dropped, kept)
    del dropped
    gc.collect()
    blocking_story.write("orders", 0, b"a")
    blocking_story.write("orders", 1, b"b")
    assert next(iterated).value in (b"a", b"b")  # it lives on in what iterates
    del iterated
    gc.collect()
    found: list[bytes | None] = []
    while len(found) < 2:
        found += values(kept.poll(LIMIT_MS))
    assert kept.assignment() == {ORDERS_0, ORDERS_1}


def test_a_forked_child_leaves_its_parents_members_alone(blocking_story: Story) -> None:
    consumer = blocking_story.log.consumer("orders", **BY_HAND)
    slots = blocking_story.log.engine().groups.member_slots
    before = slots.polls().keys()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with suppress(ForkedHandleError):
                consumer.poll(0)
            consumer.close()
            del consumer
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert slots.polls().keys() == before
    blocking_story.write("orders", 0, b"a")
    assert values(consumer.poll(LIMIT_MS)) == [b"a"]
    consumer.commit()


@pytest.mark.parametrize("is_member", [True, False])
def test_who_waits_sleeps(
    blocking_story: Story, monkeypatch: pytest.MonkeyPatch, is_member: bool
) -> None:
    consumer = blocking_story.log.consumer(**BY_HAND)
    if is_member:
        consumer.subscribe("orders")
    else:
        consumer.assign([ORDERS_0])
    assert consumer.poll(0) == []
    waits: list[float | None] = []
    engine = blocking_story.log.engine()
    wait = engine.wait

    def and_count(seen: int, timeout_s: float | None = None) -> bool:
        waits.append(timeout_s)
        return wait(seen, timeout_s)

    monkeypatch.setattr(engine, "wait", and_count)
    assert consumer.poll(200) == []
    assert len(waits) <= 3


def test_a_log_that_is_closed_has_its_members_leave(tmp_path: Any) -> None:
    with streamlog.open(str(tmp_path / "log")) as log:
        log.create_topic("orders", 2)
        Story(log).write("orders", 0, b"a")
        consumer = log.consumer("orders", **GROUP)
        assert values(consumer.poll(LIMIT_MS)) == [b"a"]
    with streamlog.open(str(tmp_path / "log")) as log:
        consumer = log.consumer("orders", **GROUP)
        assert consumer.position(ORDERS_0) == 1
        assert consumer.assignment() == {ORDERS_0, ORDERS_1}
