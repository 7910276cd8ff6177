"""ListOffsets (facts 4.8): the offset at a point in time, or at one of a log's ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import ConfigError, LogTruncatedError
from streamlog.types import IsolationLevel, OffsetAndTimestamp, OffsetSpec

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState


def list_offset(
    log: PartitionLog, timestamp: int, isolation_level: IsolationLevel = "read_uncommitted"
) -> OffsetAndTimestamp | None:
    """The first record at or after `timestamp` ms, or what an `OffsetSpec` stands for.

    Ends of the log have the timestamp -1. None when no record qualifies, and for what is about
    tiered storage. With "read_committed" the log ends where the first transaction begins that is
    not decided yet. Raises `ConfigError` for a negative value that means nothing.
    """
    state = log.state()
    committed = isolation_level == "read_committed"
    end = _last_stable_offset(log, state) if committed else state.high_watermark
    match timestamp:
        case OffsetSpec.LATEST:
            return OffsetAndTimestamp(end, -1, state.leader_epoch)
        case OffsetSpec.EARLIEST | OffsetSpec.EARLIEST_LOCAL:
            return OffsetAndTimestamp(state.log_start, -1, _epoch(log, state.log_start))
        case OffsetSpec.LATEST_TIERED | OffsetSpec.EARLIEST_PENDING_UPLOAD:
            return None
        case OffsetSpec.MAX_TIMESTAMP:
            found = log.offset_of_max_timestamp()
        case _:
            _check_time(timestamp)
            found = log.offset_for_time(timestamp)
    if found is None or found.offset >= end:
        return None
    return found._replace(leader_epoch=_epoch(log, found.offset))


def _last_stable_offset(log: PartitionLog, state: PartitionState) -> int:
    """Where the first undecided transaction begins; who only reads has to look for it."""
    if not log.settings.read_only or state.producer_batch_end == 0:
        return state.last_stable_offset
    with log.producers.lock:
        first_open = log.producers.catch_up(state).first_open_offset
    return state.last_stable_offset if first_open is None else max(first_open, state.log_start)


def _check_time(timestamp: object) -> None:
    if isinstance(timestamp, int) and not isinstance(timestamp, bool) and timestamp >= 0:
        return
    names = ", ".join(f"{spec.name} ({spec.value})" for spec in OffsetSpec)
    allowed = f"milliseconds since 1970, or an OffsetSpec: {names}"
    raise ConfigError(
        f"timestamp={timestamp!r} is not allowed: it must be {allowed}",
        name="timestamp",
        value=timestamp,
        allowed=allowed,
    )


def check_position(log: PartitionLog, offset: int, leader_epoch: int | None) -> None:
    """Whether what a reader remembers, the batch before `offset` having had `leader_epoch`, is
    still so (KIP-320).

    Raises `LogTruncatedError` when this log lost what was there: it went on in another epoch
    from an earlier offset.
    """
    if leader_epoch is None or leader_epoch < 0:
        return
    end = log.leader_epochs().end_offset_for(leader_epoch, log.log_end)
    if end.epoch < 0 or (end.epoch == leader_epoch and offset <= end.end_offset):
        return
    raise LogTruncatedError(
        f"{log.topic}-{log.partition} lost its tail in a crash: epoch {leader_epoch} ends at "
        f"{end.end_offset}, the position is {offset}; seek to where to go on",
        topic=log.topic,
        partition=log.partition,
        offset=offset,
        log_end=end.end_offset,
    )


def _epoch(log: PartitionLog, offset: int) -> int | None:
    epoch = log.leader_epochs().epoch_at(offset)
    return epoch if epoch >= 0 else None
