"""Cancelling at every place: a task that is cancelled at the k-th time that it is suspended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import wraps
from itertools import count
from typing import Any

LIMIT_S = 30.0
_MOST = 10_000


class CancelAt:
    """Awaits `awaitable`, and cancels its task at the suspension of that number."""

    def __init__(self, awaitable: Awaitable[Any], at: int) -> None:
        self._awaitable = awaitable
        self._left = at
        self.struck = False

    def __await__(self) -> Generator[Any, Any, Any]:
        inner: Any = self._awaitable.__await__()
        step: Callable[[], Any] = lambda: next(inner)  # noqa: E731  # changes below
        while True:
            try:
                suspended_on = step()
            except StopIteration as end:
                return end.value
            if self._left == 0:
                self.struck = True
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            self._left -= 1
            try:
                yield suspended_on
            except BaseException as error:  # noqa: BLE001  # thrown in, as it was here
                step = lambda error=error: inner.throw(error)  # noqa: E731
            else:
                step = lambda: next(inner)  # noqa: E731


async def cancel_everywhere(
    attempt: Callable[[int], Awaitable[Any]], check: Callable[[int, bool], Awaitable[Any]]
) -> int:
    """Await `attempt(k)` cancelled at suspension k, then `check(k, cancelled)`, for every k.

    Ends with the first attempt that is over before; the number of cancellations.
    """
    for number in count():
        assert number < _MOST, "it is suspended for ever"
        cancelling = CancelAt(attempt(number), number)
        cancelled = await ends_cancelled(cancelling)
        await check(number, cancelled)
        if not cancelling.struck:
            return number
    raise AssertionError("count() has no end")


async def ends_cancelled(awaitable: Awaitable[Any]) -> bool:
    """Await in a task of its own; whether it was cancelled."""

    async def body() -> None:
        await awaitable

    task = asyncio.create_task(body())
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def turn_until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until something has happened, with a bound."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0)


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test on an event loop in debug mode, which notices calls from wrong threads."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(2 * LIMIT_S):
                await test(*args, **kwargs)

        asyncio.run(bounded(), debug=True)

    return run
