"""What a consumer hands out: where it starts, its positions, seeks, errors."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamlog import TopicPartition
from streamlog.errors import (
    ConfigError,
    CorruptRecordError,
    LogTruncatedError,
    OffsetOutOfRangeError,
    SerializationError,
    UnknownSettingError,
    UnsupportedFeatureError,
    UsageError,
)
from tests.clients.conftest import NOON_MS, Story
from tests.clients.skins import Interrupt

ORDERS_0 = TopicPartition("orders", 0)
ORDERS_1 = TopicPartition("orders", 1)
FLIGHTS = TopicPartition("flights", 0)
LIMIT_S = 30.0  # of what must happen at once


def values(records: Iterator[Any] | list[Any]) -> list[bytes | None]:
    return [record.value for record in records]


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Run `call` in another thread; the function returned waits for its result."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001  # handed to the test
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(LIMIT_S)
        assert outcome, "the thread did not come back"
        return outcome[0]

    return result


# Where reading starts


def test_latest_misses_nothing_that_is_appended_after_consumer_returned(story: Story) -> None:
    story.write("orders", 0, b"old")
    consumer = story.log.consumer("orders")
    story.write("orders", 0, b"new")
    story.write("orders", 1, b"first")
    assert sorted(values(consumer.poll())) == [b"first", b"new"]


def test_earliest_reads_what_is_there(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    consumer = story.log.consumer("flights", auto_offset_reset="earliest")
    assert values(consumer.poll()) == [b"a", b"b"]


def test_none_wants_a_position(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    consumer = story.log.consumer("flights", auto_offset_reset="none")
    with pytest.raises(OffsetOutOfRangeError, match="no position"):
        consumer.poll(0)
    with pytest.raises(OffsetOutOfRangeError):
        next(iter(consumer))
    consumer.seek(FLIGHTS, 1)
    assert values(consumer.poll(0)) == [b"b"]


def test_partitions_and_topics_made_later_are_read_from_their_beginning(story: Story) -> None:
    named = story.log.consumer("flights")
    matching = story.log.consumer()
    matching.subscribe(pattern="fl.*|ca.*")
    story.log.create_partitions("flights", 2)
    story.log.create_topic("cars")
    story.write("flights", 1, b"one")
    story.write("cars", 0, b"car")
    assert values(named.poll()) == [b"one"]
    assert sorted(values(matching.poll())) == [b"car", b"one"]
    assert matching.subscription() == {"flights", "cars"}


def test_a_new_partition_does_not_move_the_others(story: Story) -> None:
    story.write("flights", 0, b"a", b"b", b"c")
    consumer = story.log.consumer("flights", auto_offset_reset="earliest")
    assert values(consumer.poll(0, max_records=1)) == [b"a"]
    consumer.pause(FLIGHTS)
    story.log.create_partitions("flights", 2)
    assert consumer.poll(0) == []
    assert consumer.position(FLIGHTS) == 1
    consumer.resume(FLIGHTS)
    assert values(consumer.poll(0)) == [b"b", b"c"]


@pytest.mark.parametrize("wrong", [5, b"flights", [5], ["flights", None]])
def test_topics_are_named(story: Story, wrong: Any) -> None:
    with pytest.raises(ConfigError, match="a str"):
        story.log.consumer().subscribe(wrong)


@pytest.mark.parametrize("wrong", [float("nan"), -1, "5", True])
def test_the_time_of_a_poll_is_a_number(story: Story, wrong: Any) -> None:
    with pytest.raises(ConfigError, match="timeout_ms"):
        story.log.consumer("flights").poll(wrong)


def test_partitions_are_given_one_by_one_or_as_a_list(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    consumer = story.log.consumer("flights", "orders", auto_offset_reset="earliest")
    consumer.pause([FLIGHTS])
    assert consumer.paused() == {FLIGHTS}
    consumer.resume([])  # is none, and not all
    assert consumer.paused() == {FLIGHTS}
    consumer.seek_to_end([FLIGHTS])
    assert consumer.position(FLIGHTS) == 2
    consumer.seek_to_beginning({FLIGHTS})
    assert consumer.position(FLIGHTS) == 0
    consumer.resume(iter([FLIGHTS]))
    assert values(consumer.poll(0)) == [b"a", b"b"]
    for wrong in ("flights", ["flights"], [FLIGHTS, 5], 5):
        with pytest.raises(UsageError, match="a TopicPartition is expected"):
            consumer.pause(wrong)
    assert consumer.paused() == set()


# Positions


def test_the_position_follows_the_record_handed_out(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    story.write("flights", 0, b"c")
    consumer = story.log.consumer("flights", auto_offset_reset="earliest")
    assert consumer.position(FLIGHTS) == 0
    for record in consumer:
        assert consumer.position(FLIGHTS) == record.offset + 1
        assert consumer.lag() == {FLIGHTS: 2 - record.offset}
        if record.value == b"c":
            break
    assert consumer.poll(0) == []


def test_iterating_and_polling_go_on_where_the_other_stopped(story: Story) -> None:
    story.write("flights", 0, *(b"%d" % number for number in range(6)))
    consumer = story.log.consumer("flights", auto_offset_reset="earliest", consumer_timeout_ms=0)
    assert next(iter(consumer)).value == b"0"
    assert values(consumer.poll(max_records=2)) == [b"1", b"2"]
    assert next(consumer).value == b"3"
    (batch,) = consumer.poll_batches()
    assert (batch.base_offset, batch.start_offset, values(batch)) == (0, 4, [b"4", b"5"])
    assert list(consumer) == []


def test_seeks(story: Story) -> None:
    story.write("flights", 0, b"a", b"b", b"c")
    consumer = story.log.consumer("flights")
    assert consumer.poll(0) == []
    consumer.seek(FLIGHTS, 1)
    assert consumer.position(FLIGHTS) == 1
    assert values(consumer.poll()) == [b"b", b"c"]
    consumer.seek_to_beginning()
    assert values(consumer.poll(max_records=1)) == [b"a"]
    consumer.seek_to_end(FLIGHTS)
    assert consumer.poll(0) == []
    story.write("flights", 0, b"d")
    assert values(consumer.poll()) == [b"d"]


def test_a_seek_in_the_middle_of_an_iteration_takes_effect_at_once(story: Story) -> None:
    story.write("flights", 0, b"a", b"b", b"c")
    consumer = story.log.consumer("flights", auto_offset_reset="earliest", consumer_timeout_ms=0)
    seen = []
    for record in consumer:
        seen.append(record.value)
        if len(seen) == 2:
            consumer.seek(FLIGHTS, 0)
    assert seen == [b"a", b"b", b"a", b"b", b"c"]


def test_offsets_by_time(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    consumer = story.log.consumer("orders")
    times = {ORDERS_0: NOON_MS + 1, ORDERS_1: NOON_MS}
    found = consumer.offsets_for_times(times)
    assert found[ORDERS_0] == (1, NOON_MS + 1, 0)
    assert found[ORDERS_1] is None
    assert consumer.offsets_for_times({ORDERS_0: NOON_MS + 3}) == {ORDERS_0: None}
    assert consumer.beginning_offsets([ORDERS_0, ORDERS_1]) == {ORDERS_0: 0, ORDERS_1: 0}
    assert consumer.end_offsets([ORDERS_0, ORDERS_1]) == {ORDERS_0: 3, ORDERS_1: 0}
    with pytest.raises(ConfigError):
        consumer.offsets_for_times({ORDERS_0: -1})
    with pytest.raises(ConfigError, match="mapping"):
        consumer.offsets_for_times([ORDERS_0])  # type: ignore[arg-type]


def test_one_where_several_are_expected_and_several_where_one_is(story: Story) -> None:
    consumer = story.log.consumer("orders")
    for call in (consumer.assign, consumer.end_offsets, consumer.beginning_offsets):
        with pytest.raises(ConfigError, match="a list of TopicPartition is expected"):
            call(ORDERS_0)
    with pytest.raises(ConfigError, match="a list of TopicPartition is expected"):
        consumer.assign("orders")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a topic's name is a str"):
        story.log.consumer(["orders"])  # type: ignore[arg-type]


@pytest.mark.parametrize("reset", ["latest", "earliest", "none"])
def test_a_position_behind_the_end_is_never_papered_over(story: Story, reset: str) -> None:
    story.write("flights", 0, b"a")
    consumer = story.log.consumer("flights", auto_offset_reset=reset)
    consumer.seek(FLIGHTS, 2)
    for _ in range(2):
        with pytest.raises(LogTruncatedError) as caught:
            consumer.poll(0)
        assert (caught.value.offset, caught.value.log_end) == (2, 1)
    consumer.seek(FLIGHTS, 0)
    assert values(consumer.poll(0)) == [b"a"]


# What goes wrong


def test_a_damaged_batch_is_named_and_can_be_passed_over(story: Story) -> None:
    story.write("flights", 0, b"a")
    story.write("flights", 0, b"b")
    story.damage("flights", 0)
    consumer = story.log.consumer("flights", auto_offset_reset="earliest")
    assert values(consumer.poll()) == [b"a"]
    for call in (consumer.poll, consumer.poll_batches, lambda: next(consumer)):
        with pytest.raises(CorruptRecordError) as caught:
            call()
        assert (caught.value.topic, caught.value.partition, caught.value.offset) == (*FLIGHTS, 1)
        assert caught.value.file.endswith(f"{0:020}.log")
    story.write("flights", 0, b"c")
    consumer.seek(FLIGHTS, 2)
    assert values(consumer.poll()) == [b"c"]


def test_a_failed_deserializer_leaves_the_position_before_the_record(story: Story) -> None:
    story.write("flights", 0, b"1", b"oops", b"3")
    consumer = story.log.consumer(
        "flights", auto_offset_reset="earliest", value_deserializer=json.loads
    )
    assert values(consumer.poll()) == [1]
    with pytest.raises(SerializationError) as caught:
        consumer.poll()
    assert (caught.value.topic, caught.value.offset, caught.value.field) == ("flights", 1, "value")
    assert consumer.position(FLIGHTS) == 1
    consumer.seek(FLIGHTS, caught.value.offset + 1)
    assert values(consumer.poll()) == [3]


def test_an_interrupted_poll_hands_out_nothing_twice_and_loses_nothing(story: Story) -> None:
    story.write("orders", 0, b"1")
    story.write("orders", 1, b"2")
    interrupt = [True]

    def deserialize(value: bytes) -> bytes:
        if value == b"2" and interrupt:
            interrupt.clear()
            raise Interrupt
        return value

    consumer = story.log.consumer(
        "orders", auto_offset_reset="earliest", value_deserializer=deserialize
    )
    with pytest.raises(Interrupt):
        consumer.poll()
    assert sorted(values(consumer.poll())) == [b"1", b"2"]


def test_what_is_not_offered_is_refused(story: Story) -> None:
    with pytest.raises(UnsupportedFeatureError, match="transactions"):
        story.log.consumer("orders", isolation_level="read_committed")
    with pytest.raises(UnknownSettingError, match="auto_offset_reset"):
        story.log.consumer("orders", auto_offset_rest="earliest")
    consumer = story.log.consumer("orders", enable_auto_commit=False)
    with pytest.raises(UsageError, match="group"):
        consumer.commit()
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ConfigError):
            consumer.poll(0, max_records=bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        consumer.poll(-1)
    with pytest.raises(ConfigError):
        consumer.seek(ORDERS_0, -1)


def test_a_consumer_that_nobody_holds_is_gone_with_what_it_fetched(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    gc.collect()
    gc.disable()
    try:
        consumer = story.log.consumer("flights", auto_offset_reset="earliest")
        assert next(iter(consumer)).value == b"a"
        gone = weakref.ref(getattr(consumer, "driven", consumer))
        del consumer
        assert gone() is None
    finally:
        gc.enable()


def test_views_outlive_the_log(open_log: Callable[..., Any], directory: str) -> None:
    with open_log(directory) as log:
        log.create_topic("flights")
        Story(log).write("flights", 0, b"a", b"b")
        batches = log.consumer("flights", auto_offset_reset="earliest").poll_batches()
        log.delete_topic("flights")
    assert [values(batch) for batch in batches] == [[b"a", b"b"]]
