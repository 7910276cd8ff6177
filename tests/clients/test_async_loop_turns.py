"""The event loop turns: whoever keeps a lock, however much there is to read or write."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

import streamlog
from streamlog.clients.asynchronous.workers import Workers
from streamlog.errors import BufferExhaustedError, LockTimeoutError
from tests.clients.cancelling import on_a_loop
from tests.clients.conftest import Story
from tests.clients.locks import hold_in_thread, hold_partition

TURNS = 200
Hold = Callable[[Any], AbstractContextManager[Any]]


async def turn_beside(awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
    """Begin to await, and let the loop turn; what is then done or not done."""
    waiting = asyncio.ensure_future(awaitable)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    return waiting


def partition_lock(log: Any) -> AbstractContextManager[Any]:
    return hold_partition(log.synchronous, "flights")


def sync_lock(log: Any) -> AbstractContextManager[Any]:
    return hold_partition(log.synchronous, "flights", sync=True)


def metadata_lock(log: Any) -> AbstractContextManager[Any]:
    return hold_in_thread(log.synchronous.engine().metadata.lock)


def metadata_partition_lock(log: Any) -> AbstractContextManager[Any]:
    return hold_partition(log.synchronous, "__cluster_metadata")


async def open_flights(path: str) -> streamlog.AsyncStreamLog:
    log = await streamlog.open_async(path, lock_timeout_ms=20_000)
    await log.create_topic("flights")
    return log


async def send_and_wait(producer: streamlog.AsyncProducer, value: bytes) -> Any:
    return await (await producer.send("flights", value))


@pytest.mark.parametrize(
    ("hold", "acks", "call"),
    [
        (partition_lock, 1, lambda log, producer: send_and_wait(producer, b"x")),
        (partition_lock, 1, lambda log, producer: producer.send_many("flights", [b"x"])),
        (partition_lock, "all", lambda log, producer: send_and_wait(producer, b"x")),
        (sync_lock, "all", lambda log, producer: send_and_wait(producer, b"x")),
        (sync_lock, 1, lambda log, producer: log.sync()),
        (metadata_lock, 1, lambda log, producer: log.create_topic("new")),
        (metadata_lock, 1, lambda log, producer: log.topics()),
        (metadata_lock, 1, lambda log, producer: log.consumer("flights")),
        (metadata_lock, 1, lambda log, producer: log.admin.describe_topics()),
        (metadata_lock, 1, lambda log, producer: producer.send("other", b"x")),
        (metadata_lock, 1, lambda log, producer: log.read("flights")),
        (metadata_partition_lock, 1, lambda log, producer: log.delete_topic("other")),
    ],
)
@on_a_loop
async def test_what_waits_for_a_lock_lets_the_loop_turn(
    directory: str, hold: Hold, acks: Any, call: Any
) -> None:
    async with await open_flights(directory) as log:
        await log.create_topic("other")
        async with log.producer(acks=acks) as producer:
            await send_and_wait(producer, b"first")
            await log.sync()
            async with log.producer(acks=1) as writer:
                await send_and_wait(writer, b"not synced")
            with hold(log) as gave_up:
                waiting = await turn_beside(call(log, producer))
                assert not waiting.done()
                assert gave_up is None or not gave_up()
            await waiting


@pytest.mark.parametrize("verb", ["flush", "close"])
@on_a_loop
async def test_flushing_behind_a_lock_lets_the_loop_turn(directory: str, verb: str) -> None:
    async with await open_flights(directory) as log, log.producer(linger_ms=60_000) as producer:
        await send_and_wait(producer, b"first")
        future = await producer.send("flights", b"x")
        with hold_partition(log.synchronous, "flights"):
            waiting = await turn_beside(getattr(producer, verb)())
            assert not waiting.done()
        await waiting
        assert (await future).offset == 1


@on_a_loop
async def test_closing_behind_a_lock_lets_the_loop_turn(directory: str) -> None:
    log = await open_flights(directory)
    producer = log.producer(linger_ms=60_000)
    await send_and_wait(producer, b"first")
    with hold_partition(log.synchronous, "flights"):
        future = await producer.send("flights", b"x")
        waiting = await turn_beside(log.close())
        assert not waiting.done()
    await waiting
    assert future.result().offset == 1


@pytest.mark.parametrize("hold", [partition_lock, sync_lock, metadata_lock])
@on_a_loop
async def test_readers_wait_for_no_lock(directory: str, hold: Hold) -> None:
    async with await open_flights(directory) as log:
        story = Story(log.synchronous)
        async with log.consumer("flights") as consumer:
            waiting = await turn_beside(consumer.poll())
            story.write("flights", 0, b"a")
            assert [record.value for record in await waiting] == [b"a"]
            story.write("flights", 0, b"b", b"c")
            with hold(log):
                assert (await anext(consumer)).value == b"b"
                assert [record.value for record in await consumer.poll()] == [b"c"]
                assert await consumer.poll(1) == []
                assert await consumer.position(streamlog.TopicPartition("flights", 0)) == 3


@on_a_loop
async def test_a_known_topic_is_written_while_another_is_being_made(directory: str) -> None:
    async with await open_flights(directory) as log, log.producer(acks=1) as producer:
        await send_and_wait(producer, b"a")
        with metadata_lock(log):
            assert (await send_and_wait(producer, b"b")).offset == 1
            await producer.flush()


@pytest.mark.parametrize("size", [1, 2_000_000])
@pytest.mark.parametrize("verb", ["send", "send_many"])
@on_a_loop
async def test_what_follows_a_change_of_settings_lets_the_loop_turn(
    directory: str, verb: str, size: int
) -> None:
    """Before a batch is begun, and before a record is refused, the metadata is looked at."""
    async with await open_flights(directory) as log, log.producer(acks=1) as producer:
        await send_and_wait(producer, b"first")
        log.synchronous.alter_topic("flights", max_message_bytes=3_000_000)
        value: Any = b"x" * size
        with metadata_lock(log) as gave_up:
            sending = getattr(producer, verb)("flights", value if verb == "send" else [value])
            waiting = await turn_beside(sending)
            assert not waiting.done()
            assert not gave_up()
        await (await waiting)
        assert [len(record.value or b"") async for record in log.read("flights")] == [5, size]


@on_a_loop
async def test_a_lock_that_is_kept_for_too_long_is_an_error_of_the_record(directory: str) -> None:
    log = await streamlog.open_async(directory, lock_timeout_ms=100)
    async with log, log.producer(acks=1) as producer:
        await log.create_topic("flights")
        await send_and_wait(producer, b"first")
        with hold_partition(log.synchronous, "flights"), pytest.raises(LockTimeoutError):
            await send_and_wait(producer, b"x")
        assert (await send_and_wait(producer, b"y")).offset == 1


@on_a_loop
async def test_one_partition_that_is_locked_holds_up_no_other(directory: str) -> None:
    async with await open_flights(directory) as log:
        await log.create_topic("six", partitions=6)
        async with log.producer(acks="all") as producer:
            for partition in range(6):
                await (await producer.send("six", b"first", partition=partition))
            with hold_partition(log.synchronous, "six", 0):
                stuck = await turn_beside(
                    asyncio.gather(*[await producer.send("six", b"x", partition=0)])
                )
                for partition in range(1, 6):
                    future = await producer.send("six", b"y", partition=partition)
                    assert (await future).offset == 1
                assert not stuck.done()
            (found,) = await stuck
            assert found.offset == 1


# Back-pressure


@on_a_loop
async def test_a_full_buffer_is_waited_for_and_everything_arrives_in_order(directory: str) -> None:
    async with (
        await open_flights(directory) as log,
        log.producer(acks=1, buffer_memory=4000, batch_size=1000) as producer,
    ):
        await send_and_wait(producer, b"first")

        async def send_all() -> None:
            for number in range(40):
                await producer.send("flights", b"%d" % number * 200)

        with hold_partition(log.synchronous, "flights"):
            waiting = await turn_beside(send_all())
            assert not waiting.done()
            assert producer.synchronous.memory_used <= 4000
        await waiting
        await producer.flush()
        found = [record.value async for record in log.read("flights", start=1)]
        assert found == [b"%d" % number * 200 for number in range(40)]


@on_a_loop
async def test_no_room_within_max_block_ms_is_an_error(directory: str) -> None:
    async with (
        await open_flights(directory) as log,
        log.producer(acks=1, buffer_memory=1000, batch_size=1000, max_block_ms=20) as producer,
    ):
        await send_and_wait(producer, b"first")
        with hold_partition(log.synchronous, "flights"):
            await producer.send("flights", b"a" * 900)
            with pytest.raises(BufferExhaustedError, match="max_block_ms=20") as caught:
                await producer.send("flights", b"b" * 900)
            assert caught.value.outcome == "not_written"
        await producer.flush()
        assert [record.value async for record in log.read("flights", start=1)] == [b"a" * 900]


@on_a_loop
async def test_a_record_that_waits_for_room_is_serialized_and_placed_once(directory: str) -> None:
    serialized: list[bytes] = []
    placed: list[bytes] = []

    def serialize(value: bytes) -> bytes:
        serialized.append(value[:1])
        return value

    def place(topic: str, key: Any, value: bytes, count: int) -> int:
        placed.append(value[:1])
        return 0

    settings = {"buffer_memory": 1000, "batch_size": 1000, "acks": 1}
    async with (
        await open_flights(directory) as log,
        log.producer(value_serializer=serialize, partitioner=place, **settings) as producer,
    ):
        await send_and_wait(producer, b"0")
        with hold_partition(log.synchronous, "flights"):
            await producer.send("flights", b"1" * 900)
            waiting = await turn_beside(producer.send("flights", b"2" * 900))
            assert not waiting.done()
        await (await waiting)
        assert serialized == placed == [b"0", b"1", b"2"]


# Much to do


async def others_turn_while(work: Callable[[], Awaitable[Any]]) -> int:
    """How often another task was resumed while `work` went on."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.ensure_future(count())
    await asyncio.sleep(0)
    await work()
    counting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await counting
    return turns


