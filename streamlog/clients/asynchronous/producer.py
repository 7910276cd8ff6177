"""`AsyncProducer`: what tasks call to write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from streamlog.clients.asynchronous.driving import Driver, asynchronous
from streamlog.clients.asynchronous.waking import wake
from streamlog.clients.awaitables import AsyncSender
from streamlog.clients.batch_state import USABLE
from streamlog.clients.leaving import leaving
from streamlog.clients.postponed import NoRoom, Postponed, TopicNotOpen
from streamlog.clients.producer import Producer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from streamlog.broker.engine import Engine
    from streamlog.clients.accumulators import RecordFuture
    from streamlog.clients.asynchronous.loop_producer import LoopProducer
    from streamlog.clients.asynchronous.waking import Waiter
    from streamlog.clients.asynchronous.workers import Workers
    from streamlog.clients.flows import Flow

R = TypeVar("R")
_LookUp = tuple["Future[None]", "Waiter"]


class AsyncProducer(AsyncSender):
    """`Producer` for tasks; made by `AsyncStreamLog.producer()`. For any loop, and any thread.

    `future = await producer.send(...)` waits for room in `buffer_memory` and returns the record's
    `RecordFuture`; `await future` writes the record's batch when this turn of the loop is over,
    linger or not, and gives the `RecordMetadata`. Records that many tasks await at once are
    written together. What `Producer.send` raises is raised by `send()`, or by awaiting it.

    A cancelled `send` is not sent, or its failure is raised by `flush()`; a cancelled `flush`
    goes on. Serializers and partitioners are called on the loop.
    """

    def __init__(self, producer: LoopProducer, engine: Engine, workers: Workers) -> None:
        super().__init__(producer)
        #: The producer under it. For `streamlog`'s own modules.
        self.synchronous = producer
        self._workers = workers
        self._driver = Driver(engine, workers)
        self._looking_up: dict[tuple[asyncio.AbstractEventLoop, str], _LookUp] = {}
        self._closing: Future[bool] | None = None

    def __repr__(self) -> str:
        return repr(self.synchronous).replace("LoopProducer", "AsyncProducer")

    send_many = asynchronous(Producer.send_many)
    flush = asynchronous(Producer.flush)
    partitions_for = asynchronous(Producer.partitions_for)

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # as the twin
        """As `Producer.close`. Cancelled it goes on, and another call waits for its end."""
        if self._closing is None and self.synchronous.unusable == USABLE:
            self._closing = self._workers.submit(partial(self.synchronous.end, timeout))
        if self._closing is not None:
            await self._workers.outcome(self._closing)
            self.synchronous.raise_failures()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        self.synchronous.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with leaving(error):
            await self.close()

    async def _drive(self, begin: Callable[[LoopProducer], Flow[R]]) -> R:
        await self._driver.pause()
        return await self._driver.drive(begin(self.synchronous))

    async def _send_later(self, postponed: Postponed, args: tuple[Any, ...]) -> RecordFuture:
        """Do what a send is waiting for, and send."""
        future = None
        if isinstance(postponed, NoRoom):
            future = await self._put_when_there_is_room(postponed)
        else:
            assert isinstance(postponed, TopicNotOpen), "there is no other reason"
            await self._look_up(postponed.topic)
        return await self.send(*args) if future is None else future

    async def _look_up(self, topic: str) -> None:
        """Together with everybody who needs the same: they go on in the order they came."""
        loop = asyncio.get_running_loop()
        found = self._looking_up.get((loop, topic))
        if found is None or found[1].done():
            found = self._begin_looking_up(loop, topic)
        job, over = found
        await asyncio.shield(over)
        job.result()

    def _begin_looking_up(self, loop: asyncio.AbstractEventLoop, topic: str) -> _LookUp:
        job = self._workers.submit(partial(self.synchronous.look_up, topic))
        over: Waiter = loop.create_future()
        key = (loop, topic)
        self._looking_up[key] = found = (job, over)
        over.add_done_callback(lambda _: self._looking_up.pop(key, None))
        job.add_done_callback(lambda _: wake([over], at_once=False))
        return found

    async def _put_when_there_is_room(self, postponed: NoRoom) -> RecordFuture | None:
        """None when the topic changed meanwhile: the send begins anew."""
        producer, size = self.synchronous, postponed.size
        deadline = producer.room.deadline()
        while True:
            waiter = producer.room_waiters.add()
            if not producer.room.has(size):
                left = producer.room.left(size, deadline)
                await asyncio.wait([waiter], timeout=left)
            try:
                return producer.put(*postponed.record)
            except NoRoom as still:
                size = still.size
            except TopicNotOpen:
                return None
