"""`AsyncStreamLog.read()`: the records that are there when it begins, and then it ends."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Self

from streamlog.clients.asynchronous.driving import Driver
from streamlog.clients.asynchronous.task_lock import TaskLock
from streamlog.clients.awaitables import AsyncRecordStream
from streamlog.clients.guard import Guard
from streamlog.clients.record_streams import RecordStream

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.asynchronous.workers import Workers
    from streamlog.clients.fetch import Deserializer
    from streamlog.clients.read import RangeSource


class _Nobody:
    """The source of a stream that only `Reading.load` loads. (It is not the reading, since the
    two would be a cycle, and streams are outside the collector.)
    """

    def next_fetch(self, _reached: int) -> None:
        return None


_NOBODY = _Nobody()


class Reading:
    """Loads the stream with one range after the other, which it resolves at the first."""

    def __init__(
        self, engine: Engine, workers: Workers, open_ranges: Callable[[], RangeSource]
    ) -> None:
        self._driver = Driver(engine, workers)
        self._workers = workers
        self._open_ranges = open_ranges
        self._ranges: RangeSource | None = None
        self._guard = Guard("reading", TaskLock())

    def records(
        self, key_deserializer: Deserializer | None, value_deserializer: Deserializer | None
    ) -> AsyncReading:
        """The records, for `async for`."""
        self._stream = RecordStream(
            _NOBODY, key_deserializer=key_deserializer, value_deserializer=value_deserializer
        )
        return AsyncReading(self._stream, self)

    async def begin(self) -> None:
        """Resolve what is read, unless that was done."""
        with self._guard:
            await self._resolved()

    async def load(self) -> None:
        """The next fetch. Raises `StopAsyncIteration` at the end, and what `read()` raises."""
        with self._guard:
            ranges = await self._resolved()
            fetch = await self._driver.drive(ranges.following(self._stream.position))
        if fetch is None:
            raise StopAsyncIteration
        self._stream.load(fetch)

    async def _resolved(self) -> RangeSource:
        if self._ranges is None:
            self._ranges = await self._workers.run(self._open_ranges)
        return self._ranges


class AsyncReading(AsyncRecordStream):
    """What `AsyncStreamLog.read()` returns: records for `async for`; awaited, it begins."""

    source: Reading

    def __await__(self) -> Generator[Any, None, Self]:
        return self._begin().__await__()

    async def _begin(self) -> Self:
        await self.source.begin()
        return self
