"""Waiting for appends without a thread each: one thread a directory, for all loops of the process.

It sleeps on the directory's bell, looks at who waits when it rings, and wakes those for whom
there is something. Timeouts are their loops' business.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from streamlog.clients.asynchronous.waking import Waiter, wake

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.flows import Wait

#: How long the thread stays when nobody waits, and how often it looks for loops that closed.
LINGER_S = 1.0


class Bell:
    """The bell of one directory, for those who await it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = ref(engine)
        self._changed = threading.Condition()
        self._waiting: dict[Waiter, Wait] = {}
        self._thread: threading.Thread | None = None

    async def wait(self, engine: Engine, wait: Wait) -> None:
        """Return when there may be something for who waits, or when the time is over."""
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        self._add(waiter, wait)
        timer = None
        try:
            # Added first: what is appended from here on wakes the waiter.
            if engine.bell() != wait.seen and wait.ready():
                await asyncio.sleep(0)
                return
            if wait.seconds is not None:
                timer = loop.call_later(wait.seconds, wake, [waiter])
            await waiter
        finally:
            self._waiting.pop(waiter, None)
            if timer is not None:
                timer.cancel()

    def _add(self, waiter: Waiter, wait: Wait) -> None:
        with self._changed:
            self._waiting[waiter] = wait
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="streamlog bell", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._changed.wait(LINGER_S)
                if not self._waiting:
                    self._thread = None
                    return
            engine = self._engine()
            if engine is None:  # and so nobody waits any more
                continue
            # Read before anything is looked at: what comes later rings it.
            seen = engine.bell()
            self._wake_those_due()
            if self._waiting:
                engine.wait(seen, LINGER_S)
            del engine

    def _wake_those_due(self) -> None:
        due = []
        for waiter, wait in list(self._waiting.items()):
            if waiter.get_loop().is_closed() or _is_due(wait):
                self._waiting.pop(waiter, None)
                due.append(waiter)
        if due:
            wake(due)


def _is_due(wait: Wait) -> bool:
    """Whether there is something; what cannot be told is left to who waits to find out."""
    try:
        return wait.ready()
    except Exception:  # noqa: BLE001  # the look that follows meets it, and raises it
        return True


_lock = threading.Lock()
_bells: WeakKeyDictionary[Engine, Bell] = WeakKeyDictionary()


def bell_of(engine: Engine) -> Bell:
    """The bell of a directory that is open in this process."""
    with _lock:
        bell = _bells.get(engine)
        if bell is None:
            bell = _bells[engine] = Bell(engine)
        return bell


def _forget_parents_bells() -> None:
    global _lock
    _lock = threading.Lock()
    _bells.clear()


os.register_at_fork(after_in_child=_forget_parents_bells)
