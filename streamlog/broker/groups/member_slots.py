"""`streamlog.members`: when each member that lives in a process polled last.

A file of 8-byte native words, mapped by every process that has members. Nothing in it outlives the
processes: it is made at the first use, and what dead ones left is taken over::

    4,096 bytes   where the coordinator of each partition listens: IPv4 and port, 0 for none
    4,096 bytes   the address of each listener, by its number
    32 bytes      a member: its id (2 words), when it polled last (monotonic ms), whose it is

Whose it is, the liveness number and 1, is written last and tells a slot that is taken from a free
one. Slots are given out under the members' byte of `streamlog.locks`; the time of a member is
written by its own thread, one aligned store a poll, and read by everybody without a lock.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import TYPE_CHECKING

from streamlog.broker.groups.process_names import is_alive
from streamlog.errors import LockTimeoutError
from streamlog.protocol import Uuid
from streamlog.storage import shared
from streamlog.storage.names import STREAMLOG_MEMBERS

if TYPE_CHECKING:
    from streamlog.broker.opening import Opening

_WORD = 8
_HEADER_WORDS = 1024
_SLOT_WORDS = 4
_POLLED, _OWNER = 2, 3
_HEADER_BYTES = _HEADER_WORDS * _WORD
_GROWTH_BYTES = 4096
_PAUSE_S = 0.001
_ID = struct.Struct("=2q")

MOST_COORDINATORS = 512
MOST_LISTENERS = _HEADER_WORDS - MOST_COORDINATORS


class MemberSlot:
    """The slot of one member of this process."""

    __slots__ = ("_at", "_words")

    def __init__(self, words: memoryview, at: int) -> None:
        self._words = words
        self._at = at

    def polled(self, now_ms: int) -> None:
        """It polled now, on the monotonic clock."""
        self._words[self._at + _POLLED] = now_ms

    def release(self) -> None:
        """It is a member no more."""
        self._words[self._at + _OWNER] = 0


class MemberSlots:
    """The file. Thread-safe."""

    def __init__(self, opening: Opening, lock_timeout_ms: int) -> None:
        self._opening = opening
        self._filesystem = opening.filesystem
        self._timeout_ms = lock_timeout_ms
        self._mutex = threading.Lock()
        path = f"{opening.place.path}/{STREAMLOG_MEMBERS}"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        self._descriptor = self._filesystem.open(path, flags, opening.mode)
        self._words = memoryview(b"").cast("q")
        try:
            with self._mutex:
                self._lock()
                try:
                    if self._filesystem.size(self._descriptor) < _HEADER_BYTES:
                        self._filesystem.allocate(self._descriptor, 0, _HEADER_BYTES)
                finally:
                    self._unlock()
                self._map()
        except BaseException:
            self.close()
            raise

    def claim(self, member_id: Uuid, now_ms: int) -> MemberSlot:
        """A slot for a member of this process, which polls now.

        Raises `LockTimeoutError`, `DiskFullError`.
        """
        owner = self._opening.liveness + 1
        with self._mutex:
            self._lock()
            try:
                at = self._find_free_locked()
                words = self._words
                words[at], words[at + 1] = _ID.unpack(member_id)
                words[at + _POLLED] = now_ms
                words[at + _OWNER] = owner
            finally:
                self._unlock()
        return MemberSlot(words, at)

    def polls(self) -> dict[str, int]:
        """When each member polled last, by its id; of every process."""
        with self._mutex:
            self._map()
            words = self._words
        found = {}
        for at in range(_HEADER_WORDS, len(words), _SLOT_WORDS):
            if words[at + _OWNER]:
                found[str(Uuid(_ID.pack(words[at], words[at + 1])))] = words[at + _POLLED]
        return found

    def address(self, partition: int) -> int:
        """The address of who coordinates a partition and listens; 0 when nobody said."""
        return int(self._words[partition])

    def set_address(self, partition: int, address: int) -> None:
        """By who holds the coordinator's byte."""
        self._words[partition] = address

    def listeners(self) -> list[int]:
        """The address of each listener by its number, of those that are gone too."""
        return self._words[MOST_COORDINATORS:_HEADER_WORDS].tolist()

    def set_listener(self, number: int, address: int) -> None:
        """By who holds the listener's byte."""
        self._words[MOST_COORDINATORS + number] = address

    def close(self) -> None:
        self._filesystem.close(self._descriptor)

    def _map(self) -> None:
        """Map what others have added."""
        size = self._filesystem.size(self._descriptor)
        if len(self._words) * _WORD < size:
            self._words = self._filesystem.map_shared(self._descriptor, size).cast("q")

    def _find_free_locked(self) -> int:
        self._map()
        known: dict[int, bool] = {0: False}
        words = self._words
        for at in range(_HEADER_WORDS, len(words), _SLOT_WORDS):
            owner = words[at + _OWNER]
            if owner not in known:
                known[owner] = is_alive(self._opening, owner - 1)
            if not known[owner]:
                words[at + _OWNER] = 0
                return at
        self._grow_locked()
        self._map()
        return len(words)

    def _grow_locked(self) -> None:
        size = self._filesystem.size(self._descriptor)
        self._filesystem.allocate(self._descriptor, size, _GROWTH_BYTES)

    def _lock(self) -> None:
        deadline = time.monotonic() + self._timeout_ms / 1000
        locks = self._opening.locks_descriptor
        while not self._filesystem.lock(locks, shared.MEMBERS_LOCK, 1, exclusive=True):
            if time.monotonic() >= deadline:
                path = self._opening.place.path
                raise LockTimeoutError(
                    f"another process keeps the members of {path} for more than "
                    f"{self._timeout_ms} ms; nothing was changed",
                    path=path,
                    pid=0,
                )
            time.sleep(_PAUSE_S)

    def _unlock(self) -> None:
        self._filesystem.unlock(self._opening.locks_descriptor, shared.MEMBERS_LOCK, 1)
