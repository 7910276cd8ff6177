# The words of a slot and of a state, and the answers of a call. shared.py and
# append_outcome.py say them; what _handle.pyx checks at import holds them together.

cdef enum:
    # Words of a slot and of a state: shared.py says them, the assertions below hold them.
    SLOT_FLAGS = 3
    SLOT_HOLDER = 4
    SLOT_INTENDED_END = 5
    SLOT_SEQUENCE = 6
    SLOT_SYNC_HOLDER = 7
    SLOT_STATE = 8
    STATE_WORDS = 24
    SLOT_SYNCED = 56
    SLOT_STRUCTURE_HOLDER = 71
    LOG_START = 0
    LOG_END = 1
    END_POSITION = 2
    HIGH_WATERMARK = 3
    LAST_STABLE = 4
    GENERATION = 5
    POISONED_ERRNO = 6
    LEADER_EPOCH = 7
    BASE_OFFSET = 8
    PATH_GENERATION = 9
    FIRST_TIMESTAMP = 10
    LARGEST_TIMESTAMP = 11
    LARGEST_TIMESTAMP_OFFSET = 12
    OFFSET_INDEX_SIZE = 13
    TIME_INDEX_SIZE = 14
    BYTES_SINCE_INDEX = 15
    PRODUCER_BATCH_END = 16
    LAST_TIME_INDEX = 17
    CREATED_MS = 18
    SWAP_GENERATION = 19
    RESTRUCTURING = 20
    FLAG_DELETED = 2
    HEADER = 61
    INDEX_ENTRIES = 64  # gathered before one write
    RETIRED_ROOM = 64

cdef enum:
    # The locks of a partition, each a mutex of the process and then a byte of streamlog.locks.
    PARTITION_LOCK = 0
    SYNC_LOCK = 1
    STRUCTURE_LOCK = 2

cdef enum:
    OK = 0
    STALE = 1
    NOT_AT_EXPECTED_END = 2
    BEHIND_PRODUCERS = 3
    DELETED = 4
    POISONED = 5
    LOCK_BUSY = 6
    SYSTEM_ERROR = 7
    TOO_LARGE = 8
    MALFORMED = 9
    NEEDS_SEGMENTS = 10
    SYNC_FAILED = 11
    BEHIND_HIGH_WATERMARK = 12
