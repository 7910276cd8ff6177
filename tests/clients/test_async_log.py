"""`open_async()` and what it leads to: forms of opening, closing, and reading."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import msgspec
import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.errors import (
    ClosedError,
    ConcurrentUseError,
    ConfigError,
    DeliveryError,
    NotALogDirectoryError,
    SerializationError,
    UnknownTopicError,
    UsageError,
)
from tests.clients.cancelling import on_a_loop, turn_until
from tests.clients.conftest import Story


@on_a_loop
async def test_a_log_is_opened_by_with_or_by_await_and_not_before(directory: str) -> None:
    log = streamlog.open_async(directory)
    assert not log.closed
    assert "not open" in repr(log)
    for call in (log.producer, log.consumer, lambda: log.admin, lambda: log.path):
        with pytest.raises(UsageError, match="async with"):
            call()
    with pytest.raises(UsageError, match="async with"):
        await log.topics()
    assert await log is log
    assert (log.path, log.read_only, directory in repr(log)) == (directory, False, True)
    async with log as same:
        assert same is log
        await log.create_topic("flights")
    assert log.closed
    await log.close()
    for call in (log.topics, log.sync, log.__aenter__, log.admin.list_topics):
        with pytest.raises(ClosedError):
            await call()
    with pytest.raises(ClosedError):
        log.consumer("flights")


@on_a_loop
async def test_a_log_that_was_never_opened_is_closed_at_once(directory: str) -> None:
    log = streamlog.open_async(directory)
    await log.close()
    assert log.closed
    with pytest.raises(ClosedError):
        await log


@on_a_loop
async def test_opening_says_what_is_wrong_when_it_is_awaited(tmp_path: Path) -> None:
    absent = streamlog.open_async(tmp_path / "absent", create=False)
    with pytest.raises(NotALogDirectoryError):
        await absent
    with pytest.raises(ConfigError):
        await streamlog.open_async("")


@on_a_loop
async def test_clients_are_made_at_once_and_entered_or_awaited() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        story = Story(log.synchronous)
        with pytest.raises(ConfigError):
            log.producer(acks=7)
        with pytest.raises(ConfigError):
            log.consumer("flights", auto_offset_reset="middle")
        entered = await log.consumer("flights")
        lazy = log.consumer("flights", consumer_timeout_ms=0)
        story.write("flights", 0, b"a")
        assert [record.value for record in await entered.poll(0)] == [b"a"]
        assert [record.value async for record in lazy] == []  # it began when it was iterated
        unknown = log.consumer("fligths")
        for call in (unknown.__aenter__, unknown.poll, lambda: anext(unknown)):
            with pytest.raises(UnknownTopicError, match="flights"):
                await call()
        producer = log.producer()
        assert await producer is producer


@on_a_loop
async def test_a_loop_over_a_consumer_that_nobody_else_holds() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        Story(log.synchronous).write("flights", 0, b"a", b"b")
        settings = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 0}
        found = [record.value async for record in log.consumer("flights", **settings)]
        assert found == [b"a", b"b"]


@on_a_loop
async def test_read_begins_when_it_is_awaited_or_iterated() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        story = Story(log.synchronous)
        begun, lazy = await log.read("flights"), log.read("flights")
        story.write("flights", 0, b"a", b"b")
        assert [record.value async for record in begun] == []
        assert [record.value async for record in lazy] == [b"a", b"b"]
        with pytest.raises(UnknownTopicError, match="flights"):
            await log.read("fligths")
        with pytest.raises(UnknownTopicError, match="flights"):
            await anext(log.read("fligths"))
        reading = log.read("flights")
        assert (await anext(reading)).value == b"a"
        assert [record.value async for record in reading] == [b"b"]


@on_a_loop
async def test_closing_the_log_closes_its_clients_and_says_what_was_lost() -> None:
    log = await streamlog.open_async(":memory:")
    await log.create_topic("flights")
    producer = log.producer(acks=1, linger_ms=60_000)
    consumer = await log.consumer("flights")
    waiting = asyncio.ensure_future(consumer.poll())
    future = await producer.send("flights", b"x")
    log.synchronous.delete_topic("flights")
    with pytest.raises((DeliveryError, UnknownTopicError)):
        await log.close()
    assert isinstance(future.exception(), UnknownTopicError)
    with contextlib.suppress(UnknownTopicError):  # whichever of the two it hears of first
        assert await waiting == []
    assert consumer.closed
    await log.close()


@on_a_loop
async def test_close_from_another_task_ends_iterations_and_polls() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        consumer = await log.consumer("flights")
        seen: list[bytes | None] = []

        async def iterate() -> None:
            async for record in consumer:
                seen.append(record.value)  # noqa: PERF401  # one by one, as they come

        iterating = asyncio.create_task(iterate())
        Story(log.synchronous).write("flights", 0, b"a")
        await turn_until(lambda: bool(seen))
        await consumer.close()
        await iterating
        assert seen == [b"a"]
        for call in (consumer.poll, consumer.lag, consumer.assignment):
            with pytest.raises(ClosedError):
                await call()
        with pytest.raises(ClosedError):
            aiter(consumer)
        polling_consumer = await log.consumer("flights")
        polling = asyncio.create_task(polling_consumer.poll())
        await asyncio.sleep(0)
        await polling_consumer.close()
        assert polling.done() or await polling == []
        assert polling.result() == []


@on_a_loop
async def test_close_in_the_middle_of_a_loop_ends_it() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        Story(log.synchronous).write("flights", 0, b"a", b"b")
        seen = []
        async with log.consumer("flights", auto_offset_reset="earliest") as consumer:
            async for record in consumer:
                seen.append(record.value)
                await consumer.close()
        assert seen == [b"a"]


@on_a_loop
async def test_two_tasks_at_once_are_told() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        consumer = await log.consumer("flights")
        waiting = asyncio.create_task(consumer.poll())
        await asyncio.sleep(0)
        place = TopicPartition("flights", 0)
        for call in (consumer.poll, lambda: consumer.seek(place, 0), lambda: anext(consumer)):
            with pytest.raises(ConcurrentUseError, match="two tasks"):
                await call()
        Story(log.synchronous).write("flights", 0, b"x")
        assert len(await waiting) == 1
        assert await consumer.position(place) == 1


@on_a_loop
async def test_a_deserializer_that_fails_leaves_the_position_before_the_record() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        Story(log.synchronous).write("flights", 0, b"1", b"oops", b"3")
        settings: dict[str, Any] = {"auto_offset_reset": "earliest", "value_deserializer": int}
        async with log.consumer("flights", **settings) as consumer:
            seen = []

            async def iterate() -> None:
                async for record in consumer:
                    seen.append(record.value)  # noqa: PERF401  # until it fails

            with pytest.raises(SerializationError) as caught:
                await iterate()
            assert seen == [1]
            assert await consumer.position(TopicPartition("flights", 0)) == 1
            await consumer.seek(TopicPartition("flights", 0), caught.value.offset + 1)
            assert (await anext(consumer)).value == 3


@on_a_loop
async def test_an_iterator_that_is_dropped_in_the_middle_of_a_wait_is_collected() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        consumer = await log.consumer("flights")
        waiting = asyncio.ensure_future(anext(consumer))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        gone = weakref.ref(consumer)
        del consumer, waiting
        gc.collect()
        assert gone() is None


class Order(msgspec.Struct, frozen=True):
    number: int


@on_a_loop
async def test_typed_topics() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("orders")
        orders = await log.topic("orders", Order, key_type=str)
        assert (orders.name, "AsyncTypedTopic orders" in repr(orders)) == ("orders", True)
        async with orders.producer() as producer:
            assert (await (await producer.send(Order(1), key="one"))).offset == 0
            await (await producer.send_many([Order(2), None], keys=["two", "three"]))
            with pytest.raises(SerializationError):
                await producer.send("no order")  # type: ignore[arg-type]
            await producer.flush()
        settings = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 0}
        async with orders.consumer(**settings) as consumer:
            found = [(record.key, record.value) async for record in consumer]
        assert found == [("one", Order(1)), ("two", Order(2)), ("three", None)]
        assert [record.value async for record in orders.read()][:1] == [Order(1)]
        with pytest.raises(UnknownTopicError):
            await log.topic("order", Order)


def test_asyncio_and_what_listeners_need_are_loaded_by_who_uses_them() -> None:
    program = """
