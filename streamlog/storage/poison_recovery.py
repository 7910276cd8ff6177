"""Recovering a partition whose sync failed while others have the directory open (section 6).

After the first failure the kernel calls the pages clean, so what lies past the synced end is
proved, copied to files of their own, synced and put in the place of the old ones. Nobody can
append meanwhile: a poisoned partition refuses. So all of it is done under the structure byte and
the sync byte, and the partition's lock is taken for the publication alone. A crash in between
leaves `.cleaned` files, which the next holder or loading removes, and the partition as it was, or
some of its files exchanged for copies with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlog.errors import CorruptRecordError
from streamlog.storage.leader_epochs import read_leader_epochs, write_leader_epochs
from streamlog.storage.names import LOG, segment_name
from streamlog.storage.patience import held
from streamlog.storage.rewriting import copy_segment, rewrite_identity, swap_in
from streamlog.storage.segment_scan import SegmentScan, open_for_scan, scan_on
from streamlog.storage.shared import PartitionState, SyncedEnd
from streamlog.storage.structure import structure_lock, undo_unpublished_locked
from streamlog.storage.sync import sync_names, unsynced_bases

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.slots import SharedState


def recover_poisoned(
    filesystem: Filesystem,
    slots: SharedState,
    log: PartitionLog,
    bump_epoch: Callable[[], int],
) -> bool:
    """Make a poisoned partition writable again; False when it was not poisoned.

    `bump_epoch` makes the next leader epoch durable and returns it: readers then know that what
    they saw may have differed. Raises `CorruptRecordError` when what was read back does not
    check (then only the next lone opening can cut it), `LockTimeoutError`, and `OSError` while the
    disk still fails.
    """
    writer = log.writer
    with structure_lock(log), held(log, writer.lock_sync, writer.unlock_sync):
        state = log.state()
        if not state.poisoned:
            return False
        undo_unpublished_locked(log)
        synced = slots.read_synced(log.slot)
        names: list[str] = []
        for base_offset in unsynced_bases(filesystem, log.directory, synced, state):
            names += _copy_proved(filesystem, log, base_offset, state)
        epoch = bump_epoch()
        swap_in(filesystem, log.directory, names)
        if synced is None:
            rewrite_identity(filesystem, log.directory)
        sync_names(filesystem, log.directory)
        epochs = read_leader_epochs(filesystem, log.directory)
        if epochs.assign(epoch, state.log_end):
            write_leader_epochs(filesystem, log.directory, epochs)
        end = SyncedEnd(state.base_offset, state.end_position, state.log_end)
        slots.store_synced(log.slot, end)
        _publish_recovered(slots, log, epoch)
    slots.map.ring_bell()
    return True


def _publish_recovered(slots: SharedState, log: PartitionLog, epoch: int) -> None:
    with log.locked():
        state = log.state()
        slots.publish_state(
            log.slot,
            state._replace(
                poisoned=0,
                leader_epoch=epoch,
                generation=state.generation + 1,
                path_generation=state.path_generation + 1,
            ),
        )


def _copy_proved(
    filesystem: Filesystem, log: PartitionLog, base_offset: int, state: PartitionState
) -> list[str]:
    """Copy a segment beside itself, synced, after checking every batch of it."""
    path = f"{log.directory}/{segment_name(base_offset, LOG)}"
    size = filesystem.file_size(path)
    end = state.end_position if base_offset == state.base_offset else size
    source = open_for_scan(filesystem, path)
    try:
        scan = SegmentScan(base_offset, size, next_offset=base_offset)
        scan_on(source, scan, check_crc_from=0, end=end)
    finally:
        source.close()
    if scan.position != end:
        raise CorruptRecordError(
            f"{path} cannot be recovered while others have the directory open: the batch at "
            f"{scan.position} was lost by the disk; close everywhere and open again",
            topic=log.topic,
            partition=log.partition,
            file=path,
            position=scan.position,
            offset=scan.next_offset,
        )
    sealed = base_offset != state.base_offset
    return copy_segment(filesystem, log.directory, base_offset, end, sealed=sealed)
