"""ListOffsets (facts 4.8): the offset at a point in time, or at one of a log's ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import ConfigError, LogTruncatedError
from streamlog.types import OffsetAndTimestamp

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog

LATEST = -1
EARLIEST = -2
MAX_TIMESTAMP = -3


def list_offset(log: PartitionLog, timestamp: int) -> OffsetAndTimestamp | None:
    """The first record at or after `timestamp` ms, or what a special value stands for.

    `LATEST` is the offset that the next record gets, `EARLIEST` the first one there is, both
    with timestamp -1; `MAX_TIMESTAMP` the first record with the largest timestamp (KIP-734).
    None when no record qualifies. Raises `ConfigError` for other negative values.
    """
    if timestamp == LATEST:
        return OffsetAndTimestamp(log.high_watermark, -1, log.state().leader_epoch)
    if timestamp == EARLIEST:
        start = log.log_start
        return OffsetAndTimestamp(start, -1, _epoch(log, start))
    if timestamp == MAX_TIMESTAMP:
        found = log.offset_of_max_timestamp()
    elif timestamp < 0:
        raise ConfigError(
            f"timestamp={timestamp} is not allowed: it must be milliseconds since the epoch, "
            f"or {LATEST} (latest), {EARLIEST} (earliest), {MAX_TIMESTAMP} (largest timestamp)",
            name="timestamp",
            value=timestamp,
        )
    else:
        found = log.offset_for_time(timestamp)
    if found is None:
        return None
    return found._replace(leader_epoch=_epoch(log, found.offset))


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
