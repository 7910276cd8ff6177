"""Telling those who wait on event loops, from any thread."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable

Waiter = asyncio.Future[None]


def wake(
    waiters: Iterable[Waiter], error: BaseException | None = None, *, at_once: bool = True
) -> None:
    """End the waiting of all of these: once a loop, `at_once` on the loop that this thread runs.

    Each returns, or raises `error`. Whose loop is closed waits no more.
    """
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Waiter]] = defaultdict(list)
    for waiter in waiters:
        by_loop[waiter.get_loop()].append(waiter)
    running = asyncio._get_running_loop()
    for loop, those in by_loop.items():
        if loop is running and at_once:
            _settle(those, error)
            continue
        try:
            loop.call_soon_threadsafe(_settle, those, error)
        except RuntimeError:
            if not loop.is_closed():
                raise


def _settle(waiters: list[Waiter], error: BaseException | None) -> None:
    for waiter in waiters:
        if waiter.done():  # cancelled meanwhile
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


class Waiters:
    """Those who wait for one thing. `wake()` may come from any thread."""

    def __init__(self) -> None:
        self._waiting: deque[Waiter] = deque()

    def add(self) -> Waiter:
        """One more, to be awaited. First this, then a look at what is waited for."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return waiter

    def wake(self) -> None:
        """Let everybody look again who was there when this began."""
        found: list[Waiter] = []
        while self._waiting:
            try:
                found.append(self._waiting.popleft())
            except IndexError:  # another thread took the last one
                break
        if found:
            wake(found)
