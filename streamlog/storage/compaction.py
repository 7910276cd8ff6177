"""Compacting one log: what there is to do (`survey`), and a pass over it (`compact_log`).

A pass holds the log's structure byte from its decision to the last exchange, so that no segment
goes or comes that it does not know of. What it removes is replaced by records that are on the
disk: the log is synced first, and the producers are looked at before that. Appends go on.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from streamlog.storage import failures
from streamlog.storage.cleanable import (
    CleanableLog,
    SegmentDescription,
    describe_segments,
    find_cleanable,
)
from streamlog.storage.folder import list_bases
from streamlog.storage.log_cleaner import CleaningStatistics, LogCleaner
from streamlog.storage.log_reader import files_of
from streamlog.storage.looking import look
from streamlog.storage.names import LOG, segment_name
from streamlog.storage.segment_scan import next_offset_of
from streamlog.storage.segment_swap import swap_in_locked
from streamlog.storage.structure import structure_lock, undo_unpublished_locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.storage.log_cleaner import CleanedGroup, DedupeBuffer
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.producer_state import ProducerStateTable
    from streamlog.storage.shared import PartitionState

_UNLIMITED_MS = (1 << 63) - 1


class SealedSegments:
    """What deciding needs of the sealed segments of one log, each read once: they do not change.

    `given_up` are empty ones that a dead writer left in the middle of the segment before.
    """

    __slots__ = ("_files", "_known", "given_up")

    def __init__(self) -> None:
        self._files: tuple[int, int] | None = None
        self._known: dict[int, SegmentDescription] = {}
        self.given_up: list[int] = []

    def describe(self, log: PartitionLog, state: PartitionState) -> list[SegmentDescription]:
        """From the one that holds the log's start on. Raises what `describe_segments` raises."""
        bases = [
            base for base in list_bases(log._filesystem, log.directory) if base < state.base_offset
        ]
        bases = bases[max(bisect_right(bases, state.log_start) - 1, 0) :]
        if self._files != files_of(state):
            self._known = {}
        known = {base: self._known[base] for base in bases if base in self._known}
        new = describe_segments(
            log._filesystem,
            log.directory,
            (base for base in bases if base not in known),
            topic=log.topic,
            partition=log.partition,
        )
        known |= {each.base_offset: each for each in new}
        self._files, self._known = files_of(state), known
        return self._without_given_up(log, [known[base] for base in bases])

    def _without_given_up(
        self, log: PartitionLog, segments: list[SegmentDescription]
    ) -> list[SegmentDescription]:
        self.given_up = []
        found: list[SegmentDescription] = []
        for each in segments:
            if not each.size and found and found[-1].size:
                last = found[-1].base_offset
                path = f"{log.directory}/{segment_name(last, LOG)}"
                if next_offset_of(log._filesystem, path, last) > each.base_offset:
                    self.given_up.append(each.base_offset)
                    continue
            found.append(each)
        return found


def survey(
    log: PartitionLog, checkpoint: int | None, segments: SealedSegments, now_ms: int
) -> CleanableLog | None:
    """What of `log` may be compacted now; None for a log that is empty or poisoned.

    Raises what `looking.look` raises.
    """

    def find(state: PartitionState) -> CleanableLog | None:
        if state.poisoned or state.log_end == 0:
            return None
        return _decide(log, state, checkpoint, segments, now_ms, state.last_stable_offset)

    return look(log, find)


def roll_overdue(log: PartitionLog, now_ms: int) -> bool:
    """Begin a new segment when the active one has what had to be compacted by now.

    That is Kafka's `max.compaction.lag.ms`; whether one was begun. Raises as `PartitionLog.roll`.
    """
    limit, state = log.config.max_compaction_lag_ms, log.state()
    if limit == _UNLIMITED_MS or state.poisoned or not state.end_position:
        return False
    return now_ms - state.first_timestamp > limit and log.roll(now_ms=now_ms)


def compact_log(
    log: PartitionLog,
    checkpoint: int | None,
    segments: SealedSegments,
    *,
    dedupe_buffer: DedupeBuffer,
    now_ms: int,
    begin: Callable[[int, int], None],
    on_progress: Callable[[int], None],
) -> tuple[int, CleaningStatistics] | None:
    """One pass, every group in its place; the log's new first dirty offset, and what was done.

    None when there is nothing to do. `begin` is called before anything changes, with the first
    dirty offset and the one below which all is on the disk, `on_progress` as by `LogCleaner`.
    Raises what those raise, what `LogCleaner.run` raises, `LockTimeoutError`,
    `PartitionPoisonedError`, `UnknownTopicError` for a topic that was deleted, and `OSError`; what
    is in its place then stays there.
    """
    with structure_lock(log):
        try:
            undo_unpublished_locked(log)
            state = log.state()
            if state.poisoned or state.log_end == 0 or log._slots.is_deleted(log.slot):
                return None
            producers = _settle(log, state)
            stable = producers.first_open_offset
            if stable is None or stable > state.last_stable_offset:
                stable = state.last_stable_offset
            found = _decide(log, state, checkpoint, segments, now_ms, stable)
            if found.first_dirty_offset >= found.first_uncleanable_offset:
                return None
            begin(found.first_dirty_offset, state.base_offset)
            cleaner = LogCleaner(
                log._filesystem,
                log.directory,
                found,
                topic=log.topic,
                partition=log.partition,
                config=log.config,
                settings=log.settings,
                producers=producers,
                dedupe_buffer=dedupe_buffer,
                now_ms=now_ms,
                on_progress=on_progress,
            )
            for group in cleaner.run():
                swap_in_locked(log, _with_given_up(group, found, segments.given_up))
        except FileNotFoundError as error:
            raise failures.cannot_open(log, error) from error
    log.let_go_of_removed()
    return cleaner.end_offset, cleaner.statistics


def _settle(log: PartitionLog, state: PartitionState) -> ProducerStateTable:
    """The producers as of `state` or later, when all that they follow from is on the disk.

    What keeps a producer's last sequence number stays; but a batch that a power cut takes is no
    reason to have removed the one before.
    """
    with log.producers.lock:
        table = log.producers.catch_up(state)
        table = table.copy_of(producer.producer_id for producer in table)
    # By one more than there is: so the synced end enters the active segment, also an empty one,
    # and no sync looks for a sealed one any more.
    log.sync(log.log_end + 1)
    return table


def _decide(
    log: PartitionLog,
    state: PartitionState,
    checkpoint: int | None,
    segments: SealedSegments,
    now_ms: int,
    last_stable_offset: int,
) -> CleanableLog:
    return find_cleanable(
        segments.describe(log, state),
        active_base_offset=state.base_offset,
        checkpoint=checkpoint,
        log_start=state.log_start,
        log_end=state.log_end,
        last_stable_offset=min(last_stable_offset, state.high_watermark),
        now_ms=now_ms,
        config=log.config,
    )


def _with_given_up(group: CleanedGroup, log: CleanableLog, given_up: list[int]) -> CleanedGroup:
    """Empty segments inside those of a group go with them."""
    following = (each.base_offset for each in log.segments if each.base_offset > group.sources[-1])
    end = next(following, log.active_base_offset)
    more = [base for base in given_up if group.sources[0] < base < end]
    return group._replace(sources=(*group.sources, *more))
