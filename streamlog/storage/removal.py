"""Removing the files that lie below a log's start.

The order is the promise. The log's start is published, so that nobody looks for them; it is in
the checkpoint, so that a power cut brings neither half of them back as records; what they alone
know (idempotent producers) is written down; the name of the first segment that stays is on the
disk; then they go, oldest first. Who dies half way leaves files that are nobody's records any
more: the next removal takes them, or the next lone opening.
"""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError, CorruptRecordError
from streamlog.storage import failures
from streamlog.storage.hidden_files import HiddenFiles, find_hidden, log_size, remove_files
from streamlog.storage.leader_epochs import read_leader_epochs, write_leader_epochs
from streamlog.storage.log_start import record
from streamlog.storage.names import segment_name
from streamlog.storage.producer_replay import load_producer_state
from streamlog.storage.producer_snapshot import write_snapshot
from streamlog.storage.structure import structure_lock, undo_unpublished_locked

if TYPE_CHECKING:
    from collections.abc import Collection

    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState

_FULL = (errno.ENOSPC, errno.EDQUOT)


def record_log_starts(
    metadata_log: PartitionLog, logs: Collection[PartitionLog]
) -> dict[PartitionLog, int]:
    """Have the published starts of `logs` on the disk; each that is, by its log.

    Where the disk has no room for that, each log's oldest segment goes first: a log without it
    begins at the next one, whatever else a crash undoes. Raises `LockTimeoutError`, and `OSError`.
    """
    try:
        return record(metadata_log, logs)
    except OSError as error:
        if error.errno not in _FULL or not sum(_remove_oldest(log) for log in logs):
            raise
    return record(metadata_log, logs)


def remove_hidden(log: PartitionLog, log_start: int, *, wait: bool = True) -> int:
    """Remove what lies below `log_start`, which is recorded; how many segments that were.

    A poisoned partition is left alone. Raises `LockTimeoutError` (without `wait`, as soon as
    somebody else holds the structure byte), `UnknownTopicError` for a topic that was deleted,
    `DiskFullError` and `InputOutputError`.
    """
    filesystem, directory = log._filesystem, log.directory
    with structure_lock(log, wait=wait):
        state = log.state()
        if state.poisoned or state.log_end == 0:
            return 0
        try:
            hidden = find_hidden(filesystem, directory, log_start, state.base_offset)
            if hidden.is_interrupted:
                undo_unpublished_locked(log)
            if hidden.names:
                _keep_producers(log, state, hidden)
                _prepare(log, log_start, hidden)
                remove_files(filesystem, directory, hidden.names)
        except OSError as error:
            raise failures.cannot_open(log, error) from error
    log.let_go_of_removed()
    return len(hidden.bases)


def _remove_oldest(log: PartitionLog) -> bool:
    """Remove one hidden segment, whose absence leaves no hole; False when there is none."""
    filesystem, directory = log._filesystem, log.directory
    with structure_lock(log):
        state = log.state()
        if state.poisoned or state.log_end == 0 or log._slots.is_deleted(log.slot):
            return False
        hidden = find_hidden(filesystem, directory, state.log_start, state.base_offset)
        if not hidden.bases:
            return False
        oldest = segment_name(hidden.bases[0], "")
        names = [name for name in hidden.names if name.startswith(oldest)]
        remove_files(filesystem, directory, names)
    log.let_go_of_removed()
    return True


def _prepare(log: PartitionLog, log_start: int, hidden: HiddenFiles) -> None:
    """Let the leader epochs begin at the log's start, and have the name of what stays durable.

    Epochs that begin earlier do no harm, and are put right by a recovery: a disk without room for
    them stops no removal.
    """
    with suppress(CorruptDirectoryError):
        epochs = read_leader_epochs(log._filesystem, log.directory)
        if epochs.truncate_from_start(log_start):
            try:
                write_leader_epochs(
                    log._filesystem, log.directory, epochs, mode=log.settings.file_mode
                )
                return  # its directory sync is for all names
            except OSError as error:
                if error.errno not in _FULL:
                    raise
    synced = log._slots.read_synced(log.slot)
    if synced is None or synced.segment < hidden.keep:
        log._filesystem.sync_directory(log.directory)


def _keep_producers(log: PartitionLog, state: PartitionState, hidden: HiddenFiles) -> None:
    """Write down what only the hidden batches tell of idempotent producers, if anything does."""
    if any(hidden.keep <= offset <= state.log_end for offset in hidden.snapshots):
        return
    segments = [base for base in hidden.bases if base < state.producer_batch_end]
    if not segments and not hidden.snapshots:
        return
    try:
        table = load_producer_state(
            log._filesystem,
            log.directory,
            segments=segments,
            snapshots=hidden.snapshots,
            end_offset=hidden.keep,
            end_position=log_size(log._filesystem, log.directory, segments[-1]) if segments else 0,
        )
        if len(table):
            write_snapshot(log._filesystem, log.directory, table, mode=log.settings.file_mode)
    except OSError as error:
        if not isinstance(error, CorruptRecordError) and error.errno not in _FULL:
            raise
        # What is known of producers is not worth keeping a disk full, or damage for ever.
        logging.getLogger("streamlog").warning(
            "%s: what is removed may be sent again unnoticed: %s", log.directory, error
        )
