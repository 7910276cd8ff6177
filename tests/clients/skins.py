"""The asynchronous clients behind the synchronous ones' calls: one test-suite drives both.

A `Driven` has every verb of what it drives; each is awaited on an event loop that a thread of
its own runs. In a forked child, where that thread is not, it begins another.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import streamlog
from streamlog.clients.asynchronous.admin import AsyncAdmin
from streamlog.clients.asynchronous.consumer import AsyncConsumer
from streamlog.clients.asynchronous.log import AsyncStreamLog
from streamlog.clients.asynchronous.typed import AsyncTypedProducer, AsyncTypedTopic
from streamlog.clients.futures import SendManyFuture

SKINS = ("sync", "async")
LIMIT_S = 30.0  # of what must happen at once
_END = object()


class Interrupt(BaseException):
    """What strikes like Ctrl-C, and leaves an event loop alone."""


class LoopThread:
    """An event loop and the thread that runs it."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], Any]) -> Any:
        """Call on the loop, and await what comes of it; the result."""
        if self._pid != os.getpid():
            self._start()

        async def begin() -> Any:
            answer = call()
            return await answer if isinstance(answer, Awaitable) else answer

        return asyncio.run_coroutine_threadsafe(begin(), self.loop).result(LIMIT_S)

    def close(self) -> None:
        """End the loop, which nobody may be left on."""
        left = self.run(lambda: asyncio.all_tasks(self.loop))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LIMIT_S)
        self.loop.close()
        assert len(left) == 1, left  # the one that asked


class Driven:
    """Calls the verbs of `driven` on the loop. What else is asked for is `inner`'s, as it is."""

    def __init__(self, driven: Any, thread: LoopThread, inner: Any = None) -> None:
        self.driven = driven
        self.inner = inner
        self._thread = thread

    def __getattr__(self, name: str) -> Any:
        if not hasattr(self.driven, name):
            return getattr(self.inner, name)
        found = getattr(self.driven, name)
        if callable(found):
            return lambda *args, **kwargs: self._run(lambda: found(*args, **kwargs))
        return _wrap(found, self._thread)

    def _run(self, call: Callable[[], Any]) -> Any:
        return _wrap(self._thread.run(call), self._thread)

    def __iter__(self) -> Any:
        return DrivenIterator(self._thread.run(self.driven.__aiter__), self._thread)

    def __next__(self) -> Any:
        return next(DrivenIterator(self.driven, self._thread))

    def __enter__(self) -> Any:
        self._thread.run(self.driven.__aenter__)
        return self

    def __exit__(self, *what: object) -> None:
        self._thread.run(lambda: self.driven.__aexit__(*what))

    def __repr__(self) -> str:
        return repr(self.driven)


class DrivenIterator:
    """`async for`, step by step."""

    def __init__(self, iterator: Any, thread: LoopThread) -> None:
        self._iterator = iterator
        self._thread = thread

    def __iter__(self) -> DrivenIterator:
        return self

    def __next__(self) -> Any:
        async def step() -> Any:
            try:
                return await anext(self._iterator)
            except StopAsyncIteration:
                return _END

        record = self._thread.run(step)
        if record is _END:
            raise StopIteration
        return record


class DrivenFuture:
    """A future whose outcome is awaited on the loop."""

    def __init__(self, future: Any, thread: LoopThread) -> None:
        self.future = future
        self._thread = thread
        self.settle: Callable[[], object] = lambda: None  # waits for what others still do

    def __getattr__(self, name: str) -> Any:
        return getattr(self.future, name)

    def __eq__(self, other: object) -> bool:
        return self.future is getattr(other, "future", other)

    def __hash__(self) -> int:
        return hash(self.future)

    def result(self, timeout: float | None = None) -> Any:
        async def outcome() -> Any:
            async with asyncio.timeout(timeout):
                return await self.future

        found = self._thread.run(outcome)
        self.settle()
        return found

    def exception(self, timeout: float | None = None) -> Exception | None:
        try:
            self.result(timeout)
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001  # that is the answer
            return error
        return None


def _wrap(found: Any, thread: LoopThread) -> Any:
    """What an asynchronous verb returned, as the synchronous one's."""
    kind = type(found).__name__
    if isinstance(found, AsyncConsumer):
        return Driven(found, thread, found.synchronous)
    if isinstance(found, AsyncAdmin | AsyncTypedTopic | AsyncTypedProducer):
        return Driven(found, thread)
    if kind == "AsyncProducer":  # of whichever kernel
        return Driven(found, thread, found.synchronous)
    if kind == "AsyncReading":
        return DrivenIterator(found, thread)
    if kind == "RecordFuture" or isinstance(found, SendManyFuture):
        return DrivenFuture(found, thread)
    return found


def driver_of(open_log: Callable[..., AsyncStreamLog], thread: LoopThread) -> Callable[..., Any]:
    """`streamlog.open` on top of `streamlog.open_async`."""

    def open_driven(*args: Any, **settings: Any) -> Any:
        log = thread.run(lambda: open_log(*args, **settings))
        return Driven(log, thread, log.synchronous)

    return open_driven


def open_with(skin: str, thread: LoopThread | None) -> Callable[..., Any]:
    """What opens a log, in the synchronous manner, for one of `SKINS`."""
    if skin == "sync":
        return streamlog.open
    assert thread is not None
    return driver_of(streamlog.open_async, thread)
