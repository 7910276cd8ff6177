"""ListOffsets and OffsetForLeaderEpoch: where records are (facts 4.8, KIP-320)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from streamlog.broker.fetch_checks import check_leader_epoch, end_of_epoch
from streamlog.broker.list_offsets import list_offset
from streamlog.errors import ClosedError, ForkedHandleError, StreamlogError
from streamlog.listener.answers import INVALID_REQUEST, UNSUPPORTED_VERSION, code_for
from streamlog.protocol import message
from streamlog.types import OffsetSpec

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.protocol.exchange import Request
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.types import IsolationLevel

_SINCE = {
    OffsetSpec.LATEST: 1,
    OffsetSpec.EARLIEST: 1,
    OffsetSpec.MAX_TIMESTAMP: 7,
    OffsetSpec.EARLIEST_LOCAL: 8,
    OffsetSpec.LATEST_TIERED: 9,
    OffsetSpec.EARLIEST_PENDING_UPLOAD: 11,
}
_EPOCHS_SINCE = 4
_QUICK = (OffsetSpec.LATEST, OffsetSpec.EARLIEST, OffsetSpec.EARLIEST_LOCAL)
_ISOLATION: tuple[IsolationLevel, IsolationLevel] = ("read_uncommitted", "read_committed")

_response = message("ListOffsetsResponse")
_topic = _response.structs["ListOffsetsTopicResponse"]
_partition = _response.structs["ListOffsetsPartitionResponse"]

_epoch_response = message("OffsetForLeaderEpochResponse")
_epoch_topic = _epoch_response.structs["OffsetForLeaderTopicResult"]
_epoch_end = _epoch_response.structs["EpochEndOffset"]


def list_offsets(connection: Connection, request: Request) -> Any | Coroutine[Any, Any, Any]:
    """The offset at a time, or at an end, of each partition."""
    connection.endpoint.partitions.refresh()
    times = Counter(
        (topic.name, each.partition_index)
        for topic in request.body.topics
        for each in topic.partitions
    )
    found: dict[tuple[str, int], PartitionLog | int] = {
        place: _find(connection, *place) if count == 1 else INVALID_REQUEST
        for place, count in times.items()
    }
    timestamps = (each.timestamp for topic in request.body.topics for each in topic.partitions)
    if all(timestamp in _QUICK for timestamp in timestamps):
        return _list(request, found)
    return connection.endpoint.run(_list, request, found)


def _find(connection: Connection, topic: str, partition: int) -> PartitionLog | int:
    """The log, or the code of the error."""
    try:
        return connection.endpoint.partitions.find(topic, partition)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return code_for(error)


def _list(request: Request, found: dict[tuple[str, int], PartitionLog | int]) -> Any:
    return _response.Value(
        topics=[
            _topic(
                topic.name,
                [
                    _list_one(request, each, found[topic.name, each.partition_index])
                    for each in topic.partitions
                ],
            )
            for topic in request.body.topics
        ]
    )


def _list_one(request: Request, asked: Any, log: PartitionLog | int) -> Any:
    index, timestamp = asked.partition_index, asked.timestamp
    if isinstance(log, int):
        return _partition(index, log)
    if timestamp < 0 and _SINCE.get(timestamp, request.version + 1) > request.version:
        return _partition(index, UNSUPPORTED_VERSION)
    try:
        check_leader_epoch(log, asked.current_leader_epoch)
        at = list_offset(log, timestamp, _ISOLATION[request.body.isolation_level == 1])
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _partition(index, code_for(error))
    if at is None:
        return _partition(index)
    has_epoch = at.leader_epoch is not None and request.version >= _EPOCHS_SINCE
    epoch = at.leader_epoch if has_epoch else -1
    return _partition(index, 0, at.timestamp, at.offset, epoch)


def offset_for_leader_epoch(connection: Connection, request: Request) -> Any:
    """Where epochs ended: how a client finds out that the log lost what it had read."""
    connection.endpoint.partitions.refresh()
    return _epoch_response.Value(
        topics=[
            _epoch_topic(
                topic.topic, [_end(connection, topic.topic, each) for each in topic.partitions]
            )
            for topic in request.body.topics
        ]
    )


def _end(connection: Connection, topic: str, asked: Any) -> Any:
    log = _find(connection, topic, asked.partition)
    if isinstance(log, int):
        return _epoch_end(log, asked.partition)
    try:
        check_leader_epoch(log, asked.current_leader_epoch)
        end = end_of_epoch(log, asked.leader_epoch)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _epoch_end(code_for(error), asked.partition)
    if end is None:
        return _epoch_end(0, asked.partition)
    return _epoch_end(0, asked.partition, end.epoch, end.end_offset)
