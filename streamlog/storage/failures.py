"""The errors of a partition: an answer of the append path or an errno, said to a user."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from streamlog.errors import (
    CorruptDirectoryError,
    DiskFullError,
    FailedWriteError,
    InputOutputError,
    InvalidRecordError,
    LockTimeoutError,
    OffsetOutOfRangeError,
    PartitionPoisonedError,
    RecordTooLargeError,
    StreamlogError,
    UnknownTopicError,
)
from streamlog.storage import append_outcome as codes

if TYPE_CHECKING:
    from streamlog.errors import Outcome
    from streamlog.storage.append_outcome import AppendResult, LogStartResult
    from streamlog.storage.partition_log import PartitionLog

_FULL = (errno.ENOSPC, errno.EDQUOT)


def append_failed(log: PartitionLog, result: AppendResult, size: int) -> StreamlogError:
    """The error for an append that was refused; nothing was written.

    `UnknownTopicError` (deleted), `PartitionPoisonedError`, `RecordTooLargeError`,
    `InvalidRecordError`, `DiskFullError`, `InputOutputError`.
    """
    if result.code == codes.DELETED:
        return deleted(log)
    if result.code == codes.POISONED:
        return poisoned(log, result.detail, outcome="not_written")
    if result.code == codes.TOO_LARGE:
        limit = log.config.segment_bytes
        return RecordTooLargeError(
            f"a batch of {result.detail} bytes is more than a whole segment of "
            f"{log.topic}-{log.partition} ({limit}); raise segment_bytes or send less at once",
            topic=log.topic,
            partition=log.partition,
            size=result.detail,
            limit=limit,
        )
    if result.code == codes.MALFORMED:
        return InvalidRecordError(
            f"{size} bytes for {log.topic}-{log.partition} are not whole version-2 record batches",
            topic=log.topic,
            partition=log.partition,
        )
    return system_error(log, result.detail)


def log_start_refused(log: PartitionLog, offset: int, result: LogStartResult) -> StreamlogError:
    """The error for a log that cannot begin at `offset`; it begins where it did."""
    if result.code == codes.DELETED:
        return deleted(log)
    if result.code == codes.POISONED:
        return poisoned(log, result.detail, outcome="not_written")
    if result.code == codes.BEHIND_HIGH_WATERMARK:
        return OffsetOutOfRangeError(
            f"records of {log.topic}-{log.partition} can be deleted up to its high watermark "
            f"{result.detail}, not up to {offset}",
            topic=log.topic,
            partition=log.partition,
            offset=offset,
            log_start=result.log_start,
            log_end=result.detail,
        )
    return system_error(log, result.detail)


def system_error(log: PartitionLog, number: int) -> StreamlogError:
    """The error for an errno of a write that was taken back."""
    kind = DiskFullError if number in _FULL else InputOutputError
    advice = (
        "free some space (retention can still run) and send again"
        if number in _FULL
        else "the partition is as it was before"
    )
    return kind(
        f"appending to {log.topic}-{log.partition} failed: {os.strerror(number)}; {advice}",
        topic=log.topic,
        partition=log.partition,
        path=log.directory,
        errno=number,
    )


def cannot_open(log: PartitionLog, error: OSError) -> Exception:
    """The error for files of a partition that would not open."""
    if isinstance(error, StreamlogError):
        return error
    if isinstance(error, FileNotFoundError):
        if log._slots.is_deleted(log.slot):
            return deleted(log)
        return CorruptDirectoryError(
            f"{error.filename or log.directory} is missing: it holds records of "
            f"{log.topic}-{log.partition}; restore it, or delete the topic",
            topic=log.topic,
            partition=log.partition,
            file=error.filename or log.directory,
        )
    return system_error(log, error.errno or 0)


def cannot_read(log: PartitionLog, error: OSError) -> Exception:
    """The error for files of a partition that would not be read; a typed one as it is."""
    if isinstance(error, StreamlogError):
        return error
    return InputOutputError(
        f"reading {log.topic}-{log.partition} failed: {error}",
        topic=log.topic,
        partition=log.partition,
        path=error.filename or log.directory,
        errno=error.errno,
    )


def deleted(log: PartitionLog) -> UnknownTopicError:
    """The error for a topic that was deleted while handles on it were open."""
    return UnknownTopicError(
        f"topic {log.topic!r} was deleted; nothing was written",
        topic=log.topic,
        partition=log.partition,
        nearest=None,
    )


def poisoned(log: PartitionLog, number: int, *, outcome: Outcome) -> PartitionPoisonedError:
    """The error for a partition whose sync failed, now (`unknown`) or before."""
    return PartitionPoisonedError(
        f"a sync of {log.topic}-{log.partition} failed ({os.strerror(number)}): what was not on "
        "the disk before may be lost, and writes are refused until "
        f"admin.recover_partition({log.topic!r}, {log.partition}) or the next lone opening",
        outcome=outcome,
        topic=log.topic,
        partition=log.partition,
        errno=number,
    )


def lock_failed(log: PartitionLog, number: int, *, outcome: Outcome) -> InputOutputError:
    """The error for a lock that nobody holds and that was refused all the same."""
    return InputOutputError(
        f"the lock of {log.topic}-{log.partition} was refused: {os.strerror(number)}; nothing is "
        "wrong with the partition: try again",
        topic=log.topic,
        partition=log.partition,
        path=log.directory,
        errno=number,
        outcome=outcome,
    )


def cannot_sync(log: PartitionLog, error: OSError) -> InputOutputError:
    """The error for a sync that was never tried, since its files would not open."""
    return InputOutputError(
        f"{log.topic}-{log.partition} was not synced: {error.strerror}; nothing is wrong with the "
        "partition: close some files, or raise the limit, and sync again",
        topic=log.topic,
        partition=log.partition,
        path=log.directory,
        errno=error.errno,
        outcome="unknown",
    )


def failed_sync_unsaid(log: PartitionLog, error: FailedWriteError) -> FailedWriteError:
    """The error for a sync that failed where not even that could be written down."""
    return type(error)(
        f"a sync of {log.topic}-{log.partition} failed, and it is not refused to others yet; this "
        f"process keeps them from syncing it meanwhile, and tries again at its next sync: {error}",
        **{**error.context, "outcome": "unknown"},
    )


def lock_timeout(
    log: PartitionLog, holder: int, *, outcome: Outcome = "not_written"
) -> LockTimeoutError:
    """The error for a partition that another process holds for too long."""
    return LockTimeoutError(
        f"process {holder} holds {log.topic}-{log.partition} for more than "
        f"{log.settings.lock_timeout_ms} ms; it may be stopped. Locks are never broken: "
        "continue or end that process",
        topic=log.topic,
        partition=log.partition,
        outcome=outcome,
        pid=holder,
        path=log.directory,
    )
