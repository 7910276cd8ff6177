"""What a reader on a network believes about a partition, and what of the bytes it may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streamlog.errors import BrokerError, OffsetOutOfRangeError
from streamlog.record.kernel import RecordBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState

_FENCED_LEADER_EPOCH = 74
_UNKNOWN_LEADER_EPOCH = 75


class EpochEnd(NamedTuple):
    """The largest epoch of the log up to one that was asked for, and where it ends (KIP-101)."""

    epoch: int
    end_offset: int


def check_leader_epoch(log: PartitionLog, leader_epoch: int) -> None:
    """Raises `BrokerError` unless the partition is led in that epoch; -1 asks for nothing.

    FENCED_LEADER_EPOCH (74) for one that is over, UNKNOWN_LEADER_EPOCH (75) for a later one.
    """
    if leader_epoch < 0:
        return
    current = log.state().leader_epoch
    if leader_epoch != current:
        code = _FENCED_LEADER_EPOCH if leader_epoch < current else _UNKNOWN_LEADER_EPOCH
        raise BrokerError(
            f"{log.topic}-{log.partition} is led in epoch {current}, not {leader_epoch}",
            code=code,
            retriable=True,
        )


def end_of_epoch(log: PartitionLog, leader_epoch: int) -> EpochEnd | None:
    """Where that epoch ended in the log, or the last one before it; None for a later epoch."""
    state = log.state()
    if leader_epoch == state.leader_epoch:
        return EpochEnd(leader_epoch, state.log_end)
    found = log.leader_epochs().end_offset_for(leader_epoch, state.log_end)
    return None if found.epoch < 0 else EpochEnd(found.epoch, found.end_offset)


def find_divergence(log: PartitionLog, offset: int, last_epoch: int) -> EpochEnd | None:
    """Where the log and a reader parted whose last record before `offset` had `last_epoch`.

    None when they did not. Raises `OffsetOutOfRangeError` when the log does not know that epoch.
    """
    if last_epoch < 0:
        return None
    end = end_of_epoch(log, last_epoch)
    if end is None:
        state = log.state()
        raise OffsetOutOfRangeError(
            f"{log.topic}-{log.partition} never had the epoch {last_epoch}",
            topic=log.topic,
            partition=log.partition,
            offset=offset,
            log_start=state.log_start,
            log_end=state.log_end,
        )
    return end if end.epoch < last_epoch or end.end_offset < offset else None


def decided_part(view: memoryview, state: PartitionState) -> memoryview:
    """The batches of `view` that lie before the first undecided transaction."""
    if state.last_stable_offset >= state.high_watermark:
        return view
    size = 0
    for batch in _batches(view):
        if batch.base_offset >= state.last_stable_offset:
            break
        size += batch.size
    return view[:size]


def _batches(view: memoryview) -> Iterator[RecordBatch]:
    position = 0
    while position < len(view):
        batch = RecordBatch(view, position)
        yield batch
        position += batch.size
