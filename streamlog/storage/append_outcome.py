"""What one append or sync call says: codes and the tuple around them, for both kernels."""

from __future__ import annotations

from typing import NamedTuple

OK = 0
STALE = 1  # another process changed the set of segments: open the files again
NOT_AT_EXPECTED_END = 2  # the condition `log_end == n` does not hold
BEHIND_PRODUCERS = 3  # a batch with a producer id came after the caller's caught-up end
DELETED = 4  # the topic is gone
POISONED = 5  # a sync failed; `detail` is its errno
LOCK_BUSY = 6  # not within one slice of waiting; `detail` is the holder's pid
SYSTEM_ERROR = 7  # `detail` is the errno; nothing was published
TOO_LARGE = 8  # larger than a whole segment
MALFORMED = 9  # the bytes are not whole version-2 batches
NEEDS_SEGMENTS = 10  # sync: segments before the active one are to be synced first
SYNC_FAILED = 11  # `detail` is the errno; the sync byte is still held, for the caller to poison
BEHIND_HIGH_WATERMARK = 12  # what is not committed cannot be removed; `detail` is the watermark


class WouldWait(BaseException):
    """What was asked for without waiting takes waiting: for a lock, or files; nothing was done.

    No `Exception`: whoever turns errors into answers lets it pass, as they let an interrupt.
    """


class AppendResult(NamedTuple):
    """The answer of `PartitionWriter.append`.

    `base_offset` and `next_offset` bound what was appended (with `OK`), or repeat the log end
    that broke the condition. `rolled` says that the call began a new segment.
    """

    code: int
    base_offset: int
    next_offset: int
    rolled: bool
    detail: int


class SyncResult(NamedTuple):
    """The answer of `PartitionWriter.sync`: everything below `offset` is on the disk."""

    code: int
    offset: int
    detail: int


class LogStartResult(NamedTuple):
    """The answer of `PartitionWriter.advance_log_start`: the log begins at `log_start` now."""

    code: int
    log_start: int
    detail: int


class AppendOutcome(NamedTuple):
    """Where batches went: offsets `base_offset` to `last_offset`; the log then ended at `log_end`.

    `duplicate`: an idempotent producer's batch that was there already, at these offsets.
    """

    base_offset: int
    last_offset: int
    log_end: int
    duplicate: bool = False
