"""The few threads of a log for what would stop an event loop; asyncio's own are not used."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from streamlog.clients.asynchronous.waking import wake
from streamlog.clients.forking import watch_forks
from streamlog.errors import ClosedError

if TYPE_CHECKING:
    from streamlog.clients.asynchronous.waking import Waiter

T = TypeVar("T")

THREADS = 4


class Workers:
    """Begun at the first use, and again in a forked child, where the parent's are not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._is_closed = False
        watch_forks(self)

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Have a thread call `function`. Raises `ClosedError` after `close()`."""
        with self._lock:
            if self._is_closed:
                raise ClosedError("the log is closed")
            if self._executor is None:
                self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="streamlog worker")
            return self._executor.submit(function)

    def start(self, function: Callable[[], object]) -> None:
        """Have a thread call `function`, for nobody to wait for; what it raises is logged."""
        self.submit(function).add_done_callback(partial(_log_failure, function))

    async def run(self, function: Callable[[], T]) -> T:
        """Wait for a thread to call `function`; its result.

        Cancelled, the call is not begun, or goes on with nobody to hear of its end.
        """
        job = self.submit(function)
        try:
            return await self.outcome(job)
        except asyncio.CancelledError:
            job.cancel()
            raise

    @staticmethod
    async def outcome(job: Future[T]) -> T:
        """Wait for the end of a job that others may be waiting for too; its result.

        The event loop turns, also where the job is over already.
        """
        over: Waiter = asyncio.get_running_loop().create_future()
        job.add_done_callback(lambda _: wake([over]))
        if over.done():
            await asyncio.sleep(0)
        else:
            await over
        return job.result()

    def close(self) -> None:
        """Take no more calls. Those that were begun go on; an exiting interpreter awaits them."""
        with self._lock:
            self._is_closed = True
            if self._executor is not None:
                self._executor.shutdown(wait=False)

    def forked_in_child(self) -> None:
        """The threads are the parent's."""
        self._lock = threading.Lock()
        self._executor = None


def _log_failure(function: Callable[[], object], job: Future[object]) -> None:
    error = None if job.cancelled() else job.exception()
    if error is not None:
        logging.getLogger("streamlog.clients").error("%r failed", function, exc_info=error)
