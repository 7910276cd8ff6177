"""One process's handle on one partition, in pure Python: descriptors, locks and the sync.

The specification of `_handle.pyx`. A lock is the process's mutex first and then the byte of
`streamlog.locks`: two threads on one descriptor do not exclude each other by the byte.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from typing import TYPE_CHECKING

from streamlog.storage import append_outcome as codes
from streamlog.storage import shared
from streamlog.storage.append_outcome import SyncResult
from streamlog.storage.shared import SyncedEnd

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.slots import SharedState

_WAIT_SLICE_S = 0.05  # then the caller looks at signals and its deadline
_MOMENT_S = 0.0002  # for who must not wait: longer than the appends of others
_RETIRED_ROOM = 64


class PartitionHandle:
    """Holds the active segment's descriptors; those of rolled segments until they are synced."""

    def __init__(
        self,
        filesystem: Filesystem,
        slots: SharedState,
        slot: int,
        directory: str,
        locks_descriptor: int,
        mode: int = 0o600,
    ) -> None:
        self._filesystem = filesystem
        self._slots = slots
        self.slot = slot
        self.directory = directory
        self._locks = locks_descriptor
        self._mode = mode
        self._mutex = threading.Lock()
        self._sync_mutex = threading.Lock()
        self._structure_mutex = threading.Lock()
        self._retired: list[int] = []
        #: The errno of a sync that failed and is not in the slot yet; the sync byte is held.
        self.failed_sync = 0
        self.log_fd = self.offset_index_fd = self.time_index_fd = -1
        self.base_offset = self.path_generation = -1
        self.segment_bytes = 1 << 30
        self.segment_ms = 7 * 24 * 3600 * 1000
        self.segment_jitter_ms = 0
        self.index_interval_bytes = 4096
        self.segment_index_bytes = 10 << 20

    @property
    def retired_count(self) -> int:
        return len(self._retired)

    # ---------------------------------------------------------------- descriptors

    def attach(
        self,
        log_fd: int,
        offset_index_fd: int,
        time_index_fd: int,
        base_offset: int,
        path_generation: int,
    ) -> None:
        """Take over the descriptors of the active segment; the former ones are retired."""
        with self._mutex:
            assert len(self._retired) < _RETIRED_ROOM
            for descriptor in (self.offset_index_fd, self.time_index_fd):
                if descriptor >= 0:
                    self._filesystem.close(descriptor)
            self.path_generation = path_generation
            self._change_files(log_fd, offset_index_fd, time_index_fd, base_offset)

    def _change_files(
        self, log_fd: int, offset_index_fd: int, time_index_fd: int, base_offset: int
    ) -> None:
        self.base_offset = -1
        if self.log_fd >= 0:
            self._retired.append(self.log_fd)
        self.log_fd = log_fd
        self.offset_index_fd = offset_index_fd
        self.time_index_fd = time_index_fd
        self.base_offset = base_offset

    def detach(self) -> list[int]:
        """Give all descriptors back, for the caller to close; idempotent.

        Waits for a sync that uses one of them.
        """
        with self._sync_mutex, self._mutex:
            own = (self.log_fd, self.offset_index_fd, self.time_index_fd)
            found = self._retired + [descriptor for descriptor in own if descriptor >= 0]
            self._retired = []
            self.base_offset = self.path_generation = -1
            self.log_fd = self.offset_index_fd = self.time_index_fd = -1
            return found

    def take_retired(self) -> list[int]:
        """The retired descriptors, for who holds the sync byte to sync and close."""
        with self._mutex:
            found, self._retired = self._retired, []
            return found

    # ---------------------------------------------------------------- locks

    def _take(
        self,
        mutex: threading.Lock,
        position: int,
        holder_word: int,
        patience_s: float = _WAIT_SLICE_S,
    ) -> tuple[int, int]:
        """Take the process's mutex and then the byte; (code, pid of who has it).

        `LOCK_BUSY` after `patience_s`.
        """
        deadline = time.monotonic() + patience_s
        nap = 0.000_02
        owns = False
        while True:
            owns = owns or mutex.acquire(timeout=max(deadline - time.monotonic(), 0))
            try:
                if owns and self._filesystem.lock(self._locks, position, 1, exclusive=True):
                    self._set_word(holder_word, os.getpid())
                    return codes.OK, 0
            except OSError as error:
                if not isinstance(error, InterruptedError):
                    mutex.release()
                    return codes.SYSTEM_ERROR, error.errno or 0
            if time.monotonic() >= deadline:
                if owns:
                    mutex.release()
                return codes.LOCK_BUSY, self._word(holder_word)
            time.sleep(nap)
            nap = min(nap * 2, 0.001)

    def _release(self, mutex: threading.Lock, position: int) -> None:
        # What cannot be let go of now is when the descriptor is closed, as it must be by then.
        with contextlib.suppress(OSError):
            self._filesystem.unlock(self._locks, position, 1)
        mutex.release()

    def lock(self, *, wait: bool = True) -> tuple[int, int]:
        """Hold the partition's lock; (code, pid of who has it or errno). Not re-entrant."""
        return self._take(
            self._mutex,
            shared.PARTITION_LOCKS + self.slot,
            shared.SLOT_HOLDER,
            _WAIT_SLICE_S if wait else _MOMENT_S,
        )

    def unlock(self) -> None:
        self._release(self._mutex, shared.PARTITION_LOCKS + self.slot)

    def lock_sync(self) -> tuple[int, int]:
        """Hold the partition's sync byte; (code, pid of who has it or errno)."""
        return self._take(self._sync_mutex, shared.SYNC_LOCKS + self.slot, shared.SLOT_SYNC_HOLDER)

    def unlock_sync(self) -> None:
        self.failed_sync = 0
        self._release(self._sync_mutex, shared.SYNC_LOCKS + self.slot)

    def lock_structure(self) -> tuple[int, int]:
        """Hold the partition's structure byte, to change what segments it has; (code, holder)."""
        position = shared.STRUCTURE_LOCKS + self.slot
        return self._take(self._structure_mutex, position, shared.SLOT_STRUCTURE_HOLDER)

    def unlock_structure(self) -> None:
        self._release(self._structure_mutex, shared.STRUCTURE_LOCKS + self.slot)

    def _word(self, word: int) -> int:
        first = self._slots.map.cover(self.slot)
        return int(self._slots.map.words[first + word])

    def _set_word(self, word: int, value: int) -> None:
        first = self._slots.map.cover(self.slot)
        self._slots.map.words[first + word] = value

    # ---------------------------------------------------------------- sync

    def sync(self, needed: int) -> SyncResult:
        """Put everything below offset `needed` on the disk, unless another's sync already did.

        `NEEDS_SEGMENTS`: the last synced end lies in an earlier segment, which `sync.py` syncs
        first. `SYNC_FAILED`: the disk refused, `failed_sync` says so, and the sync byte is still
        held, for the caller to poison the partition before anybody else syncs.
        """
        code, holder = self.lock_sync()
        if code != codes.OK:
            return SyncResult(code, 0, holder)
        try:
            result = self._sync_locked(needed)
        except BaseException:
            self.unlock_sync()
            raise
        if result.code == codes.SYNC_FAILED:
            self.failed_sync = result.detail
        else:
            self.unlock_sync()
        return result

    def _sync_locked(self, needed: int) -> SyncResult:
        synced = self._slots.read_synced(self.slot)
        if synced is not None and synced.offset >= needed:
            return SyncResult(codes.OK, synced.offset, 0)
        state = self._slots.read_state(self.slot)
        if state.poisoned:
            return SyncResult(codes.POISONED, 0, state.poisoned)
        base, descriptor = self.base_offset, self.log_fd
        same_files = base == self.base_offset == state.base_offset
        if not same_files or synced is None or synced.segment != base or self._retired:
            return SyncResult(codes.NEEDS_SEGMENTS, 0, 0)
        if self.path_generation != state.path_generation:
            return SyncResult(codes.NEEDS_SEGMENTS, 0, 0)
        try:
            self._filesystem.fdatasync(descriptor)
        except OSError as error:
            return SyncResult(codes.SYNC_FAILED, 0, error.errno or errno.EIO)
        self._slots.store_synced(self.slot, SyncedEnd(base, state.end_position, state.log_end))
        return SyncResult(codes.OK, state.log_end, 0)
