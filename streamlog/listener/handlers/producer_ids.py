"""InitProducerId and DescribeProducers: idempotent producers (facts 3.4, 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamlog.broker.active_producers import describe_producers as describe
from streamlog.errors import ClosedError, ForkedHandleError, StreamlogError
from streamlog.listener.answers import INVALID_REQUEST, UNSUPPORTED_VERSION, code_for, text_of
from streamlog.protocol import message

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.protocol.exchange import Request
    from streamlog.storage.partition_log import PartitionLog

_init_response = message("InitProducerIdResponse")
_response = message("DescribeProducersResponse")
_topic = _response.structs["TopicResponse"]
_partition = _response.structs["PartitionResponse"]
_producer = _response.structs["ProducerState"]


async def init_producer_id(connection: Connection, request: Request) -> Any:
    """A producer id that nobody has, its epoch 0. There are no transactional ids."""
    transactional_id = request.body.transactional_id
    if transactional_id is not None:
        code = UNSUPPORTED_VERSION if transactional_id else INVALID_REQUEST
        return _init_response.Value(error_code=code, producer_id=-1, producer_epoch=-1)
    endpoint = connection.endpoint
    try:
        producer_id = await endpoint.run(endpoint.engine.producer_ids.next_id)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _init_response.Value(error_code=code_for(error), producer_id=-1, producer_epoch=-1)
    return _init_response.Value(producer_id=producer_id, producer_epoch=0)


async def describe_producers(connection: Connection, request: Request) -> Any:
    """What each partition remembers of idempotent producers."""
    endpoint = connection.endpoint
    endpoint.partitions.refresh()
    topics = []
    for topic in request.body.topics:
        partitions = [
            await _describe(connection, topic.name, index) for index in topic.partition_indexes
        ]
        topics.append(_topic(topic.name, partitions))
    return _response.Value(topics=topics)


async def _describe(connection: Connection, topic: str, index: int) -> Any:
    endpoint = connection.endpoint
    try:
        log: PartitionLog = endpoint.partitions.find(topic, index)
        producers = await endpoint.run(describe, log)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _partition(index, code_for(error), text_of(error))
    return _partition(
        index,
        active_producers=[
            _producer(
                producer_id=each.producer_id,
                producer_epoch=each.producer_epoch,
                last_sequence=each.last_sequence,
                last_timestamp=each.last_timestamp,
                coordinator_epoch=-1 if each.coordinator_epoch is None else each.coordinator_epoch,
                current_txn_start_offset=(
                    -1
                    if each.current_transaction_start_offset is None
                    else each.current_transaction_start_offset
                ),
            )
            for each in producers
        ],
    )
