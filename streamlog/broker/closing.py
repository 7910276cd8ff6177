"""Closing a directory: `closing` byte, who is last, and what the last one owes the disk.

Whoever closes takes the `closing` byte and tries to be alone. Refused: others are there, and
will do it. Granted: every partition whose synced end is behind is synced, also those never
opened here; then the checkpoints, the header, and last the clean mark, each durable before
the next. A partition that cannot be synced leaves the directory as a crash would.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from streamlog.broker.directory_lock import DirectoryLock
from streamlog.broker.parallel import in_parallel
from streamlog.errors import LockTimeoutError, StorageError
from streamlog.protocol import Uuid
from streamlog.storage import names, shared
from streamlog.storage.checkpoints import format_offset_checkpoint, read_offset_checkpoint
from streamlog.storage.settling import settle_indexes

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.broker.metadata_image import MetadataImage
    from streamlog.broker.opening import Opening
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState

_PAUSE_SECONDS = 0.001
#: What `.kafka_cleanshutdown` holds.
CLEAN_MARK = b'{"version":0,"brokerEpoch":-1}'


class LastClose:
    """The end of one process's hold on a directory. Used once.

    `image` is the metadata as last replayed, `open_partition` opens a log by name.
    """

    def __init__(
        self,
        opening: Opening,
        image: MetadataImage,
        open_partition: Callable[[str, int], PartitionLog],
        timeout_ms: int,
    ) -> None:
        self._opening = opening
        self._filesystem = opening.filesystem
        self._path = opening.place.path
        self._shared = opening.shared
        self._image = image
        self._open_partition = open_partition
        self._timeout_ms = timeout_ms
        self._unsettled: list[tuple[str, int]] = []

    def is_last(self) -> bool:
        """Take the `closing` byte, and be alone if nobody else has the directory open."""
        deadline = self._opening.clock.monotonic() + self._timeout_ms / 1000
        progress = self._shared.progress
        while not self._lock_closing():
            if self._shared.progress != progress:
                progress = self._shared.progress
                deadline = self._opening.clock.monotonic() + self._timeout_ms / 1000
            if self._opening.clock.monotonic() >= deadline:
                raise LockTimeoutError(
                    f"{self._path} is being closed by another process, which does not get on",
                    path=self._path,
                    pid=self._shared.recoverer,
                )
            time.sleep(_PAUSE_SECONDS)
        assert isinstance(self._opening.lock, DirectoryLock)
        return self._opening.lock.try_alone()

    def finish(self) -> bool:
        """What the last one does; whether the directory is closed cleanly now."""
        states = self._sync_all()
        if states is None:
            return False
        self._write_checkpoints(states)
        self._shared.set_header_state(shared.STATE_CLOSED)
        self._filesystem.write_file(
            f"{self._path}/{names.CLEAN}", CLEAN_MARK, mode=self._opening.mode, sync=True
        )
        self._filesystem.sync_directory(self._path)
        return True

    def _lock_closing(self) -> bool:
        return self._filesystem.lock(
            self._opening.locks_descriptor, shared.CLOSING_LOCK, 1, exclusive=True
        )

    def _sync_all(self) -> dict[tuple[str, int], PartitionState] | None:
        """Sync every slot that is behind; their states, or None when one would not be synced."""
        states: dict[tuple[str, int], PartitionState] = {}
        behind: list[tuple[str, int]] = []
        clean = True
        settled = _read_or_none(self._opening, f"{self._path}/{names.RECOVERY_POINTS}") or {}
        for slot in range(self._shared.slot_count):
            name = self._name_of(slot)
            if name is None or self._shared.is_deleted(slot):
                continue
            self._shared.advance_progress(os.getpid())
            state = self._shared.read_state(slot)
            if state.poisoned:
                clean = False
                continue
            synced = self._shared.read_synced(slot)
            if synced is None:  # a folder may have been made for records that never came
                folder = names.partition_directory_name(*name)
                is_behind = self._filesystem.is_directory(f"{self._path}/{folder}")
            else:
                is_behind = state.log_end > synced.offset
            if is_behind or settled.get(name, 0) != state.log_end:
                behind.append(name)
            states[name] = state
        in_parallel(self._settle, behind, threads=self._opening.sync_threads)
        return states if clean and not self._unsettled else None

    def _settle(self, name: tuple[str, int]) -> None:
        """What a log that grew since the last clean end owes: its sync, indexes, producers.

        One that `acks="all"` synced as it grew still owes the rest.
        """
        self._shared.advance_progress(os.getpid())
        try:
            log = self._open_partition(*name)
            log.sync(log.log_end)
            settle_indexes(log)
            log.write_producer_snapshot()
        except OSError as error:
            import logging

            self._unsettled.append(name)
            logging.getLogger("streamlog").error(
                "%s: closing cannot sync %s-%d: %s", self._path, *name, error
            )

    def _name_of(self, slot: int) -> tuple[str, int] | None:
        topic_id, partition = self._shared.slot_key(slot)
        if topic_id == Uuid.ONE:
            return names.METADATA_TOPIC, 0
        topic = self._image.topic_by_id(Uuid(topic_id))
        return None if topic is None else (topic.name, partition)

    def _write_checkpoints(self, states: dict[tuple[str, int], PartitionState]) -> None:
        """Recovery points, log starts and high watermarks; durable together when this returns."""
        checkpoints = closing_checkpoints(states)
        for name, offsets in checkpoints.items():
            path = f"{self._path}/{name}"
            if name == names.LOG_STARTS and not offsets and not self._filesystem.exists(path):
                continue
            if self._filesystem.exists(path) and _read_or_none(self._opening, path) == offsets:
                continue
            data = format_offset_checkpoint(offsets)
            self._filesystem.write_atomically(
                path, data, mode=self._opening.mode, sync_parent=False
            )
        self._filesystem.sync_directory(self._path)


def closing_checkpoints(
    states: dict[tuple[str, int], PartitionState],
) -> dict[str, dict[tuple[str, int], int]]:
    """What the checkpoints say of a log that ends cleanly, by file name."""
    written = {key: state for key, state in states.items() if state.log_end > 0}
    return {
        names.RECOVERY_POINTS: {key: state.log_end for key, state in written.items()},
        names.LOG_STARTS: {
            key: state.log_start for key, state in written.items() if state.log_start > 0
        },
        names.HIGH_WATERMARKS: {key: state.high_watermark for key, state in written.items()},
    }


def _read_or_none(opening: Opening, path: str) -> dict[tuple[str, int], int] | None:
    try:
        return read_offset_checkpoint(opening.filesystem, path)
    except StorageError:
        return None  # it cannot be read, so it is written anew
