"""Fetch: slices of the log's map, now or when there is enough (facts 4.7)."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.broker.fetch import FetchRequest, FetchResult, read_once
from streamlog.broker.fetch_checks import (
    EpochEnd,
    check_leader_epoch,
    decided_part,
    find_divergence,
)
from streamlog.errors import BrokerError, ClosedError, ForkedHandleError, StreamlogError
from streamlog.listener.answers import UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, code_for
from streamlog.listener.fetch_sessions import FetchPlan, Wanted
from streamlog.protocol import message

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.protocol.exchange import Request
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState

_BY_ID = 13
_SESSIONS_SINCE = 7
_MOST_CURSORS = 10_000
_READ_COMMITTED = 1

_UNKNOWN = (UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID)
_NOTHING = memoryview(b"")

_response = message("FetchResponse")
_topic = _response.structs["FetchableTopicResponse"]
_partition = _response.structs["PartitionData"]
_epoch_end = _response.structs["EpochEndOffset"]


class _Read(NamedTuple):
    """What there is to say of one partition now; `log` and `state` are None after an error."""

    wanted: Wanted
    log: PartitionLog | None
    view: memoryview
    state: PartitionState | None
    end: int = -1  # of the log when it was read
    error_code: int = 0
    diverged: EpochEnd | None = None

    @property
    def is_final(self) -> bool:
        """Whether there is nothing to be waited for."""
        return self.error_code != 0 or self.diverged is not None


class _Look(NamedTuple):
    """All partitions at one moment; `bell` and `metadata_end` are older than what was read."""

    bell: int
    metadata_end: int
    reads: list[_Read]


def answer(connection: Connection, request: Request) -> Any | Coroutine[Any, Any, Any]:
    """What there is or, when that is not enough, an awaitable of what there will be."""
    body = request.body
    try:
        plan = _plan(connection, request)
    except BrokerError as error:
        return _response.Value(error_code=code_for(error))
    looked = _look(connection, request, plan)
    if body.max_wait_ms <= 0 or _is_enough(request, plan, looked):
        return _answer(request, plan, looked)
    return _wait_and_answer(connection, request, plan, looked)


async def _wait_and_answer(
    connection: Connection, request: Request, plan: FetchPlan, looked: _Look
) -> Any:
    endpoint = connection.endpoint
    deadline = endpoint.loop.time() + request.body.max_wait_ms / 1000
    while True:
        logs = [read.log for read in looked.reads if read.log is not None]
        ends = [read.end for read in looked.reads if read.log is not None]
        in_time = await endpoint.long_polls.wait(
            logs, ends, looked.metadata_end, looked.bell, deadline
        )
        looked = _look(connection, request, plan)
        if not in_time or _is_enough(request, plan, looked):
            return _answer(request, plan, looked)


# ---------------------------------------------------------------- what is wanted


def _plan(connection: Connection, request: Request) -> FetchPlan:
    body = request.body
    by_id = request.version >= _BY_ID
    wanted = [
        Wanted(
            topic.topic_id if by_id else topic.topic,
            each.partition,
            each.fetch_offset,
            each.partition_max_bytes,
            each.current_leader_epoch,
            each.last_fetched_epoch,
        )
        for topic in body.topics
        for each in topic.partitions
    ]
    if request.version < _SESSIONS_SINCE:
        return FetchPlan(wanted)
    forgotten = [
        (topic.topic_id if by_id else topic.topic, partition)
        for topic in body.forgotten_topics_data
        for partition in topic.partitions
    ]
    return connection.endpoint.fetch_sessions.plan(
        body.session_id,
        body.session_epoch,
        wanted,
        forgotten,
        by_id=by_id,
        now=connection.endpoint.loop.time(),
    )


# ---------------------------------------------------------------- what is there


def _look(connection: Connection, request: Request, plan: FetchPlan) -> _Look:
    endpoint = connection.endpoint
    bell = endpoint.engine.bell()
    metadata_end = endpoint.engine.metadata_end()
    endpoint.partitions.refresh()
    begun = [_begin(connection, wanted) for wanted in plan.wanted]
    asked = [each for each in begun if isinstance(each, FetchRequest)]
    limit = min(request.body.max_bytes, endpoint.config.fetch_max_bytes)
    results = iter(read_once(asked, max(limit, 0)))
    reads = [
        _finish(connection, request, wanted, next(results))
        if isinstance(each, FetchRequest)
        else each
        for wanted, each in zip(plan.wanted, begun, strict=True)
    ]
    return _Look(bell, metadata_end, reads)


def _begin(connection: Connection, wanted: Wanted) -> FetchRequest | _Read:
    """What to read of a partition, or what there is to say without."""
    try:
        log = connection.endpoint.partitions.find(wanted.topic, wanted.partition)
        check_leader_epoch(log, wanted.leader_epoch)
        diverged = find_divergence(log, wanted.offset, wanted.last_epoch)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _failed(wanted, error)
    if diverged is not None:
        return _Read(wanted, log, _NOTHING, log.state(), diverged=diverged)
    state = log.state()
    if wanted.offset == state.high_watermark:
        return _Read(wanted, log, _NOTHING, state, state.log_end)
    cursor = connection.cursors.get(log)
    if cursor is not None and cursor.offset != wanted.offset:
        cursor = None
    return FetchRequest(log, wanted.offset, wanted.max_bytes, cursor)


def _finish(connection: Connection, request: Request, wanted: Wanted, result: FetchResult) -> _Read:
    log, error = result.request.log, result.error
    if isinstance(error, (ClosedError, ForkedHandleError)):
        raise error
    if error is not None:
        return _failed(wanted, error)
    assert result.fetched is not None
    if len(connection.cursors) >= _MOST_CURSORS:
        connection.cursors.clear()
    connection.cursors[log] = result.fetched.cursor
    view, state = result.fetched.view, log.state()
    if request.body.isolation_level == _READ_COMMITTED:
        view = decided_part(view, state)
    return _Read(wanted, log, view, state, result.fetched.log_end)


def _failed(wanted: Wanted, error: StreamlogError) -> _Read:
    return _Read(wanted, None, _NOTHING, None, error_code=code_for(error))


def _is_enough(request: Request, plan: FetchPlan, looked: _Look) -> bool:
    """Whether Kafka answers at once."""
    if not plan.wanted or any(read.is_final for read in looked.reads):
        return True
    found = sum(len(read.view) for read in looked.reads)
    return bool(found >= min(request.body.min_bytes, request.body.max_bytes))


# ---------------------------------------------------------------- the answer


def _answer(request: Request, plan: FetchPlan, looked: _Look) -> Any:
    topics: dict[Any, list[Any]] = {}
    for read in looked.reads:
        described = _describe(request, read)
        wanted, session = read.wanted, plan.session
        if session is not None:
            told = (described.high_watermark, described.log_start_offset)
            is_news = bool(read.view) or read.is_final or told != wanted.told
            wanted.told = told
            if read.view:
                session.serve_last(wanted)
            if plan.is_incremental and not is_news:
                continue
        topics.setdefault(wanted.topic, []).append(described)
    by_id = request.version >= _BY_ID
    return _response.Value(
        session_id=plan.session.session_id if plan.session is not None else 0,
        responses=[
            _topic(**{"topic_id" if by_id else "topic": topic}, partitions=partitions)
            for topic, partitions in topics.items()
        ],
    )


def _describe(request: Request, read: _Read) -> Any:
    if read.state is None:
        return _partition(
            partition_index=read.wanted.partition,
            error_code=read.error_code,
            high_watermark=-1,
            aborted_transactions=[] if read.error_code in _UNKNOWN else None,
            records=b"",
        )
    described = _partition(
        partition_index=read.wanted.partition,
        high_watermark=read.state.high_watermark,
        last_stable_offset=read.state.last_stable_offset,
        log_start_offset=read.state.log_start,
        aborted_transactions=[] if request.body.isolation_level == _READ_COMMITTED else None,
        records=read.view,
    )
    if read.diverged is not None:
        described.diverging_epoch = _epoch_end(read.diverged.epoch, read.diverged.end_offset)
    return described
