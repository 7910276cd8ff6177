"""DescribeCluster, DescribeTopicPartitions, DescribeLogDirs: what there is (facts 8.5, 8.7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from streamlog.broker.log_dirs import describe_log_dir
from streamlog.listener.answers import (
    INVALID_REQUEST,
    MISMATCHED_ENDPOINT_TYPE,
)
from streamlog.listener.handlers.metadata import (
    CLUSTER_OPERATIONS,
    TOPIC_OPERATIONS,
    unknown_name,
)
from streamlog.protocol import message
from streamlog.storage.names import INTERNAL_TOPICS

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.broker.metadata_image import TopicImage
    from streamlog.listener.connection import Connection
    from streamlog.listener.endpoint import Endpoint
    from streamlog.protocol.exchange import Request

_BROKERS = 1

_cluster = message("DescribeClusterResponse")
_broker = _cluster.structs["DescribeClusterBroker"]
_described = message("DescribeTopicPartitionsResponse")
_topic = _described.structs["DescribeTopicPartitionsResponseTopic"]
_partition = _described.structs["DescribeTopicPartitionsResponsePartition"]
_cursor = _described.structs["Cursor"]
_log_dirs = message("DescribeLogDirsResponse")
_log_dir = _log_dirs.structs["DescribeLogDirsResult"]
_log_dir_topic = _log_dirs.structs["DescribeLogDirsTopic"]
_log_dir_partition = _log_dirs.structs["DescribeLogDirsPartition"]


def describe_cluster(connection: Connection, request: Request) -> Any:
    """The listeners of the directory, which are nodes to their clients."""
    endpoint, body = connection.endpoint, request.body
    if request.version >= 1 and body.endpoint_type != _BROKERS:
        return _cluster.Value(
            error_code=MISMATCHED_ENDPOINT_TYPE,
            error_message="this is an endpoint of brokers",
            cluster_id="",
        )
    answer = _cluster.Value(
        cluster_id=endpoint.cluster_id,
        controller_id=endpoint.node_id,
        brokers=[_broker(node_id, *address) for node_id, address in endpoint.nodes().items()],
    )
    if body.include_cluster_authorized_operations:
        answer.cluster_authorized_operations = CLUSTER_OPERATIONS
    return answer


# ---------------------------------------------------------------- DescribeTopicPartitions


def describe_topic_partitions(connection: Connection, request: Request) -> Any:
    """Topics by name, their partitions in order, a page at a time (KIP-966)."""
    endpoint, body = connection.endpoint, request.body
    cursor, named = body.cursor, {each.name for each in body.topics}
    if cursor is not None and (
        cursor.partition_index < 0 or (named and cursor.topic_name not in named)
    ):
        return _described.Value(
            topics=[_topic(error_code=INVALID_REQUEST, name=name) for name in sorted(named)]
        )
    endpoint.look_for_leader()
    most = endpoint.config.max_request_partition_size_limit
    room = min(body.response_partition_limit, most)
    answer = _described.Value()
    with endpoint.engine.metadata.lock:
        present = endpoint.engine.image.topics
        names = sorted(named or present)
        if cursor is not None:
            names = [name for name in names if name >= cursor.topic_name]
        for name in names:
            first = cursor.partition_index if cursor and cursor.topic_name == name else 0
            topic = present.get(name)
            if topic is None:
                answer.topics.append(_topic(error_code=unknown_name(name), name=name))
                continue
            if room <= 0:
                answer.next_cursor = _cursor(name, first)
                break
            partitions = list(_partitions(endpoint, topic, first, room))
            answer.topics.append(_describe(topic, partitions))
            room -= len(partitions)
            if first + len(partitions) < len(topic.partitions):
                answer.next_cursor = _cursor(name, first + len(partitions))
                break
    return answer


def _describe(topic: TopicImage, partitions: list[Any]) -> Any:
    return _topic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=partitions,
        topic_authorized_operations=TOPIC_OPERATIONS,
    )


def _partitions(endpoint: Endpoint, topic: TopicImage, first: int, count: int) -> Iterator[Any]:
    nodes = [endpoint.leader_id]
    for number in range(first, min(first + count, len(topic.partitions))):
        yield _partition(
            partition_index=number,
            leader_id=endpoint.leader_id,
            leader_epoch=topic.partitions[number].leader_epoch,
            replica_nodes=nodes,
            isr_nodes=nodes,
            eligible_leader_replicas=[],
            last_known_elr=[],
        )


# ---------------------------------------------------------------- DescribeLogDirs


async def describe_log_dirs(connection: Connection, request: Request) -> Any:
    """The directory, what it takes and what is left."""
    return await connection.endpoint.run(_describe_log_dir, connection.endpoint.engine, request)


def _describe_log_dir(engine: Engine, request: Request) -> Any:
    asked = request.body.topics
    topics = engine.topics()
    wanted = None if asked is None else {each.topic: set(each.partitions) for each in asked}
    chosen = [topic for name, topic in topics.items() if wanted is None or name in wanted]
    found = describe_log_dir(engine, chosen)
    by_topic: dict[str, list[Any]] = {}
    for (topic, partition), replica in found.replica_infos.items():
        if wanted is None or partition in wanted[topic]:
            described = _log_dir_partition(
                partition, replica.size, replica.offset_lag, replica.is_future
            )
            by_topic.setdefault(topic, []).append(described)
    directory = _log_dir(
        log_dir=engine.place.path,
        topics=[_log_dir_topic(name, partitions) for name, partitions in by_topic.items()],
        total_bytes=found.total_bytes,
        usable_bytes=found.usable_bytes,
    )
    return _log_dirs.Value(results=[directory])
