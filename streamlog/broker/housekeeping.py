"""Housekeeping: what keeps a directory from growing for ever, in one process at a time.

A thread of each engine begins with the first topic that asks for it, and tries for the
housekeeping byte at every round: whoever gets it does what is due, for all processes, and when
it dies in the middle another one goes on. When something was done last stands in the shared
header, by the monotonic clock, so that any number of processes, however short they live, do it
as often as one would.

    retention    `log_retention_check_interval_ms`   topics that are not compacted
    cleaning     `log_cleaner_backoff_ms`            topics that are, and then retention of theirs
    expiry       `offsets_retention_check_interval_ms`   committed offsets, where they expire

What fails for one partition is logged and noted, and stops no other; it is passed over until the
directory is opened again, or somebody does by hand what failed. A disk that is full, or somebody
who is at the partition right now, is no such failure: it is tried again at the next round.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamlog.broker.cleaning_round import Cleaner, CleaningStoppedError
from streamlog.broker.metadata_image import COMPACTION
from streamlog.broker.retention_round import RetentionRound, Subject, find_subjects
from streamlog.broker.shared_timer import SharedTimer
from streamlog.broker.throttle import Throttle
from streamlog.broker.typed_errors import typed_error
from streamlog.errors import (
    ClosedError,
    DiskFullError,
    LockTimeoutError,
    PartitionPoisonedError,
    StreamlogError,
    UnknownTopicError,
)
from streamlog.storage import shared
from streamlog.types import PartitionCompaction, TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.config import OpenConfig
    from streamlog.storage.partition_log import PartitionLog

_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 15.0
_PASSING = (LockTimeoutError, DiskFullError, PartitionPoisonedError)


class Housekeeper:
    """The housekeeping of one engine. Thread-safe.

    `run_once` is all that its thread does. `failed` are the partitions that retention passes over,
    `uncleanable` (Kafka's word) those that compaction does, each with what went wrong there.
    """

    def __init__(self, engine: Engine, config: OpenConfig) -> None:
        self._engine = engine
        self._config = config
        self._opening = engine._opening
        self._rounds = threading.Lock()  # the byte does not keep out this process's own threads
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._retention = self._timer(
            shared.HEADER_RETENTION_MS, lambda: config.log_retention_check_interval_ms
        )
        self._cleaning = self._timer(shared.HEADER_CLEANING_MS, self._backoff_ms)
        self._expiry = self._timer(
            shared.HEADER_EXPIRY_MS, lambda: config.offsets_retention_check_interval_ms
        )
        self._cleaner = Cleaner(
            engine.metadata.log,
            engine.broker_configs.of_directory,
            Throttle(self._bytes_per_second, engine.clock, self._rest),
            lambda: self._is_closed,
        )
        self.failed: dict[TopicPartition, StreamlogError] = {}
        self.uncleanable: dict[TopicPartition, StreamlogError] = {}

    def _timer(self, word: int, interval_ms: Callable[[], int]) -> SharedTimer:
        return SharedTimer(self._opening.shared, word, interval_ms, self._engine.clock)

    def _backoff_ms(self) -> int:
        return self._engine.broker_configs.of_directory().log_cleaner_backoff_ms

    def _bytes_per_second(self) -> float:
        self._engine.refresh()
        return self._engine.broker_configs.of_directory().log_cleaner_io_max_bytes_per_second

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
        """End the thread: retention behind the partition that it is at, compaction at once."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    @property
    def _seconds_left(self) -> float:
        """Until the next round is due."""
        timers = [self._retention]
        if self._engine.metadata.image.cleanup & COMPACTION:
            timers.append(self._cleaning)
        if self._config.offsets_retention_minutes is not None:
            timers.append(self._expiry)
        return min(timer.seconds_left for timer in timers)

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._wake:
                wait = max(pause, self._seconds_left)
                if not self._is_closed and wait > 0:
                    self._wake.wait(min(wait, threading.TIMEOUT_MAX))
                if self._is_closed:
                    return
            is_mine = self.run_once(self._engine.clock.now_ms())
            # Another process is at it, and may die: looked at again well before the next round.
            pause = 0.0 if is_mine else min(self._backoff_ms() / 1000, _LONGEST_PAUSE_S)

    def _rest(self, seconds: float) -> bool:
        """Wait so long, or until it is closed; whether it is."""
        with self._wake:
            return self._wake.wait_for(lambda: self._is_closed, seconds)

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
                if (
                    self._config.offsets_retention_minutes is not None
                    and self._expiry.seconds_left == 0
                ):
                    self._expire_offsets()
                    self._expiry.restart()
        return is_mine

    def _expire_offsets(self) -> None:
        try:
            self._engine.groups.expire_offsets()
        except StreamlogError as error:  # tried again at the next look
            import logging

            logging.getLogger("streamlog").warning("committed offsets have to wait: %s", error)

    def _clean(self, now_ms: int) -> None:
        """A round of Kafka's cleaner: compaction of all that is due, and then retention."""
        subjects = list(find_subjects(self._engine, compacted=True))
        logs = [log for log, _ in subjects if _name(log) not in self.uncleanable]
        for log, error in self._cleaner.run(logs, now_ms).items():
            self._note(log, error, "compaction", self.uncleanable)
        self._retain(subjects, now_ms)

    def _retain(self, subjects: Iterable[Subject], now_ms: int) -> None:
        round_ = RetentionRound(self._engine.metadata.log, now_ms, lambda: self._is_closed)
        round_.run(subject for subject in subjects if _name(subject.log) not in self.failed)
        for log, error in round_.errors.items():
            self._note(log, error, "retention", self.failed)

    def compact(self, topic: str) -> dict[TopicPartition, PartitionCompaction]:
        """Compact a topic now, whatever its dirty ratio; what came of it, by partition.

        Also partitions where it failed before. All are tried, then the first failure is raised.
        Raises `LockTimeoutError` when another process does not get on with its round, and
        `ClosedError` when the log is closed meanwhile.
        """
        done: dict[TopicPartition, PartitionCompaction] = {}
        errors: list[StreamlogError] = []
        with self._exclusive(wait=True):
            names = frozenset({topic})
            for log, _ in find_subjects(self._engine, compacted=True, topics=names):
                try:
                    done[_name(log)] = self._cleaner.compact(log, self._engine.clock.now_ms())
                except CleaningStoppedError:
                    if self._is_closed:
                        raise ClosedError(f"{self._engine.place.path} is closed") from None
                except UnknownTopicError:
                    continue  # deleted meanwhile
                except (StreamlogError, OSError) as error:
                    errors.append(typed_error(error, log.directory))
                    self._note(log, errors[-1], "compaction", self.uncleanable)
                else:
                    self.uncleanable.pop(_name(log), None)
        if errors:
            raise errors[0]
        return done

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
                self._note(log, error, "retention", self.failed)
        for error in round_.errors.values():
            raise error
        return {_name(log): log.log_start for log, was in before.items() if log.log_start != was}

    def _note(
        self,
        log: PartitionLog,
        error: StreamlogError,
        what: str,
        passed_over: dict[TopicPartition, StreamlogError],
    ) -> None:
        """Pass over a partition from now on; but not because of what will pass by itself."""
        import logging

        logger = logging.getLogger("streamlog")
        if isinstance(error, _PASSING):
            logger.warning("%s of %s-%d has to wait: %s", what, log.topic, log.partition, error)
        else:
            passed_over[_name(log)] = error
            logger.error("%s of %s-%d failed: %s", what, log.topic, log.partition, error)

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
