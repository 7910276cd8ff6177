"""Housekeeping: what keeps a directory from growing for ever, in one process at a time.

A thread of each engine begins with the first topic that asks for it, and tries for the
housekeeping byte at every round: whoever gets it does what is due, for all processes, and when
it dies in the middle another one goes on. When something was done last stands in the shared
header, by the monotonic clock, so that any number of processes, however short they live, do it
as often as one would.

    retention    `log_retention_check_interval_ms`   topics that are not compacted
    cleaning     `log_cleaner_backoff_ms`            topics that are: Kafka's cleaner does theirs

What fails for one partition is logged and noted, and stops no other; that partition is passed
over until the directory is opened again, or somebody applies retention to it by hand.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamlog.broker.metadata_image import COMPACTION
from streamlog.broker.retention_round import RetentionRound, Subject, find_subjects
from streamlog.broker.shared_timer import SharedTimer
from streamlog.errors import LockTimeoutError, StreamlogError
from streamlog.storage import shared
from streamlog.types import TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.config import OpenConfig
    from streamlog.storage.partition_log import PartitionLog

_PAUSE_S = 0.002


class Housekeeper:
    """The housekeeping of one engine. Thread-safe.

    `run_once` is all that its thread does. `failed` are the partitions that are passed over, each
    with what went wrong there.
    """

    def __init__(self, engine: Engine, config: OpenConfig) -> None:
        self._engine = engine
        self._config = config
        self._opening = engine._opening
        self._rounds = threading.Lock()  # the byte does not keep out this process's own threads
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        slots, clock = engine._opening.shared, engine.clock
        self._retention = SharedTimer(
            slots, shared.HEADER_RETENTION_MS, config.log_retention_check_interval_ms, clock
        )
        self._cleaning = SharedTimer(
            slots, shared.HEADER_CLEANING_MS, config.log_cleaner_backoff_ms, clock
        )
        self.failed: dict[TopicPartition, StreamlogError] = {}

    # ---------------------------------------------------------------- the thread

    def start(self) -> None:
        """Begin the thread, or let it look at what changed. Without `housekeeping`: nothing."""
        with self._wake:
            if self._is_closed or not self._config.housekeeping:
                return
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="streamlog-housekeeping", daemon=True
                )
                self._thread.start()
            self._wake.notify()

    def close(self) -> None:
        """End the thread, behind the partition that it is at."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    @property
    def _seconds_left(self) -> float:
        """Until the next round is due."""
        if self._engine.metadata.image.cleanup & COMPACTION:
            return min(self._retention.seconds_left, self._cleaning.seconds_left)
        return self._retention.seconds_left

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._wake:
                wait = max(pause, self._seconds_left)
                if not self._is_closed and wait > 0:
                    self._wake.wait(wait)
                if self._is_closed:
                    return
            is_mine = self.run_once(self._engine.clock.now_ms())
            # Another process is at it, and may die: looked at again well before the next round.
            pause = 0.0 if is_mine else self._config.log_cleaner_backoff_ms / 1000

    # ---------------------------------------------------------------- rounds

    def run_once(self, now_ms: int) -> bool:
        """Do what is due, with records as old as they are at `now_ms`.

        False while another process, or another thread of this one, does it.
        """
        with self._exclusive(wait=False) as is_mine:
            if is_mine:
                if self._retention.seconds_left == 0:
                    self._retain(find_subjects(self._engine, compacted=False), now_ms)
                    self._retention.restart()
                if self._cleaning.seconds_left == 0:
                    self._clean(now_ms)
                    self._cleaning.restart()
        return is_mine

    def _clean(self, now_ms: int) -> None:
        """A round of Kafka's cleaner: the place of compaction, and then retention."""
        self._retain(find_subjects(self._engine, compacted=True), now_ms)

    def _retain(self, subjects: Iterator[Subject], now_ms: int) -> None:
        round_ = RetentionRound(self._engine.metadata.log, now_ms, lambda: self._is_closed)
        round_.run(subject for subject in subjects if _name(subject.log) not in self.failed)
        for log, error in round_.errors.items():
            self._note(log, error)

    def apply_retention(self, topics: frozenset[str] | None = None) -> dict[TopicPartition, int]:
        """Apply retention to these topics, or all, now; where each log begins that moved.

        Also to partitions where it failed before. All are tried, then the first failure is
        raised. Raises `LockTimeoutError` when another process does not get on with its round.
        """
        with self._exclusive(wait=True):
            subjects = [
                subject
                for compacted in (False, True)
                for subject in find_subjects(self._engine, compacted=compacted, topics=topics)
            ]
            before = {log: log.log_start for log, _ in subjects}
            now_ms = self._engine.clock.now_ms()
            round_ = RetentionRound(self._engine.metadata.log, now_ms, lambda: self._is_closed)
            round_.run(subjects)
            for log in before:
                self.failed.pop(_name(log), None)
            for log, error in round_.errors.items():
                self._note(log, error)
        for error in round_.errors.values():
            raise error
        return {_name(log): log.log_start for log, was in before.items() if log.log_start != was}

    def _note(self, log: PartitionLog, error: StreamlogError) -> None:
        """Pass over a partition from now on; but not because somebody else is at it right now."""
        import logging

        logger = logging.getLogger("streamlog")
        if isinstance(error, LockTimeoutError):
            logger.warning("retention of %s-%d has to wait: %s", log.topic, log.partition, error)
        else:
            self.failed[_name(log)] = error
            logger.error("retention of %s-%d failed: %s", log.topic, log.partition, error)

    # ---------------------------------------------------------------- whose turn it is

    @contextmanager
    def _exclusive(self, *, wait: bool) -> Iterator[bool]:
        """Be the only one who does housekeeping; False when somebody else does.

        With `wait`, `LockTimeoutError` when somebody does for longer than `lock_timeout_ms`.
        """
        deadline = time.monotonic() + self._config.lock_timeout_ms / 1000
        if not self._rounds.acquire(timeout=max(deadline - time.monotonic(), 0) if wait else 0):
            if wait:
                raise self._timeout()
            yield False
            return
        try:
            while not (is_mine := self._lock_byte()) and wait:
                if time.monotonic() >= deadline:
                    raise self._timeout()
                time.sleep(_PAUSE_S)
            try:
                yield is_mine
            finally:
                if is_mine:
                    self._opening.filesystem.unlock(
                        self._opening.locks_descriptor, shared.HOUSEKEEPING_LOCK, 1
                    )
        finally:
            self._rounds.release()

    def _lock_byte(self) -> bool:
        is_mine = self._opening.filesystem.lock(
            self._opening.locks_descriptor, shared.HOUSEKEEPING_LOCK, 1, exclusive=True
        )
        if is_mine:
            self._opening.shared.map.words[shared.HEADER_HOUSEKEEPER] = os.getpid()
        return is_mine

    def _timeout(self) -> LockTimeoutError:
        pid = int(self._opening.shared.map.words[shared.HEADER_HOUSEKEEPER])
        path = self._engine.place.path
        return LockTimeoutError(
            f"process {pid} does the housekeeping of {path} for more than "
            f"{self._config.lock_timeout_ms} ms; nothing was changed",
            path=path,
            pid=pid,
        )


def _name(log: PartitionLog) -> TopicPartition:
    return TopicPartition(log.topic, log.partition)
