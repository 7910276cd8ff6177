"""The delete-records path (facts 5.1): a partition begins at another offset from now on.

Kafka removes what lies before it when retention comes by. Here the files go at once, unless
somebody restructures the partition at that moment: then the next removal takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from streamlog.errors import (
    InvalidTopicError,
    LockTimeoutError,
    OffsetOutOfRangeError,
    PolicyViolationError,
)
from streamlog.storage.names import INTERNAL_TOPICS
from streamlog.storage.removal import record_log_starts, remove_hidden

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog

HIGH_WATERMARK = -1


def delete_records(
    metadata_log: PartitionLog, offsets: Mapping[PartitionLog, int]
) -> list[PartitionLog]:
    """Delete the records before these offsets, durably; the logs whose files are still there.

    `HIGH_WATERMARK` stands for all there are now. Every partition is checked before any is
    changed. Raises `OffsetOutOfRangeError` for an offset that is negative or behind the high
    watermark, `PolicyViolationError` for a topic that is compacted and no more,
    `InvalidTopicError` for an internal one; and what `PartitionLog.advance_log_start` and the
    removal raise.
    """
    starts = {log: _checked(log, offset) for log, offset in offsets.items()}
    for log, offset in starts.items():
        log.advance_log_start(offset)
    left = []
    for log, log_start in record_log_starts(metadata_log, starts).items():
        try:
            remove_hidden(log, log_start, wait=False)
        except LockTimeoutError:
            left.append(log)
    return left


def _checked(log: PartitionLog, offset: int) -> int:
    """The offset that is meant; whatever speaks against deleting up to it is raised."""
    name = f"{log.topic}-{log.partition}"
    context = {"topic": log.topic, "partition": log.partition}
    if log.topic in INTERNAL_TOPICS:
        raise InvalidTopicError(
            f"records of {name} cannot be deleted: the topic is internal", **context
        )
    if log.config.cleanup_policy == ("compact",):
        raise PolicyViolationError(
            f"records of {name} cannot be deleted: its cleanup_policy is compact; add delete to it",
            **context,
        )
    state = log.state()
    if offset == HIGH_WATERMARK:
        return state.high_watermark
    if not 0 <= offset <= state.high_watermark:
        raise OffsetOutOfRangeError(
            f"records of {name} can be deleted up to its high watermark {state.high_watermark}, "
            f"or {HIGH_WATERMARK} for all of them, not up to {offset}",
            offset=offset,
            log_start=state.log_start,
            log_end=state.log_end,
            **context,
        )
    return offset
