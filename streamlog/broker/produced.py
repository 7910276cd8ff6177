"""What a client sent to be produced: held against its own claims before it is appended.

A batch that this library built is sound; one from a connection comes from whoever may connect.
Its frame, its CRC, its counts and each of its records are checked (facts 2.5), then it goes the
way of every other batch (`produce.py`), in the memory into which it was received.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamlog.broker import produce
from streamlog.errors import (
    CorruptRecordError,
    DecompressionError,
    InvalidRecordError,
    InvalidTimestampError,
    InvalidTopicError,
    RecordTooLargeError,
    SendError,
    UnsupportedFormatError,
)
from streamlog.record import layout
from streamlog.record.checksum import crc32c
from streamlog.record.kernel import RecordBatch, survey_records
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT, MAX_INT64
from streamlog.record.survey import NO_TIMESTAMP
from streamlog.storage.names import INTERNAL_TOPICS

if TYPE_CHECKING:
    from streamlog.config import TopicConfig
    from streamlog.record.survey import RecordSurvey
    from streamlog.storage.append_outcome import AppendOutcome
    from streamlog.storage.partition_log import PartitionLog

_INVALID_TXN_STATE = 48


def append_produced(
    log: PartitionLog,
    batch: memoryview,
    *,
    now_ms: int,
    limit: int = DEFAULT_DECOMPRESSED_LIMIT,
) -> AppendOutcome:
    """Append the one batch that fills `batch`, which is writable and changed in place.

    Nothing is synced: see `needs_sync`. `limit` is the most that it may decompress to. Raises
    `InvalidTopicError` for an internal topic, whoever sends it: what coordinators remember is
    written by them alone (Kafka lets a client called `__admin_client` in). Also
    `InvalidRecordError`, `CorruptRecordError` for a CRC that does not match,
    `RecordTooLargeError`, `InvalidTimestampError`, and what `PartitionLog.append` raises. Where
    single records are to blame, the error's `records` are their places in the batch.
    """
    if log.topic in INTERNAL_TOPICS:
        raise InvalidTopicError(
            f"topic {log.topic!r} is internal: only coordinators write to it", topic=log.topic
        )
    parsed = _parse(log, batch)
    survey = _survey(log, parsed, limit)
    _correct_max_timestamp(log.config, parsed, survey)
    try:
        prepared, from_producer = produce.prepare(log, batch, now_ms, survey)
    except (InvalidRecordError, InvalidTimestampError) as error:
        raise _with_records(log, parsed, error, now_ms, limit) from None
    outcome = log.append(prepared, check_producers=from_producer, now_ms=now_ms)
    assert outcome is not None, "an append without a condition cannot fail it"
    return outcome


def needs_sync(log: PartitionLog, outcome: AppendOutcome, acks: int) -> bool:
    """Whether what was appended has to be on the disk before it is acknowledged."""
    return acks == produce.ACKS_ALL or produce.is_flush_due(log, outcome)


def _parse(log: PartitionLog, data: memoryview) -> RecordBatch:
    """The batch, its header and its CRC checked."""
    try:
        batch = RecordBatch(data)
    except (CorruptRecordError, UnsupportedFormatError) as error:
        raise _invalid(log, f"no record batch of Kafka's current format: {error}") from None
    if batch.size != len(data):
        raise _invalid(log, "a request has exactly one record batch for a partition")
    if batch.base_offset != 0:
        raise _invalid(log, f"a batch to be appended begins at offset 0, not {batch.base_offset}")
    limit = log.config.max_batch_bytes
    if batch.size > limit:
        raise RecordTooLargeError(
            f"a batch of {batch.size} bytes is more than {log.topic!r} takes ({limit})",
            topic=log.topic,
            partition=log.partition,
            size=batch.size,
            limit=limit,
        )
    if batch.crc != crc32c(batch.view[layout.ATTRIBUTES_AT :]):
        raise CorruptRecordError(
            "the CRC of the batch does not match its bytes",
            topic=log.topic,
            partition=log.partition,
        )
    _check_claims(log, batch)
    return batch


def _check_claims(log: PartitionLog, batch: RecordBatch) -> None:
    count = batch.last_offset - batch.base_offset + 1
    if batch.count < 1 or batch.count != count:
        text = f"a batch of {batch.count} records that claims {count} offsets"
    elif batch.is_control:
        text = "control batches are written by coordinators only"
    elif batch.producer_id >= 0 and (batch.base_sequence < 0 or batch.producer_epoch < 0):
        text = "a producer's batch without a sequence number or epoch"
    elif batch.is_transactional:
        raise _invalid(log, "there are no transactions here", code=_INVALID_TXN_STATE)
    else:
        return
    raise _invalid(log, text)


def _survey(log: PartitionLog, batch: RecordBatch, limit: int) -> RecordSurvey:
    """Every record decodes, and what they amount to."""
    try:
        return survey_records(batch, limit)
    except (CorruptRecordError, DecompressionError) as error:
        raise _invalid(log, error.message) from None


def _correct_max_timestamp(config: TopicConfig, batch: RecordBatch, survey: RecordSurvey) -> None:
    """What the header claims of the records' timestamps becomes what they are, as in Kafka."""
    if config.message_timestamp_type != "CreateTime" or batch.timestamp_type:
        return
    if batch.max_timestamp != survey.largest_timestamp:
        view = batch.view
        layout.INT64.pack_into(view, layout.MAX_TIMESTAMP_AT, survey.largest_timestamp)
        layout.UINT32.pack_into(view, layout.CRC_AT, crc32c(view[layout.ATTRIBUTES_AT :]))


def _with_records(
    log: PartitionLog, batch: RecordBatch, error: SendError, now_ms: int, limit: int
) -> SendError:
    """`error`, with the places of all records that it is about."""
    config = log.config
    oldest = now_ms - config.message_timestamp_before_max_ms
    newest = min(now_ms + config.message_timestamp_after_max_ms, MAX_INT64)
    if isinstance(error, InvalidTimestampError):
        records = [
            place
            for place, record in enumerate(batch.records("", -1, 0, limit))
            if record.timestamp != NO_TIMESTAMP and not oldest <= record.timestamp <= newest
        ]
    else:
        records = [
            place
            for place, record in enumerate(batch.records("", -1, 0, limit))
            if config.is_compacted and record.key is None
        ]
    return type(error)(error.message, **{**error.context, "records": records})


def _invalid(log: PartitionLog, text: str, **context: Any) -> InvalidRecordError:
    return InvalidRecordError(text, topic=log.topic, partition=log.partition, **context)
