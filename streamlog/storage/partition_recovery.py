"""What opening a partition finds out: the state to publish, and what was lost or is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from streamlog.storage.leader_epochs import LeaderEpochs
from streamlog.storage.shared import PartitionState, SyncedEnd

if TYPE_CHECKING:
    from streamlog.errors import CorruptRecordError
    from streamlog.storage.loading import PartitionFiles


class DurableMark(NamedTuple):
    """Everything below `offset` was on the disk once: the higher of the recovery point and
    the stored `synced_end`. `segment` and `position` are -1 when only the offset is known.
    """

    offset: int
    segment: int = -1
    position: int = -1


class PartitionRecovery(msgspec.Struct):
    """The outcome of `recover_partition`.

    `lost_tail`: records that somebody may have seen are gone, so the leader epoch has to move
    before the partition is written again. It is set whenever `lost_bytes` is not 0, and also
    when a later segment shows that an earlier one ended further on. `corrupt` is damage below
    the durable mark: it was left where it is, and everything around it can be read. `synced`
    is None when nothing is known to be on the disk, not even the folder's name.
    """

    state: PartitionState
    synced: SyncedEnd | None
    epochs: LeaderEpochs = msgspec.field(default_factory=LeaderEpochs)
    lost_bytes: int = 0
    lost_batches: int = 0
    good_batches_behind: int = 0
    lost_tail: bool = False
    torn_files: list[str] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)
    corrupt: CorruptRecordError | None = None


def durable_mark(recovery_point: int, synced: SyncedEnd | None) -> DurableMark:
    """The higher of the two lower bounds; the one that also knows the place wins a tie."""
    if synced is not None and synced.offset >= recovery_point:
        return DurableMark(synced.offset, synced.segment, synced.position)
    return DurableMark(recovery_point)


def empty_state(base_offset: int, *, leader_epoch: int, now_ms: int) -> PartitionState:
    """The state of a partition whose active segment is empty and starts at `base_offset`."""
    return PartitionState(
        log_start=base_offset,
        log_end=base_offset,
        high_watermark=base_offset,
        last_stable_offset=base_offset,
        leader_epoch=leader_epoch,
        base_offset=base_offset,
        producer_batch_end=base_offset,
        created_ms=now_ms,
    )


def missing_start(
    directory: str, epochs: LeaderEpochs, known_start: int, files: PartitionFiles
) -> list[str]:
    """What to say of a log whose first segments are gone, and nobody said that it begins later.

    Kafka's files do not tell that from retention's work, but for the leader epochs, which
    retention cuts as well: they remember where the log began. `known_start` is the checkpoint's.
    """
    began = epochs.entries[0].start_offset if epochs.entries else known_start
    began = max(began, known_start)
    first = files.segments[0] if files.segments else began
    if began >= first:
        return []
    gone = f"the segments of offsets {began} to {first - 1} are gone, and nobody deleted them"
    return [f"{directory}: {gone}; restore the files from a copy"]
