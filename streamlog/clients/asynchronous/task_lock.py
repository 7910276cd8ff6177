"""What `threading.RLock` is to threads, for tasks."""

from __future__ import annotations

import asyncio
import threading


class TaskLock:
    """Held by one task at a time, which may take it again; or by a thread without a loop, once.

    It may be released by another thread than it was taken by.
    """

    __slots__ = ("_depth", "_holder", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: asyncio.Task[object] | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.Lock.acquire`."""
        task = _current_task()
        if task is not None and self._holder is task:
            self._depth += 1
            return True
        if not self._lock.acquire(blocking, timeout):
            return False
        self._holder, self._depth = task, 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._holder = None
            self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # a thread without a loop
        return None
