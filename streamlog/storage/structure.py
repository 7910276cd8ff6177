"""The structure byte: who holds it may remove a partition's sealed segments, or exchange them.

Appends never take it; the partition's own lock is taken for the instant of a publication only,
so that nothing under that waits for a disk. The order of locks is: structure byte, sync byte,
partition's lock. Readers hold none: after listing or opening anything they look at the state
again (`looking`).

A holder may die anywhere. What it published last says what it left: with `restructuring` its
exchange is complete on the disk and rolled forward by the next holder, exactly as loading does;
without, the files it made (`.cleaned`, `.swap`) stand for nothing and are removed. Files below
the log's start that were not removed yet are the next removal's.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamlog.errors import LockTimeoutError
from streamlog.storage import append_outcome as codes
from streamlog.storage import failures
from streamlog.storage.loading import finish_swaps, undo_swaps
from streamlog.storage.patience import check_patience, held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState

_PAUSE_S = 0.005


def same_segments(before: PartitionState, now: PartitionState) -> bool:
    """Whether what was found of the segments since `before` can be believed: rolls only add."""
    return (
        now.restructuring == 0
        and now.log_start == before.log_start
        and now.swap_generation == before.swap_generation
        and now.path_generation == before.path_generation
    )


@contextmanager
def structure_lock(log: PartitionLog, *, wait: bool = True) -> Iterator[None]:
    """Hold the structure byte; what a dead holder left of an exchange is finished first.

    Raises `LockTimeoutError` naming the process that holds it for too long, or, without `wait`,
    at all.
    """
    writer = log.writer
    with held(log, writer.lock_structure, writer.unlock_structure, wait=wait):
        finish_exchange_locked(log)
        yield


def undo_unpublished_locked(log: PartitionLog) -> None:
    """Remove what a dead holder of the structure byte made and did not publish."""
    undo_swaps(log._filesystem, log.directory)


def wait_for_exchange(log: PartitionLog) -> None:
    """Return when no segments are being exchanged; that of a dead process is finished here.

    Raises `LockTimeoutError`.
    """
    if log.settings.read_only:
        _watch_exchange(log)
        return
    writer = log.writer
    waited_from = time.monotonic()
    while log.state().restructuring:
        code, holder = writer.lock_structure()
        if code == codes.OK:
            try:
                finish_exchange_locked(log)
            finally:
                writer.unlock_structure()
        elif code == codes.SYSTEM_ERROR:
            raise failures.lock_failed(log, holder, outcome="not_written")
        else:
            check_patience(log, waited_from, holder)


def finish_exchange_locked(log: PartitionLog) -> None:
    """Roll forward what a dead holder of the structure byte published. Idempotent."""
    if not log.state().restructuring or log._slots.is_deleted(log.slot):
        return
    finish_swaps(log._filesystem, log.directory, log.state().base_offset)
    with log.locked():
        state = log.state()
        log._slots.publish_state(
            log.slot,
            state._replace(
                generation=state.generation + 1,
                swap_generation=state.swap_generation + 1,
                restructuring=0,
            ),
        )


def _watch_exchange(log: PartitionLog) -> None:
    """Who only reads can take no lock and finish nothing: it looks, and then says so."""
    deadline = time.monotonic() + log.settings.lock_timeout_ms / 1000
    while log.current_state().restructuring:
        if time.monotonic() >= deadline:
            raise LockTimeoutError(
                f"segments of {log.topic}-{log.partition} are being exchanged by a process that "
                "does not get on, or died; opening the directory for writing finishes that",
                topic=log.topic,
                partition=log.partition,
                pid=0,
                path=log.directory,
            )
        time.sleep(_PAUSE_S)
