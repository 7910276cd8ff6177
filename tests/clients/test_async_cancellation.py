"""Cancelled anywhere, a client's call has happened or has not; nothing is lost or unusable."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import streamlog
from streamlog import TopicPartition
from streamlog.clients.polling import Polling
from streamlog.errors import DeliveryError, DiskFullError
from tests.clients.cancelling import cancel_everywhere, ends_cancelled, on_a_loop
from tests.clients.conftest import Story
from tests.clients.locks import hold_partition

pytestmark = pytest.mark.usefixtures("workers_take_a_turn")
PLACES = [TopicPartition("orders", 0), TopicPartition("orders", 1)]
VALUES = [b"%d" % number for number in range(8)]


async def filled(log: streamlog.AsyncStreamLog) -> Story:
    """Two partitions of four values each, two in a batch."""
    await log.create_topic("orders", partitions=2)
    story = Story(log.synchronous)
    for number in range(0, 8, 4):
        for partition in (0, 1):
            story.write("orders", partition, *VALUES[number : number + 2])
            number += 2  # noqa: PLW2901
    return story


def in_order(values: list[bytes | None]) -> bool:
    """Whether each partition's values are there, once and in their order."""
    evens = [value for value in values if value in VALUES[0:2] + VALUES[4:6]]
    odds = [value for value in values if value in VALUES[2:4] + VALUES[6:8]]
    return evens == VALUES[0:2] + VALUES[4:6] and odds == VALUES[2:4] + VALUES[6:8]


# Reading


def reader(log: streamlog.AsyncStreamLog, **settings: Any) -> streamlog.AsyncConsumer:
    """A consumer whose fetches are of one batch each, so that it is suspended often."""
    return log.consumer(
        "orders",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=1,
        consumer_timeout_ms=0,
        **settings,
    )


async def poll_cancelled_everywhere(log: streamlog.AsyncStreamLog) -> int:
    consumers = []

    async def poll(_: int) -> None:
        consumers.append(reader(log))
        await consumers[-1].poll(0)

    async def check(_: int, cancelled: bool) -> None:
        if cancelled:
            records = await consumers[-1].poll(0)
            assert in_order([record.value for record in records])
            assert await consumers[-1].lag() == dict.fromkeys(PLACES, 0)

    return await cancel_everywhere(poll, check)


@on_a_loop
async def test_a_cancelled_poll_loses_nothing() -> None:
    async with streamlog.open_async(":memory:") as log:
        await filled(log)
        assert await poll_cancelled_everywhere(log) >= 4


@on_a_loop
async def test_a_poll_that_keeps_what_it_took_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(self: Polling, limit: int, timeout: float | None) -> Any:
        runs: list[Any] = []
        yield from self._gather(runs, [], limit, self._fetcher.deadline(timeout))
        return runs

    monkeypatch.setattr(Polling, "records", keep)
    async with streamlog.open_async(":memory:") as log:
        await filled(log)
        with pytest.raises(AssertionError):
            await poll_cancelled_everywhere(log)


@on_a_loop
async def test_a_cancelled_iteration_loses_nothing() -> None:
    async with streamlog.open_async(":memory:") as log:
        await filled(log)
        consumers: list[streamlog.AsyncConsumer] = []
        seen: list[bytes | None] = []

        async def iterate(_: int) -> None:
            nonlocal seen
            seen = []
            consumers.append(reader(log))
            async for record in consumers[-1]:
                seen += [record.value]

        async def check(_: int, cancelled: bool) -> None:
            if cancelled:
                seen.extend([record.value async for record in consumers[-1]])
            assert in_order(seen)

        assert await cancel_everywhere(iterate, check) >= 4


@on_a_loop
async def test_a_cancelled_read_goes_on_where_it_was() -> None:
    async with streamlog.open_async(":memory:") as log:
        await filled(log)
        readings: list[Any] = []
        seen: list[bytes | None] = []

        async def read(_: int) -> None:
            nonlocal seen
            seen = []
            readings.append(log.read("orders"))
            async for record in readings[-1]:
                seen += [record.value]

        async def check(_: int, cancelled: bool) -> None:
            if cancelled:
                seen.extend([record.value async for record in readings[-1]])
            assert in_order(seen)

        assert await cancel_everywhere(read, check) >= 3


@on_a_loop
async def test_a_record_that_nobody_awaited_is_not_taken() -> None:
    async with streamlog.open_async(":memory:") as log:
        await filled(log)
        async with reader(log) as consumer:
            task = asyncio.ensure_future(anext(consumer))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            first = anext(consumer)
            second = await anext(consumer)
            assert [second.value, (await first).value] == [b"0", b"1"]


@on_a_loop
async def test_timeouts_of_others_end_a_wait_and_lose_nothing() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        async with log.consumer("flights") as consumer:
            for wait in (consumer.poll, consumer.poll_batches, lambda: anext(consumer)):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await wait()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(wait(), 0.001)
            Story(log.synchronous).write("flights", 0, b"a", b"b")
            assert (await anext(consumer)).value == b"a"
            assert [record.value for record in await consumer.poll()] == [b"b"]


