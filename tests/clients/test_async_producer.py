"""Awaiting records: tasks that do so together share batches and appends, by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

import streamlog
from streamlog.errors import ClosedError, CorruptDirectoryError, DeliveryError, DiskFullError
from streamlog.errors import UnknownTopicError as UnknownTopic
from tests.clients.cancelling import on_a_loop


class Appends:
    """Counts the appends of a partition, and fails them when it is told to."""

    def __init__(
        self, log: streamlog.AsyncStreamLog, monkeypatch: pytest.MonkeyPatch, topic: str = "flights"
    ) -> None:
        self.partition = log.synchronous.engine().partition(topic, 0)
        self.records: list[int] = []
        self.errors: list[Exception] = []
        self._append = self.partition.append
        monkeypatch.setattr(self.partition, "append", self.append)

    def append(self, *args: Any, **kwargs: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        outcome = self._append(*args, **kwargs)
        assert outcome is not None
        self.records.append(outcome.last_offset - outcome.base_offset + 1)
        return outcome


async def send_and_wait(producer: streamlog.AsyncProducer, value: bytes) -> Any:
    return await (await producer.send("flights", value))


@pytest.mark.parametrize("acks", [1, "all"])
@on_a_loop
async def test_tasks_that_await_their_records_share_an_append(
    monkeypatch: pytest.MonkeyPatch, acks: Any
) -> None:
    async with streamlog.open_async(":memory:") as log, log.producer(acks=acks) as producer:
        await log.create_topic("flights")
        await send_and_wait(producer, b"first")
        appends = Appends(log, monkeypatch)
        for _ in range(10):
            found = await asyncio.gather(
                *(send_and_wait(producer, b"%d" % number) for number in range(20))
            )
            assert len({each.offset for each in found}) == 20
        assert sum(appends.records) == 200
        assert max(appends.records) >= 18
        assert len(appends.records) <= 40  # those that were resumed late come in a turn of theirs


@on_a_loop
async def test_one_task_waits_for_no_linger() -> None:
    async with (
        streamlog.open_async(":memory:") as log,
        log.producer(acks=1, linger_ms=3_600_000, delivery_timeout_ms=3_600_000) as producer,
    ):
        await log.create_topic("flights")
        for number in range(10):
            assert (await send_and_wait(producer, b"x")).offset == number


@on_a_loop
async def test_records_that_nobody_awaits_are_sent_by_linger_and_flush() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        async with log.producer(acks=1, linger_ms=1) as producer:
            done = asyncio.Event()
            loop = asyncio.get_running_loop()
            future = await producer.send("flights", b"a")
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
            await done.wait()
        async with log.producer(acks=1, linger_ms=60_000) as producer:
            future = await producer.send("flights", b"b")
            assert not future.done()
            await producer.flush()
            assert future.done()
        assert [record.value async for record in log.read("flights")] == [b"a", b"b"]


@on_a_loop
async def test_records_gathered_without_awaiting_keep_their_order() -> None:
    async with streamlog.open_async(":memory:") as log, log.producer(acks=1) as producer:
        await log.create_topic("flights")
        values = [b"%d" % number for number in range(50)]
        futures = await asyncio.gather(*(producer.send("flights", value) for value in values))
        assert [(await future).offset for future in futures] == list(range(50))
        assert [record.value async for record in log.read("flights")] == values


@on_a_loop
async def test_a_send_can_be_made_a_task(directory: str) -> None:
    async with streamlog.open_async(directory) as log, log.producer() as producer:
        await log.create_topic("flights")
        await send_and_wait(producer, b"first")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(producer.send("flights", b"x")) for _ in range(3)]
        assert [(await task.result()).offset for task in tasks] == [1, 2, 3]
        sent = producer.send("flights", b"y")
        assert isinstance(sent, Coroutine)
        assert (await (await asyncio.wait_for(sent, 30))).offset == 4
        with pytest.raises(UnknownTopic):
            await asyncio.create_task(producer.send("fligths", b"x"))


@on_a_loop
async def test_send_many_is_awaited_twice_too() -> None:
    async with streamlog.open_async(":memory:") as log, log.producer() as producer:
        await log.create_topic("flights", partitions=3)
        future = await producer.send_many(
            "flights", [b"x"] * 10, keys=[b"%d" % n for n in range(10)]
        )
        assert sum(batch.count for batch in await future) == 10
        assert future.done()
        assert await producer.partitions_for("flights") == [0, 1, 2]


@on_a_loop
async def test_an_error_is_raised_where_it_is_awaited_and_else_by_flush(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with streamlog.open_async(":memory:") as log, log.producer(acks=1) as producer:
        await log.create_topic("flights")
        await send_and_wait(producer, b"first")
        appends = Appends(log, monkeypatch)
        appends.errors = [DiskFullError("full"), DiskFullError("full")]
        with pytest.raises(DiskFullError):
            await send_and_wait(producer, b"a")
        await producer.flush()
        await producer.send("flights", b"b")
        with pytest.raises(DeliveryError):
            await producer.flush()
        await producer.flush()


@on_a_loop
async def test_trouble_with_the_metadata_reaches_those_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with streamlog.open_async(":memory:") as log, log.producer(acks=1) as producer:
        await log.create_topic("flights")
        future = await producer.send("flights", b"first")
        await log.create_topic("other")  # so that it is looked at
        with monkeypatch.context() as patched:

            def fail(*_: Any) -> None:
                raise CorruptDirectoryError("the metadata cannot be read")

            patched.setattr(producer.synchronous, "refresh_targets", fail)
            with pytest.raises(CorruptDirectoryError):
                await future
            with pytest.raises(CorruptDirectoryError):
                await producer.send("flights", b"not sent")
        assert (await send_and_wait(producer, b"second")).offset == 1
        assert (await future).offset == 0


@on_a_loop
async def test_a_failure_while_closing_does_not_replace_that_of_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")

        async def lose(is_raising: bool) -> None:
            async with log.producer(acks=1, linger_ms=60_000) as producer:
                appends = Appends(log, monkeypatch)
                appends.errors = [DiskFullError("full")]
                await producer.send("flights", b"lost")
                if is_raising:
                    raise LookupError("of the block")

        for is_raising in (True, False):
            with pytest.raises(LookupError if is_raising else DeliveryError) as caught:
                await lose(is_raising)
            assert is_raising == (
                "DeliveryError" in "".join(getattr(caught.value, "__notes__", []))
            )


@on_a_loop
async def test_a_closed_producer_refuses() -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        producer = await log.producer(linger_ms=60_000)
        future = await producer.send("flights", b"x")
        await producer.close()
        await producer.close()
        assert (await future).offset == 0
        for call in (
            lambda: producer.send("flights", b"y"),
            lambda: producer.send_many("flights", [b"y"]),
            producer.flush,
            lambda: producer.partitions_for("flights"),
            producer.__aenter__,
        ):
            with pytest.raises(ClosedError):
                await call()


@on_a_loop
async def test_a_synchronous_producers_futures_are_awaited_together_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with streamlog.open_async(":memory:") as log:
        await log.create_topic("flights")
        with log.synchronous.producer(acks=1, linger_ms=1000) as producer:
            producer.send("flights", b"first").result()
            appends = Appends(log, monkeypatch)
            futures = [producer.send("flights", b"x") for _ in range(10)]

            async def offset(future: streamlog.RecordFuture) -> int:
                return (await future).offset

            found = await asyncio.gather(*map(offset, futures))
            assert found == list(range(1, 11))
            assert appends.records == [10]
