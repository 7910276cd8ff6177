"""Who may use a consumer: one thread or task at a time, in the process that made it, until it is
closed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from streamlog.clients.forking import watch_forks
from streamlog.errors import ClosedError, ConcurrentUseError, ForkedHandleError


class Guard:
    """Entered by every call; costs one uncontended lock and is never entered per record.

    Raises `ForkedHandleError`, `ClosedError` or `ConcurrentUseError`. The same thread may enter
    again: a signal handler, or a `close()` in the middle of an iteration. With a `task_lock` two
    tasks are told apart that share a thread, and a call may be left by another thread than it was
    entered by.
    """

    __slots__ = ("__weakref__", "_is_leaving", "_lock", "_users", "_what", "closed", "forked")

    def __init__(self, what: str, task_lock: Any = None) -> None:
        self.closed = False
        self.forked = False
        self._is_leaving = False
        self._what = what
        self._users = "thread" if task_lock is None else "task"
        self._lock: Any = threading.RLock() if task_lock is None else task_lock
        watch_forks(self)

    def forked_in_child(self) -> None:
        """From now on every call raises."""
        self.forked = True

    def enter_unless_closed(self) -> bool:
        """Enter, or return False when it is closed."""
        if self.forked:
            raise ForkedHandleError(
                f"this {self._what} belongs to the process that forked this one; open one of "
                "this process's own"
            )
        if self.closed and not self._is_leaving:
            return False
        if not self._lock.acquire(blocking=False):
            if self.closed:
                return False
            raise ConcurrentUseError(
                f"two {self._users}s use one {self._what} at the same time; give each "
                f"{self._users} its own (only close() may come from another {self._users})"
            )
        return True

    def __enter__(self) -> Self:
        if not self.enter_unless_closed():
            raise ClosedError(f"the {self._what} is closed")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    @property
    def is_entered(self) -> bool:
        """Whether a task is in a call; of a guard for tasks."""
        return bool(self._lock.locked())

    def leave(self) -> None:
        """Undo one `enter_unless_closed()` that returned True."""
        self._lock.release()

    @contextmanager
    def last_words(self) -> Iterator[None]:
        """Closed to all others, used by this one: what its callbacks call goes on."""
        if not self._lock.acquire(blocking=False):  # somebody else would not leave it
            yield
            return
        self._is_leaving = True
        try:
            yield
        finally:
            self._is_leaving = False
            self._lock.release()

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait for the thread that is in a call to leave it; at most `timeout` seconds."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._lock.release()
        return True