@pytest.mark.parametrize(
    "call",
    [
        lambda consumer: consumer.subscribe("orders"),
        lambda consumer: consumer.assign(PLACES),
        lambda consumer: consumer.position(PLACES[0]),
        lambda consumer: consumer.seek(PLACES[0], 1, leader_epoch=0),
        lambda consumer: consumer.seek_to_beginning(),
        lambda consumer: consumer.pause(*PLACES),
        lambda consumer: consumer.lag(),
        lambda consumer: consumer.end_offsets(PLACES),
        lambda consumer: consumer.offsets_for_times({PLACES[0]: 0}),
    ],
)
@on_a_loop
async def test_a_consumer_can_be_used_after_any_cancelled_call(call: Any) -> None:
    async with streamlog.open_async(":memory:") as log:
        await filled(log)
        consumers: list[streamlog.AsyncConsumer] = []

        async def attempt(_: int) -> None:
            consumers.append(reader(log))
            await call(consumers[-1])

        async def check(_: int, cancelled: bool) -> None:
            consumer = consumers[-1]
            await consumer.resume()
            await consumer.seek_to_beginning()
            assert in_order([record.value for record in await consumer.poll(0)])
            await consumer.close()

        assert await cancel_everywhere(attempt, check) >= 1


# Writing


def values_of(log: streamlog.AsyncStreamLog, topic: str) -> list[bytes | None]:
    return [record.value for record in log.synchronous.read(topic)]


@on_a_loop
async def test_a_cancelled_send_has_happened_or_has_not() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        producers: list[streamlog.AsyncProducer] = []
        expected: list[list[bytes | None]] = []

        async def send(number: int) -> None:
            producers.append(log.producer(acks=1))
            await producers[-1].send("flights", b"%d" % number)

        async def check(number: int, cancelled: bool) -> None:
            await producers[-1].flush()
            found = values_of(log, "flights")
            before = expected[-1] if expected else []
            assert found in ([before] if cancelled else []) + [[*before, b"%d" % number]]
            expected.append(found)
            await producers[-1].close()

        assert await cancel_everywhere(send, check) >= 1


@on_a_loop
async def test_a_cancelled_wait_for_room_sends_nothing() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        async with log.producer(acks=1, buffer_memory=2000, batch_size=1000) as producer:
            await (await producer.send("flights", b"first"))
            with hold_partition(log.synchronous, "flights"):
                await producer.send("flights", b"a" * 900)
                await producer.send("flights", b"b" * 900)

                async def send(number: int) -> None:
                    await producer.send("flights", b"%d" % number * 900)

                for number in range(3):
                    waiting = asyncio.ensure_future(send(number))
                    for _ in range(20):
                        await asyncio.sleep(0)
                    assert not waiting.done()
                    waiting.cancel()
                    assert await ends_cancelled(waiting)
                last = asyncio.ensure_future(send(7))
            await last
            await producer.flush()
        found = [value[:1] for value in values_of(log, "flights") if value]
        assert found == [b"f", b"a", b"b", b"7"]


@on_a_loop
async def test_the_failure_of_a_send_that_was_cancelled_is_raised_by_flush(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        async with log.producer(acks=1) as producer:
            await (await producer.send("flights", b"first"))
            partition = log.synchronous.engine().partition("flights", 0)

            def fail(*_: Any, **__: Any) -> None:
                raise DiskFullError("full")

            monkeypatch.setattr(partition, "append", fail)

            async def send_and_wait() -> None:
                await (await producer.send("flights", b"lost"))

            waiting = asyncio.create_task(send_and_wait())
            await asyncio.sleep(0)  # it has sent, and lets the loop turn
            waiting.cancel()
            assert await ends_cancelled(waiting)
            with pytest.raises(DeliveryError, match="1 records"):
                await producer.flush()
            await producer.flush()


@pytest.mark.parametrize("acks", [1, "all"])
@on_a_loop
async def test_a_cancelled_wait_for_a_record_leaves_it_to_be_awaited_again(acks: Any) -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        async with log.producer(acks=acks) as producer:
            futures: list[streamlog.RecordFuture] = []

            async def attempt(number: int) -> None:
                futures.append(await producer.send("flights", b"%d" % number))
                await futures[-1]

            async def check(number: int, cancelled: bool) -> None:
                if futures:
                    await futures[-1]

            assert await cancel_everywhere(attempt, check) >= 2
            for future in futures:
                found = await future
                (record,) = log.synchronous.read("flights", 0, found.offset, found.offset + 1)
                assert record.timestamp == found.timestamp
            assert len({(await future).offset for future in futures}) == len(futures)


@pytest.mark.parametrize("acks", [1, "all"])
@on_a_loop
async def test_a_cancelled_flush_or_close_goes_on(directory: str, acks: Any) -> None:
    async with streamlog.open_async(directory) as log:
        await log.create_topic("flights", partitions=3)
        for verb in ("flush", "close"):
            made: list[tuple[streamlog.AsyncProducer, list[bytes]]] = []

            async def attempt(number: int, verb: str = verb, made: Any = made) -> None:
                producer, sent = log.producer(acks=acks, linger_ms=60_000), []
                made.append((producer, sent))
                for partition in range(3):
                    value = f"{verb} {number} {partition}".encode()
                    await producer.send("flights", value, partition=partition)
                    sent.append(value)
                await getattr(producer, verb)()

            async def check(number: int, cancelled: bool, made: Any = made) -> None:
                producer, sent = made[-1]
                await producer.close()
                found = values_of(log, "flights")
                assert [found.count(value) for value in sent] == [1] * len(sent)

            assert await cancel_everywhere(attempt, check) >= 3


@on_a_loop
async def test_a_cancelled_send_many_writes_whole_batches_once() -> None:
    async with streamlog.open_async(":memory:") as log:
        topics: list[str] = []
        async with log.producer(acks=1) as producer:

            async def attempt(number: int) -> None:
                topics.append(f"t{number}")
                await log.create_topic(topics[-1], partitions=2)
                await producer.send_many(topics[-1], [b"x" * 1000] * 3000)

            async def check(number: int, cancelled: bool) -> None:
                await producer.flush()
                written = values_of(log, topics[-1]) if topics[-1] in await log.topics() else []
                assert cancelled or len(written) == 3000

            assert await cancel_everywhere(attempt, check) >= 3
