"""The produce path: what a partition's leader checks and changes before a batch is appended.

Validating, deciding what to write and appending are three functions. Everything that needs
the interpreter happens before the partition's lock is taken (facts 2.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.config.settings import LONG_MAX
from streamlog.errors import InvalidRecordError, InvalidTimestampError, RecordTooLargeError
from streamlog.record import TimestampType, layout
from streamlog.record.checksum import crc32c
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder, survey_records
from streamlog.record.survey import NO_TIMESTAMP
from streamlog.storage.append_outcome import WouldWait

if TYPE_CHECKING:
    from streamlog.config import TopicConfig
    from streamlog.record.survey import RecordSurvey
    from streamlog.storage.append_outcome import AppendOutcome
    from streamlog.storage.partition_log import PartitionLog

ACKS_ALL = -1

_CODECS = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def append(
    log: PartitionLog, batches: bytearray, *, acks: int, now_ms: int, wait: bool = True
) -> AppendOutcome:
    """Append one or more whole batches to `log` and, with `acks=-1`, have them on the disk.

    The topic's settings are those of the last look at the metadata, which `Engine.partition` takes
    and who keeps a log takes before each append (`Engine.refresh`: one load when nothing changed).
    `batches` is changed: offsets and epoch are assigned in place. Raises `RecordTooLargeError`,
    `InvalidTimestampError`, `InvalidRecordError`, and what the log raises; nothing is written
    then, unless the error's `outcome` says otherwise. Without `wait` also `WouldWait`, and
    nothing is written either.
    """
    if not wait and (acks == ACKS_ALL or log.config.flush_messages != LONG_MAX):
        raise WouldWait
    prepared, from_producer = prepare(log, batches, now_ms)
    if from_producer and not wait:  # earlier batches may have to be read
        raise WouldWait
    outcome = log.append(prepared, check_producers=from_producer, now_ms=now_ms, wait=wait)
    assert outcome is not None, "an append without a condition cannot fail it"
    if acks == ACKS_ALL:
        log.sync(outcome.log_end)
    else:
        flush_if_due(log, outcome)
    return outcome


def prepare(
    log: PartitionLog,
    batches: bytearray | memoryview,
    now_ms: int,
    survey: RecordSurvey | None = None,
) -> tuple[bytearray | memoryview, bool]:
    """The bytes to append, and whether any of them comes from an idempotent producer.

    `survey` is what `survey_records` said where that was asked already, of a single batch.
    """
    config = log.config
    from_producer = False
    recoded: list[bytearray | memoryview] | None = None
    position, length = 0, len(batches)
    while position < length:
        batch = RecordBatch(batches, position)
        _check(log, batch, config, now_ms, survey)
        from_producer = from_producer or batch.producer_id >= 0
        codec = _CODECS.get(config.compression_type, batch.codec)
        if codec != batch.codec:
            if recoded is None:
                recoded = [batches[:position]]
            recoded.append(_recode(log, batch, codec, config))
            if len(recoded[-1]) > config.max_batch_bytes:
                raise _too_large(log, len(recoded[-1]), config)
        elif recoded is not None:
            recoded.append(bytearray(batch.view))
        position += batch.size
    if recoded is not None:
        batches = bytearray().join(recoded)
    if config.message_timestamp_type == "LogAppendTime":
        _stamp(batches, now_ms)
    return batches, from_producer


def flush_if_due(log: PartitionLog, outcome: AppendOutcome) -> None:
    """Sync when as many records are unsynced as `flush.messages` allows; the lock is free again."""
    if is_flush_due(log, outcome):
        log.sync(outcome.log_end)


def is_flush_due(log: PartitionLog, outcome: AppendOutcome) -> bool:
    """Whether as many records are unsynced as `flush.messages` allows."""
    limit = log.config.flush_messages
    return limit != LONG_MAX and outcome.log_end - log.synced_end >= limit


def _check(
    log: PartitionLog,
    batch: RecordBatch,
    config: TopicConfig,
    now_ms: int,
    survey: RecordSurvey | None,
) -> None:
    """What the header says of all records; the records where the topic asks for that."""
    if batch.size > config.max_batch_bytes:
        raise _too_large(log, batch.size, config)
    if batch.is_control:
        raise InvalidRecordError(
            "control batches are written by coordinators only",
            topic=log.topic,
            partition=log.partition,
        )
    oldest = None
    if config.message_timestamp_type == "CreateTime":
        if batch.timestamp_type != TimestampType.CREATE_TIME:
            raise _bad_timestamp(log, batch.max_timestamp, "carries the log's time, not its own")
        limit = config.message_timestamp_after_max_ms
        if batch.max_timestamp - now_ms > limit:
            why = f"is more than message_timestamp_after_max_ms={limit} after now"
            raise _bad_timestamp(log, batch.max_timestamp, why)
        limit = config.message_timestamp_before_max_ms
        oldest = None if limit == LONG_MAX else now_ms - limit
    if oldest is not None or config.is_compacted:
        _check_records(log, oldest, config, survey_records(batch) if survey is None else survey)


def _check_records(
    log: PartitionLog, oldest: int | None, config: TopicConfig, survey: RecordSurvey
) -> None:
    """What only the records know."""
    smallest = survey.smallest_timestamp
    if oldest is not None and NO_TIMESTAMP != smallest < oldest:
        why = "is older than message_timestamp_before_max_ms allows"
        raise _bad_timestamp(log, smallest, why)
    if config.is_compacted and survey.first_keyless >= 0:
        raise InvalidRecordError(
            f"topic {log.topic!r} is compacted: every record needs a key, and record "
            f"{survey.first_keyless} of the batch has none",
            topic=log.topic,
            partition=log.partition,
            record=survey.first_keyless,
        )


def _too_large(log: PartitionLog, size: int, config: TopicConfig) -> RecordTooLargeError:
    limit = config.max_batch_bytes
    return RecordTooLargeError(
        f"a batch of {size} bytes is more than {log.topic!r} takes ({limit}); make "
        "batches smaller, or raise the topic's max_message_bytes",
        topic=log.topic,
        partition=log.partition,
        size=size,
        limit=limit,
    )


def _bad_timestamp(log: PartitionLog, timestamp: int, why: str) -> InvalidTimestampError:
    return InvalidTimestampError(
        f"the timestamp {timestamp} {why}",
        topic=log.topic,
        partition=log.partition,
        timestamp=timestamp,
    )


def _recode(log: PartitionLog, batch: RecordBatch, codec: int, config: TopicConfig) -> bytearray:
    """The same records under the topic's codec."""
    levels = {
        1: config.compression_gzip_level,
        3: config.compression_lz4_level,
        4: config.compression_zstd_level,
    }
    level = levels.get(codec)
    builder = RecordBatchBuilder(
        codec=codec,
        level=None if level == -1 and codec == 1 else level,
        producer_id=batch.producer_id,
        producer_epoch=batch.producer_epoch,
        base_sequence=batch.base_sequence,
        transactional=batch.is_transactional,
    )
    for record in batch.records(log.topic, log.partition):
        builder.append(record.timestamp, record.key, record.value, record.headers)
    return builder.build()


def _stamp(batches: bytearray | memoryview, now_ms: int) -> None:
    """Make `now_ms` the time of every record: LogAppendTime, before the lock is taken."""
    position = 0
    while position < len(batches):
        size = (
            layout.LOG_OVERHEAD + layout.INT32.unpack_from(batches, position + layout.LENGTH_AT)[0]
        )
        attributes = layout.INT16.unpack_from(batches, position + layout.ATTRIBUTES_AT)[0]
        layout.INT16.pack_into(
            batches, position + layout.ATTRIBUTES_AT, attributes | layout.TIMESTAMP_TYPE_BIT
        )
        layout.INT64.pack_into(batches, position + layout.MAX_TIMESTAMP_AT, now_ms)
        covered = memoryview(batches)[position + layout.ATTRIBUTES_AT : position + size]
        layout.UINT32.pack_into(batches, position + layout.CRC_AT, crc32c(covered))
        position += size
