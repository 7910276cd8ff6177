"""Finding out what of a partition has expired, and letting the log begin behind it.

Files are removed afterwards (`removal`): when the new log start is on the disk.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from streamlog.errors import CorruptRecordError, DiskFullError
from streamlog.storage import failures
from streamlog.storage.folder import list_bases
from streamlog.storage.hidden_files import log_size
from streamlog.storage.names import LOG, segment_name
from streamlog.storage.retention import RetentionRules, SegmentSize, first_kept
from streamlog.storage.segment import LogSegment
from streamlog.storage.structure import structure_lock

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState


def expire(log: PartitionLog, rules: RetentionRules, now_ms: int) -> bool:
    """Let `log` begin behind what `rules` do not keep; whether files lie below its start then.

    When everything goes, a new segment is begun. A poisoned partition is left alone: what its
    files are worth is found out first. Raises `LockTimeoutError`, `UnknownTopicError` for a topic
    that was deleted, `DiskFullError` and `InputOutputError`.
    """
    with structure_lock(log):
        while True:
            state = log.state()
            if state.poisoned or state.log_end == 0:
                return False
            try:
                segments = _segments(log, state)
                keep = _first_kept(log, state, segments, rules, now_ms)
            except FileNotFoundError as error:
                raise failures.cannot_open(log, error) from error
            if keep < state.log_end or state.end_position == 0:
                break
            kept = _roll(log, state, now_ms)
            if kept is not None:
                keep = kept
                break
        log.advance_log_start(keep)
    return keep > segments[0].base_offset


def _roll(log: PartitionLog, state: PartitionState, now_ms: int) -> int | None:
    """Begin a new segment, since all there are expired; the base offset of the first kept.

    None when somebody appended meanwhile, and what that is has not expired. On a full disk the
    segments before the active one go first, and make room for another.
    """
    try:
        return state.log_end if log.roll(expected_end=state.log_end, now_ms=now_ms) else None
    except DiskFullError:
        if state.base_offset <= state.log_start:
            raise
        return state.base_offset


def _first_kept(
    log: PartitionLog,
    state: PartitionState,
    segments: list[SegmentSize],
    rules: RetentionRules,
    now_ms: int,
) -> int:
    return first_kept(
        segments,
        lambda segment: _largest_timestamp(log, state, segment),
        rules,
        log_start=state.log_start,
        log_end=state.log_end,
        high_watermark=state.high_watermark,
        now_ms=now_ms,
    )


def _segments(log: PartitionLog, state: PartitionState) -> list[SegmentSize]:
    """The segments of `state`; an empty one before the active one is nobody's."""
    segments = []
    for base in list_bases(log._filesystem, log.directory):
        if base < state.base_offset:
            size = log_size(log._filesystem, log.directory, base)
            if size > 0:
                segments.append(SegmentSize(base, size))
    return [*segments, SegmentSize(state.base_offset, state.end_position)]


def _largest_timestamp(log: PartitionLog, state: PartitionState, segment: SegmentSize) -> int:
    """The largest timestamp of a segment's records; where none has one, or the headers that would
    tell are damaged, when the file was last written.
    """
    if segment.base_offset == state.base_offset:
        largest = state.largest_timestamp
    else:
        largest = -1
        opened = LogSegment(
            log._filesystem,
            log.directory,
            segment.base_offset,
            map_length=None if log.settings.use_maps else 0,
        )
        with contextlib.closing(opened), contextlib.suppress(CorruptRecordError):
            largest = opened.largest_timestamp(segment.size)
    if largest >= 0:
        return largest
    path = f"{log.directory}/{segment_name(segment.base_offset, LOG)}"
    return log._filesystem.identity(path).mtime_ns // 1_000_000
