"""The one background thread of the process: linger, and syncs that nobody waits for.

A producer arms itself when it opens a batch while it is not armed: that wakes the thread, once.
While something is on its way the thread ticks; when nothing was for a while it disarms the
producer and sleeps until it is woken. So no record notifies anybody. An armed producer is kept
alive: what it buffers is sent even if its last reference is dropped.

At the interpreter's exit every producer is flushed, within `EXIT_SECONDS` together. A forked child
has no such thread, and its parent's producers refuse to work there: nothing is flushed twice.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol

EXIT_SECONDS = 10.0
_LONGEST_SLEEP_S = 3600.0
_RETRY_S = 1.0


class Lingering(Protocol):
    """What the sender serves: a producer."""

    armed: bool

    def tick(self) -> float | None:
        """Do what is due. Seconds until the next call, or None: nothing, and disarmed."""

    def flush_at_exit(self, seconds: float) -> None:
        """Send everything, the interpreter ends."""

    def mark_forked(self) -> None:
        """This is now a child of the process that made the producer."""


class Sender:
    """Ticks armed producers. `tick()` is all the thread does, so a test calls it instead."""

    def __init__(self, *, threaded: bool = True) -> None:
        self._threaded = threaded
        self._thread: threading.Thread | None = None
        self._wake = threading.Condition()
        self._hurried = False
        self._armed: dict[Lingering, None] = {}

    def arm(self, producer: Lingering) -> None:
        """Serve `producer` until it says that nothing is left."""
        with self._wake:
            self._armed[producer] = None
            producer.armed = True
            if self._threaded and self._thread is None:
                self._start()
            self._wake.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="streamlog sender", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends and starts no more: its last flush is to come
            return
        self._thread = thread

    def disarm(self, producer: Lingering) -> None:
        """A closed producer needs nothing any more."""
        with self._wake:
            producer.armed = False
            self._armed.pop(producer, None)

    def hurry(self) -> None:
        """Tick now: somebody waits without a thread of his own."""
        with self._wake:
            self._hurried = True
            self._wake.notify()

    def tick(self) -> float:
        """Serve every armed producer once; seconds until the next time."""
        delay = _LONGEST_SLEEP_S
        for producer in list(self._armed):
            due = self._tick(producer)
            if due is not None:
                delay = min(delay, due)
                continue
            with self._wake:
                if not producer.armed:  # not armed again meanwhile
                    self._armed.pop(producer, None)
        return delay

    @staticmethod
    def _tick(producer: Lingering) -> float | None:
        """One producer's trouble (metadata that cannot be read) is its own: `flush()` raises it.

        The thread serves every producer of the process, and must outlive it.
        """
        try:
            return producer.tick()
        except Exception:
            import logging

            logging.getLogger("streamlog.clients").exception("serving %r failed", producer)
            return _RETRY_S

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._armed:
                    self._wake.wait()
                self._hurried = False
            delay = self.tick()
            with self._wake:
                if self._armed and not self._hurried:
                    self._wake.wait(delay)


_sender = Sender()
_producers: weakref.WeakSet[Lingering] = weakref.WeakSet()


def process_sender() -> Sender:
    """The sender of this process."""
    return _sender


def register(producer: Lingering) -> None:
    """Have `producer` flushed at exit and marked in forked children."""
    _producers.add(producer)


def unregister(producer: Lingering) -> None:
    _producers.discard(producer)


def _flush_at_exit() -> None:
    import time

    deadline = time.monotonic() + EXIT_SECONDS
    for producer in list(_producers):
        producer.flush_at_exit(max(0.0, deadline - time.monotonic()))


def _after_fork_in_child() -> None:
    global _sender
    for producer in list(_producers):
        producer.mark_forked()
    _producers.clear()
    _sender = Sender()


atexit.register(_flush_at_exit)
os.register_at_fork(after_in_child=_after_fork_in_child)
