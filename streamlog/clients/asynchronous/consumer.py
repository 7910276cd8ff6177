"""`AsyncConsumer`: reads topics as they grow, for a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from streamlog.clients.asynchronous.driving import Driver, asynchronous
from streamlog.clients.asynchronous.task_lock import TaskLock
from streamlog.clients.asynchronous.waking import Waiters
from streamlog.clients.awaitables import AsyncRecordStream
from streamlog.clients.consumer import Consumer
from streamlog.clients.flows import flow_of
from streamlog.clients.guard import Guard
from streamlog.clients.leaving import leaving

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.broker.engine import Engine
    from streamlog.clients.asynchronous.workers import Workers
    from streamlog.clients.flows import Flow
    from streamlog.config import ConsumerConfig
    from streamlog.record.kernel import Record

R = TypeVar("R")


class AsyncConsumer:
    """`Consumer` for a task; made by `AsyncStreamLog.consumer()`.

    `async for record in consumer` waits for records, and ends as the synchronous loop does: after
    `close()` from any task, or when no record came for `consumer_timeout_ms`. Where reading
    starts is settled when the consumer is entered (`async with`) or awaited, at the latest by its
    first call. A cancelled call loses no record: the position follows what was handed out.

    For one task at a time: two at once get `ConcurrentUseError`; only `close()` may come from
    another one. Deserializers are called on the loop. What it raises is what `Consumer` raises.
    """

    def __init__(
        self, engine: Engine, topics: Iterable[str], config: ConsumerConfig, workers: Workers
    ) -> None:
        self._guard = Guard("consumer", TaskLock())
        #: The `Consumer` under it. For `streamlog`'s own modules.
        self.synchronous = Consumer(engine, (), config, self._guard)
        self._topics = list(topics)  # what is yet to be subscribed to
        self._driver = Driver(engine, workers)
        self._left = Waiters()

    def __repr__(self) -> str:
        return repr(self.synchronous).replace("Consumer", "AsyncConsumer", 1)

    # Reading

    poll = asynchronous(Consumer.poll)
    poll_by_partition = asynchronous(Consumer.poll_by_partition)
    poll_batches = asynchronous(Consumer.poll_batches)

    def __aiter__(self) -> AsyncRecordStream:
        """Records as they come. A compiled iterator, as the synchronous one."""
        with self._guard:
            return AsyncRecordStream(self.synchronous.stream, self)

    def __anext__(self) -> Coroutine[Any, Any, Record]:
        return self.__aiter__().__anext__()

    async def load(self) -> None:
        """For the iterator: the next fetch. Raises `StopAsyncIteration` at the end."""
        if self._guard.closed and not self._guard.forked:
            raise StopAsyncIteration
        stream = self.synchronous.stream
        fetch = await self._drive(lambda consumer: consumer.fetcher.following(stream.position))
        if fetch is None:
            raise StopAsyncIteration
        stream.load(fetch)

    # What is read

    subscribe = asynchronous(Consumer.subscribe)
    assign = asynchronous(Consumer.assign)
    unsubscribe = asynchronous(Consumer.unsubscribe)
    subscription = asynchronous(Consumer.subscription)
    assignment = asynchronous(Consumer.assignment)
    pause = asynchronous(Consumer.pause)
    resume = asynchronous(Consumer.resume)
    paused = asynchronous(Consumer.paused)

    # Positions

    position = asynchronous(Consumer.position)
    seek = asynchronous(Consumer.seek)
    seek_to_beginning = asynchronous(Consumer.seek_to_beginning)
    seek_to_end = asynchronous(Consumer.seek_to_end)
    lag = asynchronous(Consumer.lag)

    # Commits

    commit = asynchronous(Consumer.commit)
    commit_async = asynchronous(Consumer.commit_async)
    committed = asynchronous(Consumer.committed)

    # The logs

    offsets_for_times = asynchronous(Consumer.offsets_for_times)
    beginning_offsets = asynchronous(Consumer.beginning_offsets)
    end_offsets = asynchronous(Consumer.end_offsets)

    # Its life

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._guard.closed

    async def close(self, timeout: float = 30.0) -> None:  # noqa: ASYNC109  # as `Consumer.close`
        """End every call and iteration, from any task; does nothing the second time.

        Waits at most `timeout` seconds for a task that is in a call to leave it.
        """
        await self._close(timeout)

    async def _close(self, timeout: float = 30.0, *, in_the_middle: bool = False) -> None:  # noqa: ASYNC109
        self.synchronous.begin_close()
        waiter = self._left.add()
        if self._guard.forked:
            return
        if self._guard.is_entered:
            await asyncio.wait([waiter], timeout=timeout)
        is_idle = not self._guard.is_entered
        with self._guard.last_words():
            await self._driver.drive(
                self.synchronous.end_close(is_idle=is_idle, in_the_middle=in_the_middle)
            )

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with leaving(error):
            await self._close(in_the_middle=error is not None)

    async def _begin(self) -> None:
        if self._topics:
            subscribe = flow_of(Consumer.subscribe)
            await self._drive_entered(lambda consumer: subscribe(consumer, self._topics))
            self._topics = []

    async def _drive(self, begin: Callable[[Consumer], Flow[R]]) -> R:
        if self._topics:
            await self._begin()
        return await self._drive_entered(begin)

    async def _drive_entered(self, begin: Callable[[Consumer], Flow[R]]) -> R:
        try:
            with self._guard:
                await self._driver.pause()
                return await self._driver.drive(begin(self.synchronous))
        finally:
            self._left.wake()
