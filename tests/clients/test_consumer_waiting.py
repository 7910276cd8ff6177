"""What a consumer is assigned, and how it waits: turns, timeouts, threads, forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamlog import TopicPartition
from streamlog.broker.engine import Engine
from streamlog.clients.asynchronous.bells import Bell
from streamlog.clients.asynchronous.consumer import AsyncConsumer
from streamlog.clients.asynchronous.workers import Workers
from streamlog.clients.consumer import Consumer
from streamlog.clients.flows import Wait
from streamlog.config import ConsumerConfig
from streamlog.errors import (
    ClosedError,
    ConcurrentUseError,
    ConfigError,
    ForkedHandleError,
    UnknownTopicError,
    UsageError,
)
from streamlog.testing.clock import ManualClock
from tests.clients.conftest import Story
from tests.clients.skins import SKINS, Driven, LoopThread

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


# What is assigned


def test_assigned_partitions_are_read_and_no_others(story: Story) -> None:
    consumer = story.log.consumer(auto_offset_reset="earliest")
    for call in (consumer.poll, consumer.poll_batches, lambda: next(iter(consumer))):
        with pytest.raises(UsageError, match="subscribe"):
            call()
    consumer.assign([ORDERS_1, FLIGHTS])
    story.write("orders", 0, b"not this")
    story.write("orders", 1, b"this")
    assert values(consumer.poll()) == [b"this"]
    assert consumer.assignment() == {ORDERS_1, FLIGHTS}
    with pytest.raises(UsageError, match="orders-0 is not assigned"):
        consumer.seek(ORDERS_0, 0)


def test_unknown_topics_and_partitions_are_named(story: Story) -> None:
    with pytest.raises(UnknownTopicError, match="orders"):
        story.log.consumer("oders")
    consumer = story.log.consumer()
    with pytest.raises(UnknownTopicError) as caught:
        consumer.assign([TopicPartition("orders", 2)])
    assert (caught.value.topic, caught.value.partition) == ("orders", 2)
    with pytest.raises(ConfigError):
        consumer.assign([("orders", "0")])  # type: ignore[list-item]
    with pytest.raises(ConfigError):
        consumer.subscribe()
    with pytest.raises(ConfigError):
        consumer.subscribe(pattern="(")


def test_a_deleted_topic_leaves_a_subscription_and_fails_an_assignment(story: Story) -> None:
    subscribed = story.log.consumer("orders", "flights")
    assigned = story.log.consumer()
    assigned.assign([FLIGHTS])
    story.log.delete_topic("flights")
    assert subscribed.assignment() == {ORDERS_0, ORDERS_1}
    with pytest.raises(UnknownTopicError, match="deleted"):
        assigned.poll(0)
    story.log.create_topic("flights")
    story.write("flights", 0, b"anew")
    assert values(subscribed.poll()) == [b"anew"]
    with pytest.raises(UnknownTopicError, match="deleted"):
        assigned.poll(0)


def test_paused_partitions_keep_their_position(story: Story) -> None:
    story.write("orders", 0, b"a", b"b")
    story.write("orders", 1, b"c")
    consumer = story.log.consumer("orders", auto_offset_reset="earliest", consumer_timeout_ms=0)
    first = next(iter(consumer))
    assert first.value == b"a"
    consumer.pause(ORDERS_0)
    assert consumer.paused() == {ORDERS_0}
    assert values(consumer) == [b"c"]
    consumer.resume()
    assert values(consumer) == [b"b"]
    consumer.unsubscribe()
    assert consumer.assignment() == set()


def test_partitions_take_turns(story: Story) -> None:
    for number in range(3):
        for partition in (0, 1):
            story.write("orders", partition, b"%d" % number)
    consumer = story.log.consumer(
        "orders", auto_offset_reset="earliest", max_partition_fetch_bytes=1
    )
    found = consumer.poll()
    assert [record.partition for record in found] == [0, 1, 0, 1, 0, 1]
    consumer.seek_to_beginning()
    by_partition = consumer.poll_by_partition()
    assert {key: values(run) for key, run in by_partition.items()} == {
        ORDERS_0: [b"0", b"1", b"2"],
        ORDERS_1: [b"0", b"1", b"2"],
    }


# Waiting


@pytest.fixture
def timed(manual_clock: ManualClock, directory: str) -> Iterator[tuple[Engine, ManualClock]]:
    """An engine whose waits let the manual clock pass instead."""
    engine = Engine.open(directory, clock=manual_clock)
    engine.create_topic("flights")
    yield engine, manual_clock
    engine.close()


def let_time_pass(
    engine: Engine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> list[float | None]:
    waits: list[float | None] = []

    def wait(seen: int, timeout_s: float | None = None) -> bool:
        waits.append(timeout_s)
        assert timeout_s is not None, "this would wait for ever"
        clock.advance(max(round(timeout_s * 1000), 1))
        return False

    async def wait_on_loop(bell: Bell, engine: Engine, effect: Wait) -> None:
        wait(effect.seen, effect.seconds)

    monkeypatch.setattr(engine, "wait", wait)
    monkeypatch.setattr(Bell, "wait", wait_on_loop)
    return waits


MakeConsumer = Callable[..., Any]


@pytest.fixture(params=SKINS)
def make_consumer(request: pytest.FixtureRequest, loop_thread: LoopThread) -> MakeConsumer:
    def make(engine: Engine, **settings: Any) -> Any:
        config = ConsumerConfig.from_settings(settings)
        if request.param == "sync":
            return Consumer(engine, ["flights"], config)
        consumer = AsyncConsumer(engine, ["flights"], config, Workers())
        return Driven(loop_thread.run(lambda: consumer), loop_thread)

    return make


def test_timeouts_are_those_asked_for(
    timed: tuple[Engine, ManualClock],
    make_consumer: MakeConsumer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, clock = timed
    waits = let_time_pass(engine, clock, monkeypatch)
    consumer = make_consumer(engine, consumer_timeout_ms=700)
    assert consumer.poll(0) == []
    assert waits == []
    assert consumer.poll(250) == []
    assert consumer.poll_batches(50) == []
    assert list(consumer) == []
    assert waits == pytest.approx([0.25, 0.05, 0.7])


def test_too_little_data_is_waited_for_and_then_handed_out(
    timed: tuple[Engine, ManualClock],
    make_consumer: MakeConsumer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, clock = timed
    waits = let_time_pass(engine, clock, monkeypatch)
    consumer = make_consumer(engine, fetch_min_bytes=1000, fetch_max_wait_ms=400)
    writer = Story.__new__(Story)
    writer.log = type("Log", (), {"engine": staticmethod(lambda: engine)})()
    writer.write("flights", 0, b"small")
    assert consumer.poll(100) == []
    assert values(consumer.poll(10_000)) == [b"small"]
    assert sum(wait or 0 for wait in waits) == pytest.approx(0.4)
    writer.write("flights", 0, b"x" * 2000)
    assert len(consumer.poll(0)) == 1


def test_a_waiting_poll_wakes_up_when_something_is_appended(story: Story) -> None:
    consumer = story.log.consumer("flights")
    found = in_thread(consumer.poll)
    story.write("flights", 0, b"x")
    assert values(found()) == [b"x"]


def test_close_from_another_thread_ends_iteration(story: Story) -> None:
    consumer = story.log.consumer("flights")
    first = threading.Event()

    def iterate() -> list[bytes]:
        seen = []
        for record in consumer:
            seen.append(record.value)
            first.set()
        return seen

    seen = in_thread(iterate)
    story.write("flights", 0, b"x")
    assert first.wait(LIMIT_S)
    consumer.close()
    assert seen() == [b"x"]
    consumer.close()
    for call in (consumer.poll, consumer.assignment, lambda: iter(consumer)):
        with pytest.raises(ClosedError):
            call()


def test_close_from_another_thread_ends_a_poll(story: Story) -> None:
    consumer = story.log.consumer("flights")
    found = in_thread(consumer.poll)
    consumer.close()
    result = found()
    assert result == [] or isinstance(result, ClosedError)


def test_close_in_the_middle_of_a_loop_ends_it(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    consumer = story.log.consumer("flights", auto_offset_reset="earliest")
    seen = []
    for record in consumer:
        seen.append(record.value)
        consumer.close()
    assert seen == [b"a"]


def test_two_threads_at_once_are_told(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = story.log.consumer("flights")
    engine = story.log.engine()
    waiting, go_on = threading.Event(), threading.Event()

    def wait(seen: int, timeout_s: float | None = None) -> bool:
        waiting.set()
        return go_on.wait(LIMIT_S)

    monkeypatch.setattr(engine, "wait", wait)
    found = in_thread(consumer.poll)
    assert waiting.wait(LIMIT_S)
    for call in (lambda: consumer.poll(0), lambda: consumer.seek(FLIGHTS, 0), consumer.lag):
        with pytest.raises(ConcurrentUseError):
            call()
    story.write("flights", 0, b"x")
    go_on.set()
    assert values(found()) == [b"x"]


def test_a_forked_child_is_told(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    consumer = story.log.consumer("flights", auto_offset_reset="earliest")
    iterator = iter(consumer)
    assert next(iterator).value == b"a"
    pid = os.fork()
    if pid == 0:
        told = 0
        for call in (consumer.poll, lambda: next(iterator), consumer.lag):
            try:
                call()
            except ForkedHandleError:
                told += 1
        consumer.close()
        os._exit(told)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert next(iterator).value == b"b"
