"""DeleteRecords: partitions begin at a later offset (facts 5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamlog.errors import ClosedError, ForkedHandleError, StreamlogError
from streamlog.listener.answers import code_for
from streamlog.protocol import message
from streamlog.types import TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.listener.connection import Connection
    from streamlog.protocol.exchange import Request

_UNKNOWN_OFFSET = -1

_response = message("DeleteRecordsResponse")
_topic = _response.structs["DeleteRecordsTopicResult"]
_partition = _response.structs["DeleteRecordsPartitionResult"]


async def delete_records(connection: Connection, request: Request) -> Any:
    """Where each partition begins then, or why it begins where it did."""
    return await connection.endpoint.run(_delete, connection.endpoint.engine, request)


def _delete(engine: Engine, request: Request) -> Any:
    return _response.Value(
        topics=[
            _topic(
                topic.name,
                [_delete_one(engine, topic.name, each) for each in topic.partitions],
            )
            for topic in request.body.topics
        ]
    )


def _delete_one(engine: Engine, topic: str, asked: Any) -> Any:
    place = TopicPartition(topic, asked.partition_index)
    try:
        starts = engine.delete_records({place: asked.offset})
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _partition(asked.partition_index, _UNKNOWN_OFFSET, code_for(error))
    return _partition(asked.partition_index, starts[place])
