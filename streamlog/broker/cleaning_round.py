"""One round of compaction over the partitions of a directory: Kafka's cleaner thread (facts 5.2).

The log with the largest dirty part is compacted, then all are looked at again, until none is due.
A log that does not fit into the buffer at once gets on with each pass, and takes its turn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from streamlog.broker.throttle import Throttle
from streamlog.broker.typed_errors import typed_error
from streamlog.errors import StreamlogError, UnknownTopicError
from streamlog.storage.cleaner_checkpoint import (
    CleanerOffsets,
    announce_cleaning,
    record_cleaner_offset,
)
from streamlog.storage.compaction import SealedSegments, compact_log, roll_overdue, survey
from streamlog.storage.log_cleaner import CleaningStatistics, DedupeBuffer
from streamlog.types import PartitionCompaction

if TYPE_CHECKING:
    from streamlog.config import OpenConfig
    from streamlog.storage.cleanable import CleanableLog
    from streamlog.storage.partition_log import PartitionLog

_HASH_KEY_BYTES = 16
_Result = TypeVar("_Result")


class CleaningStoppedError(Exception):
    """Ends a pass: the engine is being closed, or nobody wants this log compacted any more."""


class Cleaner:
    """Compacts the logs of one engine. For one thread at a time.

    `metadata_log` guards the checkpoint. `config` is asked before each pass, `is_stopped` between
    two chunks, and `throttle` waits there.
    """

    def __init__(
        self,
        metadata_log: PartitionLog,
        config: Callable[[], OpenConfig],
        throttle: Throttle,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._metadata_log = metadata_log
        self._config = config
        self._throttle = throttle
        self._is_stopped = is_stopped
        self._segments: dict[PartitionLog, SealedSegments] = {}
        self._checkpoints = CleanerOffsets(
            metadata_log._filesystem, os.path.dirname(metadata_log.directory)
        )

    # ---------------------------------------------------------------- rounds

    def run(self, logs: Iterable[PartitionLog], now_ms: int) -> dict[PartitionLog, StreamlogError]:
        """Compact what is due; what went wrong, by log: each stopped no other."""
        waiting = list(logs)
        errors: dict[PartitionLog, StreamlogError] = {}
        self._forget_others(waiting)
        while not self._is_stopped():
            surveys = {log: self._try(log, self._survey, now_ms, errors) for log in waiting}
            due = {log: found for log, found in surveys.items() if found is not None}
            if not due:
                break
            log = max(due, key=lambda each: due[each].cleanable_ratio)
            done = self._try(log, self.compact_once, now_ms, errors)
            waiting = [each for each in due if each is not log or done is not None]
        return errors

    def compact(self, log: PartitionLog, now_ms: int) -> PartitionCompaction:
        """Compact all of a log that may be, whatever its dirty ratio; what came of it.

        The active segment is ended first. Raises what `compact_log` raises, as typed errors, and
        `CleaningStoppedError`.
        """
        done, end = [], log.log_end
        if log.state().end_position:
            log.roll(now_ms=now_ms)
        while (statistics := self.compact_once(log, now_ms)) is not None:
            done.append(statistics)
            if (self._checkpoint(log) or 0) >= end:
                break  # what others appended meanwhile is for another time: they may never end
        return _summary(done, max(self._checkpoint(log) or 0, log.log_start))

    def _survey(self, log: PartitionLog, now_ms: int) -> CleanableLog | None:
        """What there is to do in a log, if it is due."""
        roll_overdue(log, now_ms)
        found = survey(log, self._checkpoint(log), self._segments_of(log), now_ms)
        if found is None or not found.is_due(log.config.min_cleanable_dirty_ratio):
            return None
        return found

    def _try(
        self,
        log: PartitionLog,
        do: Callable[[PartitionLog, int], _Result | None],
        now_ms: int,
        errors: dict[PartitionLog, StreamlogError],
    ) -> _Result | None:
        try:
            return do(log, now_ms)
        except (UnknownTopicError, CleaningStoppedError):
            pass  # deleted meanwhile, or nobody wants it compacted any more
        except (StreamlogError, OSError) as error:
            errors[log] = typed_error(error, log.directory)
        return None

    # ---------------------------------------------------------------- one pass

    def compact_once(self, log: PartitionLog, now_ms: int) -> CleaningStatistics | None:
        """One pass over a log; None when there was nothing to do."""

        def begin(first_dirty: int, synced_to: int) -> None:
            announce_cleaning(self._metadata_log, log, first_dirty, synced_to)

        def on_progress(size: int) -> None:
            if self._is_stopped() or not _is_wanted(log):
                raise CleaningStoppedError
            self._throttle.passed(size)

        config = self._config()
        done = compact_log(
            log,
            self._checkpoint(log),
            self._segments_of(log),
            dedupe_buffer=DedupeBuffer(
                os.urandom(_HASH_KEY_BYTES),
                config.log_cleaner_dedupe_buffer_size,
                config.log_cleaner_io_buffer_load_factor,
            ),
            now_ms=now_ms,
            begin=begin,
            on_progress=on_progress,
        )
        if done is None:
            return None
        first_dirty, statistics = done
        record_cleaner_offset(self._metadata_log, log, first_dirty)
        return statistics

    def _checkpoint(self, log: PartitionLog) -> int | None:
        return self._checkpoints.offsets.get((log.topic, log.partition))

    def _segments_of(self, log: PartitionLog) -> SealedSegments:
        return self._segments.setdefault(log, SealedSegments())

    def _forget_others(self, logs: Iterable[PartitionLog]) -> None:
        """What is known of logs that are not compacted any more, or are gone, is of no use."""
        kept = set(logs)
        self._segments = {log: known for log, known in self._segments.items() if log in kept}


def _is_wanted(log: PartitionLog) -> bool:
    """Whether a pass over the log is to go on."""
    return (
        log.config.is_compacted and not log._slots.is_deleted(log.slot) and not log.state().poisoned
    )


def _summary(passes: list[CleaningStatistics], first_dirty: int) -> PartitionCompaction:
    """Of passes each of which went over everything that those before it did, and on from there."""
    if not passes:
        return PartitionCompaction(first_dirty_offset=first_dirty)
    last = passes[-1]
    return PartitionCompaction(
        last.records_kept + sum(each.records_read - each.records_kept for each in passes),
        last.records_kept,
        last.bytes_written + sum(each.bytes_read - each.bytes_written for each in passes),
        last.bytes_written,
        first_dirty,
    )
