"""The errors of a batch that does not check, worded once for both kernels."""

from __future__ import annotations

from typing import TypeVar

from streamlog.errors import CorruptRecordError, StreamlogError, UnsupportedFormatError
from streamlog.record.layout import MAGIC

BAD_LENGTH = "its length does not fit"
BAD_FIELDS = "its fields do not fit its length"
BAD_OFFSET = "its offset is out of order"
LEFT_OVER = "bytes are left over behind the last record"

_Error = TypeVar("_Error", bound=StreamlogError)


def malformed_record(base_offset: int, index: int, reason: str) -> CorruptRecordError:
    return CorruptRecordError(
        f"record {index} of the batch at offset {base_offset}: {reason}",
        offset=base_offset,
        record=index,
        reason=reason,
    )


def malformed_batch(position: int, reason: str) -> CorruptRecordError:
    return CorruptRecordError(
        f"no valid record batch at position {position}: {reason}",
        position=position,
        reason=reason,
    )


def in_batch(position: int, error: _Error) -> _Error:
    """`error`, of the records of a batch, with the batch's `position`."""
    context = {**error.context, "position": position}
    return type(error)(f"in the batch at position {position}: {error.message}", **context)


def legacy_format(position: int, magic: int) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"message format v{magic} (magic {magic}) at position {position}: written by a Kafka "
        "older than 0.11; only record batches (magic 2) can be read. Let Kafka rewrite the topic.",
        position=position,
        found=magic,
        known=MAGIC,
    )
