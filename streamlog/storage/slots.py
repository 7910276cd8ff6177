"""`SharedState`: the header and the slots of `streamlog.shared`, by name.

Who may write what: the header by whoever opens alone; a slot's state by whoever holds the
partition's lock; its synced end under the sync byte; new slots under slot 0's lock. Reading
takes no lock at all.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from streamlog.record.checksum import crc32c
from streamlog.storage import shared, system
from streamlog.storage.format_number import FORMAT
from streamlog.storage.shared import PartitionState, SyncedEnd

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem

_TWO_WORDS = struct.Struct("=2q")
_SYNCED = struct.Struct("=7q")  # a topic id, a partition, a synced end and its number


class HeaderState(NamedTuple):
    """What the header says of the file itself."""

    magic: int
    format: int
    boot_id: bytes
    device: int
    inode: int
    state: int
    slot_count: int


class SharedState:
    """The mapped file. `map` has the lock-free readers: `read_state`, `log_end`, `find_ready`."""

    def __init__(self, filesystem: Filesystem, descriptor: int) -> None:
        self._filesystem = filesystem
        self._descriptor = descriptor
        self.map = system.map_slots(filesystem, descriptor)
        self._index: dict[tuple[bytes, int], int] = {}
        self._indexed = 0

    # ---------------------------------------------------------------- header

    @staticmethod
    def create(filesystem: Filesystem, descriptor: int) -> None:
        """Give the file room for the header and the first slots, all zeros."""
        length = shared.HEADER_SIZE + shared.GROWTH_SLOTS * shared.SLOT_SIZE
        filesystem.truncate(descriptor, 0)
        filesystem.allocate(descriptor, 0, length)

    def header(self) -> HeaderState:
        words = self.map.words
        boot_id = _TWO_WORDS.pack(*words[shared.HEADER_BOOT_ID : shared.HEADER_BOOT_ID + 2])
        return HeaderState(
            words[shared.HEADER_MAGIC],
            words[shared.HEADER_FORMAT],
            boot_id,
            words[shared.HEADER_DEVICE],
            words[shared.HEADER_INODE],
            words[shared.HEADER_STATE],
            words[shared.HEADER_SLOT_COUNT],
        )

    def initialize_header(self, boot_id: bytes, device: int, inode: int, locks_inode: int) -> None:
        """Say whose file this is; the state stays what it was. For who is alone."""
        words = self.map.words
        if _TWO_WORDS.pack(*words[shared.HEADER_BOOT_ID : shared.HEADER_BOOT_ID + 2]) != boot_id:
            # The monotonic clock has begun anew.
            for done in (
                shared.HEADER_RETENTION_MS,
                shared.HEADER_CLEANING_MS,
                shared.HEADER_EXPIRY_MS,
            ):
                if words[done]:
                    words[done] = 0
        words[shared.HEADER_MAGIC] = shared.MAGIC
        words[shared.HEADER_FORMAT] = FORMAT
        words[shared.HEADER_BOOT_ID], words[shared.HEADER_BOOT_ID + 1] = _TWO_WORDS.unpack(boot_id)
        words[shared.HEADER_DEVICE] = device
        words[shared.HEADER_INODE] = inode
        words[shared.HEADER_LOCKS_INODE] = locks_inode

    def set_header_state(self, state: int) -> None:
        self.map.words[shared.HEADER_STATE] = state

    @property
    def progress(self) -> int:
        """A number that moves while somebody recovers."""
        return int(self.map.words[shared.HEADER_PROGRESS])

    def advance_progress(self, pid: int) -> None:
        words = self.map.words
        words[shared.HEADER_RECOVERER] = pid
        words[shared.HEADER_PROGRESS] += 1

    @property
    def recoverer(self) -> int:
        return int(self.map.words[shared.HEADER_RECOVERER])

    @property
    def slot_count(self) -> int:
        return int(self.map.words[shared.HEADER_SLOT_COUNT])

    # ---------------------------------------------------------------- slots

    def reset_slots(self) -> None:
        """Forget every slot. Only for who is alone, before recovery publishes them anew."""
        words = self.map.words
        for slot in range(self.slot_count):
            first = self.map.cover(slot)
            words = self.map.words
            for at in range(first, first + shared.SLOT_WORDS):
                words[at] = 0
        words[shared.HEADER_SLOT_COUNT] = 0
        self._index.clear()
        self._indexed = 0

    def find_slot(self, topic_id: bytes, partition: int) -> int | None:
        """The slot of a partition; None when nobody assigned one yet."""
        self._index_new_slots()
        return self._index.get((topic_id, partition))

    def _index_new_slots(self) -> None:
        count = self.slot_count
        for slot in range(self._indexed, count):  # harmless when two threads do it at once
            first = self.map.cover(slot)
            words = self.map.words
            topic_id = _TWO_WORDS.pack(*words[first : first + 2])
            self._index[topic_id, words[first + shared.SLOT_PARTITION]] = slot
        self._indexed = count

    def assign_slot(self, topic_id: bytes, partition: int, state: PartitionState) -> int:
        """The partition's slot, made with `state` if it has none. Under slot 0's lock."""
        found = self.find_slot(topic_id, partition)
        if found is not None:
            return found
        slot = self.slot_count
        self._grow(slot + 1)
        first = self.map.cover(slot)
        words = self.map.words
        words[first], words[first + 1] = _TWO_WORDS.unpack(topic_id)
        words[first + shared.SLOT_PARTITION] = partition
        words[first + shared.SLOT_FLAGS] = shared.FLAG_ASSIGNED
        words[first + shared.SLOT_INTENDED_END] = state.end_position
        self.publish_state(slot, state)
        words[shared.HEADER_SLOT_COUNT] = slot + 1
        self._index_new_slots()
        return slot

    def _grow(self, slots: int) -> None:
        needed = shared.HEADER_SIZE + slots * shared.SLOT_SIZE
        length = self._filesystem.size(self._descriptor)
        if needed > length:
            more = shared.GROWTH_SLOTS * shared.SLOT_SIZE
            more = max(more, min(length, 1 << 20))  # doubling, up to 1 MiB a step
            self._filesystem.allocate(self._descriptor, length, more)

    def publish_state(self, slot: int, state: PartitionState) -> None:
        """Make `state` the published one. Under the partition's lock, or alone."""
        first = self.map.cover(slot)
        words = self.map.words
        sequence = words[first + shared.SLOT_SEQUENCE] + 1
        copy = first + shared.SLOT_STATE + shared.STATE_WORDS * (sequence & 1)
        for at, value in enumerate(state, copy):
            words[at] = value
        words[first + shared.SLOT_SEQUENCE] = sequence

    def read_state(self, slot: int) -> PartitionState:
        state: PartitionState = self.map.read_state(slot)
        return state

    def slot_key(self, slot: int) -> tuple[bytes, int]:
        """The topic id and the partition of a slot."""
        first = self.map.cover(slot)
        words = self.map.words
        return _TWO_WORDS.pack(*words[first : first + 2]), words[first + shared.SLOT_PARTITION]

    def is_deleted(self, slot: int) -> bool:
        first = self.map.cover(slot)
        return bool(self.map.words[first + shared.SLOT_FLAGS] & shared.FLAG_DELETED)

    def mark_deleted(self, slot: int) -> None:
        """Refuse every later append. Under the partition's lock."""
        first = self.map.cover(slot)
        self.map.words[first + shared.SLOT_FLAGS] |= shared.FLAG_DELETED

    def intended_end(self, slot: int) -> int:
        """Where the last writer meant to end; another position than the end's if it died."""
        first = self.map.cover(slot)
        return int(self.map.words[first + shared.SLOT_INTENDED_END])

    def structure_holder(self, slot: int) -> int:
        """The pid of who held the partition's structure byte last; 0 for nobody."""
        first = self.map.cover(slot)
        return int(self.map.words[first + shared.SLOT_STRUCTURE_HOLDER])

    def set_intended_end(self, slot: int, position: int) -> None:
        """Where the writer that holds the lock means to end. Under the partition's lock."""
        first = self.map.cover(slot)
        self.map.words[first + shared.SLOT_INTENDED_END] = position

    # ---------------------------------------------------------------- synced end

    def read_synced(self, slot: int) -> SyncedEnd | None:
        """How far the disk has the partition; None when no record of it checks."""
        best = self._last_synced(slot)
        return None if best is None else SyncedEnd(*best[:3])

    def is_behind(self, slot: int) -> bool:
        """Whether the partition has records of which the disk may know nothing."""
        synced = self.read_synced(slot)
        return (0 if synced is None else synced.offset) < self.read_state(slot).log_end

    def _last_synced(self, slot: int) -> tuple[int, ...] | None:
        slot_start = self.map.cover(slot)
        first = slot_start + shared.SLOT_SYNCED
        words = self.map.words
        whose = words[slot_start : slot_start + 3].tolist()
        best: tuple[int, ...] | None = None
        for record in (first, first + shared.SYNCED_WORDS):
            found = tuple(words[record : record + 5].tolist())
            checks = found[3] > 0 and found[4] == crc32c(_SYNCED.pack(*whose, *found[:4]))
            if checks and (best is None or found[3] > best[3]):
                best = found
        return best

    def store_synced(self, slot: int, synced: SyncedEnd) -> None:
        """Say how far the disk has it, beside what was said before. Under the sync byte.

        The CRC is over whose slot it is, too: a power cut may leave a slot half as it was
        before it was another partition's.
        """
        last = self._last_synced(slot)
        number = 1 if last is None else last[3] + 1
        slot_start = self.map.cover(slot)
        first = slot_start + shared.SLOT_SYNCED + shared.SYNCED_WORDS * (number & 1)
        words = self.map.words
        whose = words[slot_start : slot_start + 3].tolist()
        for at, value in enumerate((*synced, number), first):
            words[at] = value
        words[first + 4] = crc32c(_SYNCED.pack(*whose, *synced, number))
