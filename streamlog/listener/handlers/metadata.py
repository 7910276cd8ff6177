"""Metadata: topics, their partitions, and the node that leads all of them (facts 8.5)."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from streamlog.errors import ClosedError, ForkedHandleError, InvalidTopicError, StreamlogError
from streamlog.listener.answers import (
    INVALID_REQUEST,
    INVALID_TOPIC_EXCEPTION,
    TOPIC_ALREADY_EXISTS,
    UNKNOWN_TOPIC_ID,
    UNKNOWN_TOPIC_OR_PARTITION,
)
from streamlog.listener.handlers.topics import code_of_refusal, default_settings
from streamlog.protocol import Uuid, message
from streamlog.storage.names import INTERNAL_TOPICS, validate_topic_name
from streamlog.types import NewTopic

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage, TopicImage
    from streamlog.listener.connection import Connection
    from streamlog.listener.endpoint import Endpoint
    from streamlog.protocol.exchange import Request

# Without an authorizer everybody may do everything: a bit for each operation (facts 8.9).
TOPIC_OPERATIONS = 0x0DF8
CLUSTER_OPERATIONS = 0x1FA0
_NOT_ASKED = -(2**31)

_response = message("MetadataResponse")
_topic = _response.structs["MetadataResponseTopic"]
_partition = _response.structs["MetadataResponsePartition"]
_broker = _response.structs["MetadataResponseBroker"]


def answer(connection: Connection, request: Request) -> Any | Coroutine[Any, Any, Any]:
    """What is asked for, topics that are to be created included."""
    endpoint = connection.endpoint
    endpoint.look_for_leader()
    if _is_invalid(request):
        return _refuse(request)
    missing = _to_create(endpoint, request)
    if missing:
        return _create_and_answer(endpoint, request, missing)
    return _answer(endpoint, request, _topics(endpoint, request, {}))


def _is_invalid(request: Request) -> bool:
    """Topics by id are asked for from version 12 on."""
    asked = request.body.topics or ()
    if request.version >= 12:
        return any(each.name is None and each.topic_id == Uuid.ZERO for each in asked)
    return any(each.name is None or each.topic_id != Uuid.ZERO for each in asked)


def _refuse(request: Request) -> Any:
    """As Kafka's: with nothing but the topics, and a name where there is none."""
    topics = [
        _topic(error_code=INVALID_REQUEST, name=each.name or "", topic_id=each.topic_id)
        for each in request.body.topics
    ]
    return _response.Value(topics=topics)


def _to_create(endpoint: Endpoint, request: Request) -> list[str]:
    """Names in the request that there is no topic of, where that is reason to make one."""
    body = request.body
    if not (endpoint.config.auto_create_topics_enable and body.allow_auto_topic_creation):
        return []
    asked = body.topics or ()
    if any(each.topic_id != Uuid.ZERO for each in asked):
        return []
    with endpoint.engine.metadata.lock:
        present = endpoint.engine.image.topics
        names = [each.name for each in asked if each.name not in present]
    return [name for name in dict.fromkeys(names) if name not in INTERNAL_TOPICS]


async def _create_and_answer(endpoint: Endpoint, request: Request, missing: list[str]) -> Any:
    """Kafka has its controller make them and answers that they are not there yet: here they are
    made first, which every client understands at once.
    """
    failures = await endpoint.run(_create, endpoint, missing)
    return _answer(endpoint, request, _topics(endpoint, request, failures))


def _create(endpoint: Endpoint, names: list[str]) -> dict[str, int]:
    failures = {}
    for name in names:
        topic = NewTopic(name, endpoint.config.num_partitions, default_settings(endpoint))
        try:
            endpoint.engine.create_topics([topic])
        except (ClosedError, ForkedHandleError):
            raise
        except StreamlogError as error:
            code = code_of_refusal(error)
            if code != TOPIC_ALREADY_EXISTS:  # somebody else was quicker
                failures[name] = code
    return failures


def _topics(endpoint: Endpoint, request: Request, failures: dict[str, int]) -> list[Any]:
    body = request.body
    authorized = TOPIC_OPERATIONS if body.include_topic_authorized_operations else _NOT_ASKED
    with endpoint.engine.metadata.lock:
        image = endpoint.engine.image
        if body.topics is None or (request.version == 0 and not body.topics):
            found = [image.topics[name] for name in sorted(image.topics)]
            return [_describe(endpoint, topic, authorized) for topic in found]
        if any(each.topic_id != Uuid.ZERO for each in body.topics):
            ids = dict.fromkeys(each.topic_id for each in body.topics)
            return [_by_id(endpoint, image, topic_id, authorized) for topic_id in ids]
        names = dict.fromkeys(each.name for each in body.topics)
        return [_by_name(endpoint, image, name, authorized, failures) for name in names]


def _by_id(endpoint: Endpoint, image: MetadataImage, topic_id: Uuid, authorized: int) -> Any:
    topic = image.topic_by_id(topic_id)
    if topic is None:
        return _topic(error_code=UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id)
    return _describe(endpoint, topic, authorized)


def _by_name(
    endpoint: Endpoint, image: MetadataImage, name: str, authorized: int, failures: dict[str, int]
) -> Any:
    topic = image.topics.get(name)
    if topic is not None:
        return _describe(endpoint, topic, authorized)
    return _topic(error_code=failures.get(name) or unknown_name(name), name=name)


def unknown_name(name: str) -> int:
    """The code for a name that no topic has: whether one could have it."""
    try:
        validate_topic_name(name)
    except InvalidTopicError:
        return INVALID_TOPIC_EXCEPTION
    return UNKNOWN_TOPIC_OR_PARTITION


def _describe(endpoint: Endpoint, topic: TopicImage, authorized: int) -> Any:
    nodes = [endpoint.leader_id]
    return _topic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=[
            _partition(
                partition_index=number,
                leader_id=endpoint.leader_id,
                leader_epoch=partition.leader_epoch,
                replica_nodes=nodes,
                isr_nodes=nodes,
            )
            for number, partition in topic.partitions.items()
        ],
        topic_authorized_operations=authorized,
    )


def _answer(endpoint: Endpoint, request: Request, topics: list[Any]) -> Any:
    operations = _NOT_ASKED
    if request.body.include_cluster_authorized_operations:
        operations = CLUSTER_OPERATIONS
    return _response.Value(
        brokers=[_broker(node_id, *address) for node_id, address in endpoint.nodes().items()],
        cluster_id=endpoint.cluster_id,
        controller_id=endpoint.node_id,
        topics=topics,
        cluster_authorized_operations=operations,
    )
