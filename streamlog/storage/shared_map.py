"""The mapped `streamlog.shared`, read and rung in pure Python: the twin of `_system.SharedMap`.

Aligned 8-byte stores through a native memoryview are single machine stores, and x86-64 shows
them to others in order; elsewhere only the compiled twin, which says its barriers, may share
a directory with other processes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streamlog.storage import shared
from streamlog.storage.shared import PartitionState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.storage.filesystem import Filesystem

_FIELDS = len(PartitionState._fields)
_LOG_END = PartitionState._fields.index("log_end")
_SHORTEST_NAP_S = 0.000_05
_LONGEST_NAP_S = 0.005


class SharedMap:
    """The file's words as far as they were allocated; `cover` maps what was added since."""

    def __init__(self, filesystem: Filesystem, descriptor: int) -> None:
        self._filesystem = filesystem
        self._descriptor = descriptor
        self._remap()

    def _remap(self) -> None:
        length = self._filesystem.size(self._descriptor)
        self.words = self._filesystem.map_shared(self._descriptor, length).cast("q")
        # Two 4-byte words in one of 8: the bell is the low half, the waiters' flag the high.
        self._halves = self.words.cast("B").cast("I")

    def cover(self, slot: int) -> int:
        """The first word of `slot`, mapped if it was not yet."""
        first = (shared.HEADER_SIZE + slot * shared.SLOT_SIZE) // shared.WORD
        if first + shared.SLOT_WORDS > len(self.words):
            self._remap()
        return first

    def read_state(self, slot: int) -> PartitionState:
        """The published state of a slot. Takes no lock."""
        first = self.cover(slot)
        words = self.words
        while True:
            sequence = words[first + shared.SLOT_SEQUENCE]
            copy = first + shared.SLOT_STATE + shared.STATE_WORDS * (sequence & 1)
            found = words[copy : copy + _FIELDS].tolist()
            if words[first + shared.SLOT_SEQUENCE] == sequence:
                return PartitionState._make(found)

    def state_word(self, slot: int, index: int) -> int:
        """One word of the published state, by its position in `PartitionState`."""
        first = self.cover(slot)
        words = self.words
        while True:
            sequence = words[first + shared.SLOT_SEQUENCE]
            value = words[first + shared.SLOT_STATE + shared.STATE_WORDS * (sequence & 1) + index]
            if words[first + shared.SLOT_SEQUENCE] == sequence:
                return value

    def log_end(self, slot: int) -> int:
        """One word of the published state: the offset that the next record will get."""
        return self.state_word(slot, _LOG_END)

    def find_ready(self, slots: Sequence[int], positions: Sequence[int], start: int) -> int:
        """The first index from `start` on, going round, whose log end is past its position."""
        count = len(slots)
        for step in range(count):
            at = (start + step) % count
            if slots[at] >= 0 and self.log_end(slots[at]) > positions[at]:
                return at
        return -1

    def bell(self) -> int:
        """The bell's number now. Read it before looking for data, then wait on it."""
        return self._halves[shared.BELL_BYTE // 4]

    def announce(self) -> None:
        """Nobody sleeps until he is woken here: who waits looks again and again."""

    def ring_bell(self) -> None:
        """Change the bell's number: who polls sees it; compiled waiters look every 50 ms."""
        at = shared.BELL_BYTE // 4
        self._halves[at] = (self._halves[at] + 1) & 0xFFFFFFFF

    def wait(self, seen: int, timeout_us: int | None = None) -> bool:
        """Poll, backing off, until the bell's number differs; False when the time ran out."""
        deadline = None if timeout_us is None else time.monotonic() + timeout_us / 1e6
        nap = _SHORTEST_NAP_S
        while self.bell() == seen:
            if deadline is not None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                nap = min(nap, remaining)
            time.sleep(nap)
            nap = min(nap * 2, _LONGEST_NAP_S)
        return True
