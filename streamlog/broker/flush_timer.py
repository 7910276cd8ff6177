"""`flush.ms`: syncing what is unsynced for that long, by a thread of the process that opened it.

A log is looked at once every `flush.ms`, and synced if it is behind: so no record that is there
stays unsynced for longer. The thread begins with the first topic that asks for it. Who gives a
topic its `flush.ms` watches all that was written there, for processes that only hear of it when
they write again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from streamlog.config.settings import LONG_MAX
from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from streamlog.clock import Clock
    from streamlog.storage.partition_log import PartitionLog

_SHORTEST_PERIOD_SECONDS = 0.001
_LONGEST_PERIOD_SECONDS = 1e6  # what a wait can be told; a look too many does no harm


class FlushTimer:
    """The logs with a `flush.ms` and when each is next looked at. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wake = threading.Condition()
        self._due: dict[PartitionLog, float] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def watch(self, log: PartitionLog) -> None:
        """Sync `log` whenever it was behind for its `flush.ms`; no more, once it has none."""
        with self._wake:
            if self._is_closed:
                return
            if log.config.flush_ms == LONG_MAX:
                self._due.pop(log, None)
                return
            self._due[log] = self._clock.monotonic() + _period(log)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="streamlog-flush", daemon=True
                )
                self._thread.start()
            self._wake.notify()

    @property
    def watched(self) -> list[PartitionLog]:
        """The logs that are looked at."""
        with self._wake:
            return list(self._due)

    def close(self) -> None:
        """End the thread; a sync that it is in the middle of is waited for."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (due := self._wait_for_due()) is not None:
            for log in due:
                self._sync(log)

    def _wait_for_due(self) -> list[PartitionLog] | None:
        """The logs to look at now; None when it is over."""
        with self._wake:
            while not self._is_closed:
                now = self._clock.monotonic()
                due = [log for log, at in self._due.items() if at <= now]
                if due:
                    for log in due:
                        self._due[log] = now + _period(log)
                    return due
                self._wake.wait(min(self._due.values()) - now if self._due else None)
            return None

    def _sync(self, log: PartitionLog) -> None:
        try:
            if log.synced_end < log.log_end:
                log.sync(log.log_end)
        except StreamlogError as error:
            # A failed sync is in the slot and meets the next writer; here nobody waits for it,
            # and there is nothing to try again before the partition is recovered.
            with self._wake:
                self._due.pop(log, None)
            import logging

            logging.getLogger("streamlog").error(
                "flush.ms of %s-%d: %s", log.topic, log.partition, error
            )


def _period(log: PartitionLog) -> float:
    seconds = log.config.flush_ms / 1000
    return min(max(seconds, _SHORTEST_PERIOD_SECONDS), _LONGEST_PERIOD_SECONDS)
