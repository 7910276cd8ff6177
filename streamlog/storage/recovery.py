"""Opening one partition alone: from its files to the state that is published.

Three ways, the first that the files bear out:

    resume     every process died, the machine did not: the slot's state is believed, and only
               what a dead writer left behind its published end is cut
    clean      the last process closed the directory: read a few headers (`clean_load`)
    unclean    anything else: scan from the durable mark on (`unclean_recovery`)

Each is idempotent, and harmless to be killed in. A poisoned partition is always scanned, and
then written anew: what the page cache holds of it is not to be trusted (`rewriting`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError, CorruptRecordError
from streamlog.storage.clean_load import load_cleanly_closed
from streamlog.storage.hidden_files import find_hidden, remove_files
from streamlog.storage.leader_epochs import read_leader_epochs
from streamlog.storage.loading import PartitionFiles, load_partition_files, sort_names
from streamlog.storage.names import LOG, OFFSET_INDEX, SEGMENT_SUFFIXES, TIME_INDEX, segment_name
from streamlog.storage.partition_recovery import (
    DurableMark,
    PartitionRecovery,
    durable_mark,
    empty_state,
)
from streamlog.storage.rewriting import rewrite_unsynced
from streamlog.storage.shared import PartitionState, SyncedEnd
from streamlog.storage.tearing import truncate_file, unshare
from streamlog.storage.unclean_recovery import UncleanRecovery

if TYPE_CHECKING:
    from streamlog.config import TopicConfig
    from streamlog.storage.filesystem import Filesystem


def recover_partition(
    filesystem: Filesystem,
    directory: str,
    *,
    topic: str,
    partition: int,
    clean: bool,
    recovery_point: int,
    checkpoint_log_start: int,
    synced: SyncedEnd | None,
    slot_state: PartitionState | None,
    config: TopicConfig,
    cleaner_offset: int = 0,
    now_ms: int,
) -> PartitionRecovery:
    """Find out where a partition ends, repair what a crash left, and say what was lost.

    `clean`: the directory was closed by its last process. `recovery_point`,
    `checkpoint_log_start` and `cleaner_offset` (offsets may be missing below it) are the
    checkpoints', 0 when absent. `synced` is valid whatever happened since; `slot_state` is given
    only when it may be believed: the machine was not started since, and the directory was live.

    Only who holds the directory alone calls this. Damage is reported, not raised; what raises
    is the machine (`OSError`, `InputOutputError`).
    """
    mark = durable_mark(recovery_point, synced)
    try:
        files = load_partition_files(filesystem, directory)
    except FileNotFoundError:
        return _missing_folder(directory, topic, partition, mark, checkpoint_log_start, now_ms)
    files = _remove_hidden(filesystem, directory, files, checkpoint_log_start)
    found, poisoned = None, slot_state is not None and slot_state.poisoned != 0
    if slot_state is not None and not poisoned:
        found = _resume(filesystem, directory, files, slot_state, synced)
    if found is None and clean and not poisoned:
        found = load_cleanly_closed(
            filesystem,
            directory,
            files,
            recovery_point=recovery_point,
            log_start=checkpoint_log_start,
            now_ms=now_ms,
        )
    if found is None:
        found = UncleanRecovery(
            filesystem,
            directory,
            files,
            topic=topic,
            partition=partition,
            mark=mark,
            log_start=checkpoint_log_start,
            index_interval_bytes=config.index_interval_bytes,
            cleaner_offset=cleaner_offset,
            now_ms=now_ms,
            sync=not poisoned,
        ).run()
        if slot_state is not None:
            _supersede(filesystem, directory, found, slot_state)
    return _unshare_active(filesystem, directory, found)


def _unshare_active(
    filesystem: Filesystem, directory: str, found: PartitionRecovery
) -> PartitionRecovery:
    """Have nobody else append to the segment that is appended to from now on.

    A backup shares sealed segments; whoever loses all that followed one goes on in a copy of it.
    """
    with suppress(FileNotFoundError):
        unshare(filesystem, f"{directory}/{segment_name(found.state.base_offset, LOG)}")
    return found


def _remove_hidden(
    filesystem: Filesystem, directory: str, files: PartitionFiles, log_start: int
) -> PartitionFiles:
    """Finish a removal that was begun: what lies below the recorded log start is no record."""
    if not files.segments or files.segments[0] >= log_start:
        return files
    hidden = find_hidden(filesystem, directory, log_start, files.segments[-1])
    if not hidden.names:
        return files
    remove_files(filesystem, directory, hidden.names)
    return sort_names(files.names.difference(hidden.names))


def _supersede(
    filesystem: Filesystem, directory: str, found: PartitionRecovery, slot_state: PartitionState
) -> None:
    """Go on from a slot that could not be believed: readers see that the files are others."""
    if slot_state.poisoned:
        segments = sort_names(filesystem.listdir(directory)).segments
        rewrite_unsynced(filesystem, directory, segments, found)
    found.state = found.state._replace(
        generation=slot_state.generation + 1,
        path_generation=slot_state.path_generation + 1,
        leader_epoch=max(slot_state.leader_epoch, found.state.leader_epoch),
    )


def _missing_folder(
    directory: str,
    topic: str,
    partition: int,
    mark: DurableMark,
    log_start: int,
    now_ms: int,
) -> PartitionRecovery:
    """Nothing was ever appended, unless the durable mark says otherwise."""
    end = max(mark.offset, log_start)
    found = PartitionRecovery(empty_state(end, leader_epoch=0, now_ms=now_ms), None)
    if mark.offset > 0:
        found.corrupt = CorruptRecordError(
            f"the folder {directory} of {topic}-{partition} is missing, but its records up to "
            f"offset {mark.offset} were on the disk; restore it, or delete the topic",
            topic=topic,
            partition=partition,
            file=directory,
            position=0,
            offset=log_start,
        )
    return found


def _resume(
    filesystem: Filesystem,
    directory: str,
    files: PartitionFiles,
    state: PartitionState,
    synced: SyncedEnd | None,
) -> PartitionRecovery | None:
    """The slot's state, when the files are as it says; None when they are not."""
    log_path = f"{directory}/{segment_name(state.base_offset, LOG)}"
    unfinished = [base for base in files.segments if base > state.base_offset]
    if state.base_offset not in files.segments:
        if files.segments or state.end_position:
            return None
        return PartitionRecovery(state, synced)
    # A roll creates the next segment's files before it publishes them, and writes to them only
    # after: what a dead writer left of one is empty. Anything else is a stranger's.
    if any(
        base > state.log_end or filesystem.file_size(f"{directory}/{segment_name(base, LOG)}") > 0
        for base in unfinished
    ):
        return None
    if filesystem.file_size(log_path) < state.end_position:
        return None
    if state.restructuring:  # loading has finished it, unless only the sync was missing
        filesystem.sync_directory(directory)
        state = state._replace(
            generation=state.generation + 1,
            swap_generation=state.swap_generation + 1,
            restructuring=0,
        )
    try:
        epochs = read_leader_epochs(filesystem, directory)
    except CorruptDirectoryError:
        return None
    for suffix, size in (
        (OFFSET_INDEX, state.offset_index_size),
        (TIME_INDEX, state.time_index_size),
    ):
        if not _cut_index(filesystem, directory, files, state.base_offset, suffix, size):
            return None
    _remove_unfinished(filesystem, directory, files, unfinished)
    if filesystem.file_size(log_path) > state.end_position:
        try:
            truncate_file(filesystem, log_path, state.end_position, sync=True)
        except OSError as error:
            state = state._replace(poisoned=error.errno or 5)
    return PartitionRecovery(state, synced, epochs)


def _cut_index(
    filesystem: Filesystem,
    directory: str,
    files: PartitionFiles,
    base_offset: int,
    suffix: str,
    size: int,
) -> bool:
    """Cut an index to its published size; False when it is shorter."""
    name = segment_name(base_offset, suffix)
    if name not in files.names:
        return size == 0
    found = filesystem.file_size(f"{directory}/{name}")
    if found > size:
        truncate_file(filesystem, f"{directory}/{name}", size, sync=False)
    return found >= size


def _remove_unfinished(
    filesystem: Filesystem, directory: str, files: PartitionFiles, bases: list[int]
) -> None:
    for base in bases:
        for suffix in SEGMENT_SUFFIXES:
            name = segment_name(base, suffix)
            if name in files.names:
                filesystem.unlink(f"{directory}/{name}")
    if bases:
        filesystem.sync_directory(directory)


__all__ = ["PartitionRecovery", "recover_partition"]
