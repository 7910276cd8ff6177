"""Awaitables that mostly have their result already: a record sent, the next record of a fetch.

An `async def` for each record would cost as much as the record itself. The compiled twin, for
which this is the specification, is `_awaitable.pyx`.

None of them keeps an event loop for itself: about every millisecond one of them is over only
when the loop has turned once, so that other tasks, timeouts and cancellations get their turn.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, Self, TypeVar

from streamlog.clients.postponed import Postponed
from streamlog.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from streamlog.clients.accumulator import RecordAccumulator
    from streamlog.clients.batch import RecordFuture
    from streamlog.clients.record_stream import RecordStream
    from streamlog.record.kernel import Record

#: How long a loop over what is there may go on before it lets the event loop turn.
TURN_S = 0.001
_LOOK_EVERY = 8  # records, at the clock

R = TypeVar("R")


class Resolved(Coroutine[Any, Any, R], Generic[R]):
    """Awaited, it is over at once, or after one turn of the event loop if it is to `pause`."""

    __slots__ = ("_pause", "_result")

    def __init__(self, result: R, pause: bool = False) -> None:
        self._result = result
        self._pause = pause

    def __await__(self) -> Generator[Any, None, R]:
        return self  # as much of one as the interpreter asks for

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> None:
        if self._pause:
            self._pause = False
            return
        raise StopIteration(self._result)

    def send(self, value: Any) -> Any:
        """What coroutines have, for who treats it as one: `asyncio.create_task()`."""
        del value
        return next(self)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> NoReturn:
        """See `send`."""
        del traceback
        raise kind if value is None else value

    def close(self) -> None:
        """See `send`."""


class Loading(Protocol):
    """Where an `AsyncRecordStream` gets its next fetch from."""

    def load(self) -> Coroutine[Any, Any, None]:
        """Load the stream. Raises `StopAsyncIteration` at the end."""


class AsyncRecordStream:
    """The records of a `RecordStream`, for `async for`.

    `source.load()`, a coroutine, loads the stream when it is used up, and raises
    `StopAsyncIteration` at its end. A record is taken when it is awaited and not before.
    """

    __slots__ = ("_asked", "_turn_began", "records", "source")

    def __init__(self, records: RecordStream, source: Loading) -> None:
        self.records = records
        self.source = source
        self._asked = 0
        self._turn_began = -1.0

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Record]:
        return NextRecord(self)

    def begin_turn(self) -> None:
        """The event loop has turned."""
        self._turn_began = -1.0

    def turn_is_over(self) -> bool:
        """Whether the event loop has waited for long enough; looks at the clock now and then."""
        self._asked += 1
        if self._asked % _LOOK_EVERY and self._turn_began >= 0:
            return False
        now = SYSTEM_CLOCK.monotonic()
        if self._turn_began < 0:
            self._turn_began = now
        if now - self._turn_began < TURN_S:
            return False
        self.begin_turn()
        return True


class NextRecord(Coroutine[Any, Any, "Record"]):
    """The next record of an `AsyncRecordStream`, to be awaited."""

    __slots__ = ("_loading", "_stream")

    def __init__(self, stream: AsyncRecordStream) -> None:
        self._stream = stream
        self._loading: Coroutine[Any, Any, None] | None = None

    def __await__(self) -> Generator[Any, None, Record]:
        return self  # as of `Resolved`

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while True:
            if self._loading is None:
                if self._stream.turn_is_over():
                    return None
                record = self._stream.records.next_record()
                if record is not None:
                    raise StopIteration(record)
                self._loading = self._stream.source.load()
            try:
                suspended_on = self._loading.send(None)
            except StopIteration:
                self._loading = None
                continue
            self._stream.begin_turn()
            return suspended_on

    def send(self, value: Any) -> Any:
        """As of a coroutine."""
        del value
        return next(self)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """As of a coroutine: a cancellation reaches what is being loaded."""
        del traceback
        error = kind if value is None else value
        if self._loading is None:
            raise error
        try:
            return self._loading.throw(error)
        except StopIteration:
            self._loading = None
        return next(self)

    def close(self) -> None:
        """As of a coroutine."""
        if self._loading is not None:
            self._loading.close()


class AsyncSender:
    """The hot half of an `AsyncProducer`. The subclass provides `_send_later(postponed, args)`."""

    __slots__ = ("__weakref__", "_accumulator", "_paused_ms")

    def __init__(self, accumulator: RecordAccumulator) -> None:
        self._accumulator = accumulator
        self._paused_ms = 0

    def send(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        headers: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Coroutine[Any, Any, RecordFuture]:
        """Send one record; awaited, it gives the record's `RecordFuture`. See `AsyncProducer`."""
        args = (topic, value, key, headers, partition, timestamp_ms)
        try:
            future = self._accumulator.send(*args)
        except Postponed as postponed:
            return self._send_later(postponed, args)
        pause = self._accumulator.last_send_ms != self._paused_ms
        self._paused_ms = self._accumulator.last_send_ms
        return Resolved(future, pause)

    def _send_later(
        self, postponed: Postponed, args: tuple[Any, ...]
    ) -> Coroutine[Any, Any, RecordFuture]:
        raise NotImplementedError
