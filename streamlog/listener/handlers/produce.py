"""Produce: each partition's batch is checked, appended as received, and synced where asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.broker.produced import append_produced, needs_sync
from streamlog.errors import (
    ClosedError,
    ForkedHandleError,
    InvalidProducerEpochError,
    InvalidRecordError,
    OutOfOrderSequenceError,
    ProtocolError,
    StreamlogError,
)
from streamlog.listener.answers import (
    INVALID_REQUIRED_ACKS,
    UNSUPPORTED_COMPRESSION_TYPE,
    code_for,
    text_of,
)
from streamlog.protocol import message
from streamlog.record import layout

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.listener.endpoint import Endpoint
    from streamlog.protocol.exchange import Request
    from streamlog.storage.append_outcome import AppendOutcome
    from streamlog.storage.partition_log import PartitionLog

_BY_ID = 13
_ZSTD = 4
_ZSTD_SINCE = 7
#: Compressed bytes that are decompressed in the loop; more of them go to a thread of their own.
_INLINE_BYTES = 1_024

_response = message("ProduceResponse")
_topic = _response.structs["TopicProduceResponse"]
_partition = _response.structs["PartitionProduceResponse"]
_record_error = _response.structs["BatchIndexAndErrorMessage"]


class _Written(NamedTuple):
    """What became of one partition's batch."""

    log: PartitionLog | None
    outcome: AppendOutcome | None
    error: StreamlogError | None


def answer(connection: Connection, request: Request) -> Any | Coroutine[Any, Any, Any]:
    """Where the batches went, or why they did not, by partition."""
    endpoint = connection.endpoint
    now_ms = endpoint.engine.clock.now_ms()
    endpoint.partitions.refresh()
    for _, data in _batches(request):
        if _is_heavy(data.records):
            return _answer_heavy(endpoint, request, now_ms)
    written = _append_to(request, _find_all(endpoint, request), now_ms)
    for each in written:
        if _must_sync(request, each):
            return _sync_and_answer(endpoint, request, written, now_ms)
    return _answer(request, written, now_ms)


async def _answer_heavy(endpoint: Endpoint, request: Request, now_ms: int) -> Any:
    """One after the other, whatever the connections: each may take much memory for a moment."""
    logs = _find_all(endpoint, request)
    written = await endpoint.run_alone(_append_to, request, logs, now_ms)
    if any(_must_sync(request, each) for each in written):
        return await _sync_and_answer(endpoint, request, written, now_ms)
    return _answer(request, written, now_ms)


async def _sync_and_answer(
    endpoint: Endpoint, request: Request, written: list[_Written], now_ms: int
) -> Any:
    if not endpoint.engine.place.durable:  # a sync costs nothing there
        synced = [_sync(request, each) for each in written]
    else:
        synced = await asyncio.gather(*(endpoint.run(_sync, request, each) for each in written))
    return _answer(request, synced, now_ms)


def _batches(request: Request) -> Iterator[tuple[Any, Any]]:
    """Each partition's part of the request, with its topic's."""
    for topic in request.body.topic_data:
        for data in topic.partition_data:
            yield topic, data


def _is_heavy(records: memoryview | None) -> bool:
    """Whether there is more to decompress than the loop has time for."""
    if records is None or len(records) < layout.HEADER_SIZE + _INLINE_BYTES:
        return False
    return _codec(records) != 0


def _codec(records: memoryview) -> int:
    return records[layout.ATTRIBUTES_AT + 1] & layout.CODEC_MASK


# ---------------------------------------------------------------- append and sync


def _find_all(endpoint: Endpoint, request: Request) -> list[PartitionLog | StreamlogError]:
    return [_find(endpoint, request, topic, data) for topic, data in _batches(request)]


def _find(
    endpoint: Endpoint, request: Request, topic: Any, data: Any
) -> PartitionLog | StreamlogError:
    try:
        if request.body.acks not in {-1, 0, 1}:
            raise InvalidRecordError(f"acks={request.body.acks}", code=INVALID_REQUIRED_ACKS)
        key = topic.topic_id if request.version >= _BY_ID else topic.name
        return endpoint.partitions.find(key, data.index)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return error


def _append_to(
    request: Request, logs: list[PartitionLog | StreamlogError], now_ms: int
) -> list[_Written]:
    return [
        _Written(None, None, log)
        if isinstance(log, StreamlogError)
        else _append_one(request, log, data.records, now_ms)
        for log, (_, data) in zip(logs, _batches(request), strict=True)
    ]


def _append_one(
    request: Request, log: PartitionLog, records: memoryview | None, now_ms: int
) -> _Written:
    try:
        if records is None or len(records) == 0:
            raise InvalidRecordError("a request has exactly one record batch for a partition")
        too_old = request.version < _ZSTD_SINCE and len(records) >= layout.HEADER_SIZE
        if too_old and _codec(records) == _ZSTD:
            raise InvalidRecordError(
                f"zstd is not spoken in version {request.version} of Produce",
                code=UNSUPPORTED_COMPRESSION_TYPE,
            )
        return _Written(log, append_produced(log, records, now_ms=now_ms), None)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _Written(log, None, error)


def _must_sync(request: Request, written: _Written) -> bool:
    log, outcome, _ = written
    if log is None or outcome is None:
        return False
    return needs_sync(log, outcome, request.body.acks)


def _sync(request: Request, written: _Written) -> _Written:
    """What became of it in the end."""
    log, outcome, _ = written
    if log is not None and outcome is not None and _must_sync(request, written):
        try:
            log.sync(outcome.log_end)
        except StreamlogError as error:
            return _Written(log, None, error)
    return written


# ---------------------------------------------------------------- the answer


def _answer(request: Request, written: list[_Written], now_ms: int) -> Any:
    if request.body.acks == 0:
        failed = next((each.error for each in written if each.error is not None), None)
        if failed is not None:  # nobody waits for an answer that could say so
            raise ProtocolError(f"a produce request without acknowledgement failed: {failed}")
        return None
    results = iter(written)
    return _response.Value(
        responses=[
            _topic(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    _describe(data, next(results), now_ms) for data in topic.partition_data
                ],
            )
            for topic in request.body.topic_data
        ]
    )


def _describe(data: Any, written: _Written, now_ms: int) -> Any:
    log, outcome, error = written
    if error is not None:
        return _partition(
            index=data.index,
            error_code=code_for(error),
            base_offset=-1,
            log_start_offset=_log_start(log, error),
            record_errors=[
                _record_error(place, text_of(error)) for place in error.context.get("records", ())
            ],
            error_message=text_of(error),
        )
    assert log is not None
    assert outcome is not None
    return _partition(
        index=data.index,
        base_offset=outcome.base_offset,
        log_append_time_ms=_append_time(data, log, outcome, now_ms),
        log_start_offset=log.log_start,
    )


def _log_start(log: PartitionLog | None, error: StreamlogError) -> int:
    """Where the log begins, where Kafka says so: it had looked at the log, or at the records."""
    looked = isinstance(error, (OutOfOrderSequenceError, InvalidProducerEpochError))
    if log is None or not (looked or error.context.get("records")):
        return -1
    return log.log_start


def _append_time(data: Any, log: PartitionLog, outcome: AppendOutcome, now_ms: int) -> int:
    """The time that the broker gave; of a duplicate, that of its batch, whoever gave it."""
    if log.config.message_timestamp_type == "LogAppendTime":
        return now_ms
    if outcome.duplicate:
        return int(layout.INT64.unpack_from(data.records, layout.MAX_TIMESTAMP_AT)[0])
    return -1
