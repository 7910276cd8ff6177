"""The layout of `streamlog.shared`: what processes on one directory tell each other.

The file is a header of 4,096 bytes and then one slot of 576 bytes a partition, in 8-byte
native words, every word aligned, so that a store is seen whole or not at all::

    header   magic, format | boot id | device, inode | state | slots in use | progress, pid
             bell and waiters (two 4-byte words in a cache line of their own)
    slot     fixed (8 words) | state A (24) | state B (24) | synced A (8) | synced B (8)

The state of a partition stands there twice. Who holds the partition's lock fills copy
`(sequence + 1) & 1` and then stores `sequence + 1`: that single store publishes. Readers take
no lock: they copy `sequence & 1` and try again if the sequence moved. A writer that dies
half way leaves the published copy as it was.

`synced_end` (how far the disk has it) has two records of its own, written alternately under
the partition's sync byte, each with a number and a CRC: after a power cut whichever survives
with the highest number is a lower bound of the truth.

This module is the one place that knows the positions; `_system.pyx` asserts them at import.
"""

from __future__ import annotations

from typing import NamedTuple

from streamlog.storage.format_number import FORMAT, OLDEST_SHARED_FORMAT

WORD = 8
MAGIC = int.from_bytes(b"strmlog1", "little")
#: Of a file that a dead process left: its slots are where those of today are, the rest is zeros.
KNOWN_FORMATS = range(OLDEST_SHARED_FORMAT, FORMAT + 1)
ANY_FORMAT = range(1 << 63)

HEADER_SIZE = 4096
HEADER_MAGIC = 0
HEADER_FORMAT = 1
HEADER_BOOT_ID = 2  # two words
HEADER_DEVICE = 4
HEADER_INODE = 5
HEADER_STATE = 6
HEADER_SLOT_COUNT = 7
HEADER_PROGRESS = 8
HEADER_RECOVERER = 9
HEADER_HOUSEKEEPER = 10  # pid of who did the last round of housekeeping, or is doing one
HEADER_RETENTION_MS = 11  # when retention was last applied, monotonic; 0 for never
HEADER_CLEANING_MS = 12  # when compacted topics were last cleaned, likewise
HEADER_LOCKS_INODE = 13  # of the `streamlog.locks` that its processes lock
HEADER_EXPIRY_MS = 14  # when committed offsets were last looked at for expiry, likewise
BELL_BYTE = 128  # a 4-byte word, a futex
WAITERS_BYTE = 132  # a 4-byte flag: somebody may be waiting on the bell

STATE_ABSENT = 0
STATE_RECOVERING = 1
STATE_LIVE = 2
STATE_CLOSED = 3
STATE_RESUMING = 4  # recovering, and the slots are still to be believed

SLOT_WORDS = 72
SLOT_SIZE = SLOT_WORDS * WORD
SLOT_TOPIC_ID = 0  # two words
SLOT_PARTITION = 2
SLOT_FLAGS = 3
SLOT_HOLDER = 4  # pid of who took the lock last
SLOT_INTENDED_END = 5  # a position, or -1 - base while a roll to `base` is under way
SLOT_SEQUENCE = 6
SLOT_SYNC_HOLDER = 7
SLOT_STATE = 8
STATE_WORDS = 24
SLOT_SYNCED = SLOT_STATE + 2 * STATE_WORDS
SYNCED_WORDS = 8
SLOT_STRUCTURE_HOLDER = SLOT_WORDS - 1  # in the room that the second synced end leaves

FLAG_ASSIGNED = 1
FLAG_DELETED = 2

MAPPED_SIZE = 1 << 30  # address space only: pages behind the slots in use are never touched
GROWTH_SLOTS = 64

# Byte ranges of `streamlog.locks`.
PARTITION_LOCKS = 0
SYNC_LOCKS = 1 << 40
HOUSEKEEPING_LOCK = 1 << 41
CLOSING_LOCK = HOUSEKEEPING_LOCK + 1
MEMBERS_LOCK = HOUSEKEEPING_LOCK + 2
LIVENESS_LOCKS = 1 << 42
STRUCTURE_LOCKS = 1 << 43
COORDINATOR_LOCKS = 1 << 44
LISTENER_LOCKS = 1 << 45

LIVENESS_NUMBERS = 1 << 40  # drawn at random: no two processes have the same one, ever


class PartitionState(NamedTuple):
    """One published state of a partition; the order of the fields is the order of the words.

    Offsets are record offsets, positions and sizes are bytes, timestamps are milliseconds
    since the epoch with -1 for none.
    """

    log_start: int = 0
    log_end: int = 0
    end_position: int = 0  # of the active segment's `.log`
    high_watermark: int = 0
    last_stable_offset: int = 0
    generation: int = 0  # moves whenever the set of segments changes
    poisoned: int = 0  # the errno of the sync that failed, 0 for none
    leader_epoch: int = 0
    base_offset: int = 0  # of the active segment
    path_generation: int = 0  # moves when a file of the same name is another file
    first_timestamp: int = -1  # largest timestamp of the active segment's first batch
    largest_timestamp: int = -1  # of the active segment
    largest_timestamp_offset: int = -1
    offset_index_size: int = 0
    time_index_size: int = 0
    bytes_since_index_entry: int = 0
    producer_batch_end: int = 0  # the offset behind the last batch with a producer id
    last_time_index_timestamp: int = -1
    created_ms: int = 0  # wall clock at the active segment's creation
    swap_generation: int = 0  # moves when sealed segments were exchanged for others
    restructuring: int = 0  # not 0 while sealed segments are being exchanged


class SyncedEnd(NamedTuple):
    """How far the disk has a partition: everything below `offset`.

    `segment` is the base offset of the segment that holds the end, `position` the byte in it.
    """

    segment: int
    position: int
    offset: int