import sys, streamlog
with streamlog.open(":memory:") as log:
    log.create_topic("flights")
    with log.producer() as producer:
        producer.send("flights", b"x").result()
    next(iter(log.consumer("flights", auto_offset_reset="earliest")))
    list(log.read("flights"))
assert "asyncio" not in sys.modules
assert not any("listener" in name or "broker_settings" in name for name in sys.modules)
streamlog.open_async
assert "asyncio" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@on_a_loop
async def test_a_backup_is_made_beside_the_loop_and_tells_it_of_progress(
    directory: str, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    async with streamlog.open_async(directory) as log:
        await log.create_topic("flights")
        Story(log.synchronous).write("flights", 0, b"a", b"b")
        report = await log.backup(tmp_path / "backup", progress=lambda *now: told.append(now))
        assert isinstance(report, streamlog.BackupReport)
        await turn_until(lambda: bool(told) and told[-1][0] == told[-1][1])
    async with streamlog.open_async(tmp_path / "backup") as copy:
        assert [record.value async for record in copy.read("flights")] == [b"a", b"b"]


@on_a_loop
async def test_a_listener_is_entered_or_closed_by_its_log() -> None:
    async def is_served(address: tuple[str, int]) -> bool:
        try:
            _, writer = await asyncio.open_connection(*address)
        except ConnectionRefusedError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async with streamlog.open_async(":memory:") as log:
        async with await log.listen() as listener:
            assert listener.bootstrap_servers == "{}:{}".format(*listener.address)
            assert listener.bootstrap_servers in repr(listener)
            assert await is_served(listener.address)
        assert listener.closed
        assert not await is_served(listener.address)
        await listener.close()
        with pytest.raises(ConfigError):
            await log.listen(num_partitions=0)
        left = await log.listen()
    assert left.closed
    assert not await is_served(left.address)