@on_a_loop
async def test_long_loops_over_what_is_there_let_others_run() -> None:
    """Some 10 ms of work each, and a turn of the loop about every millisecond."""
    values = [b"x" * 100] * 40_000
    async with streamlog.open_async(":memory:") as log, log.producer(acks=1) as producer:
        await log.create_topic("flights")
        await send_and_wait(producer, b"first")

        async def send() -> None:
            for value in values:
                await producer.send("flights", value)

        async def serialize_and_send_many() -> None:
            async with log.producer(acks=1, value_serializer=bytes) as other:
                await other.send_many("flights", values)

        async def iterate() -> None:
            async for _ in log.consumer("flights", **settings):
                pass

        async def read() -> None:
            async for _ in log.read("flights"):
                pass

        async def poll() -> None:
            async with log.consumer("flights", **settings) as consumer:
                while await consumer.poll(0):
                    pass

        settings = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 0}
        for work in (send, serialize_and_send_many, iterate, read, poll):
            assert await others_turn_while(work) >= 3, work


@on_a_loop
async def test_a_loop_over_the_loop_itself_is_seen() -> None:
    """The canary: what never lets the loop turn is noticed by the test above."""

    async def hog() -> None:
        for _ in range(100_000):
            pass

    assert await others_turn_while(hog) == 0


@on_a_loop
async def test_workers_are_few_and_begun_when_they_are_needed() -> None:
    def names() -> list[str]:
        found = [thread.name for thread in threading.enumerate()]
        return [name for name in found if name.startswith("streamlog worker")]

    workers = Workers()
    before = len(names())
    assert len(await asyncio.gather(*(workers.run(names) for _ in range(100)))) == 100
    assert 1 <= len(names()) - before <= 4
    workers.close()
