"""One thread that waits on the directory's bell for everybody in the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine


class BellWatch:
    """Calls `rung`, on its own thread, once for each `arm` when the bell moved.

    While nobody is waited for, nobody waits: a bell without waiters costs who rings it nothing.
    """

    def __init__(self, engine: Engine, rung: Callable[[], None]) -> None:
        self._engine = engine
        self._rung = rung
        self._seen = 0
        self._closed = False
        self._armed = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="streamlog-bell", daemon=True)
        self._thread.start()

    def arm(self, seen: int) -> None:
        """Wait until the bell is no longer at `seen`. Not again before it rang."""
        self._seen = seen
        self._armed.release()

    def close(self) -> None:
        """End the thread. What was armed does not ring any more."""
        self._closed = True
        self._engine.ring()
        self._armed.release()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._armed.acquire()
            if self._closed:
                return
            self._engine.wait(self._seen)
            if self._closed:
                return
            self._rung()
