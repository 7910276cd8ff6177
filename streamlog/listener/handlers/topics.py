"""CreateTopics, DeleteTopics, CreatePartitions: topic by topic, each answered for itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.errors import (
    BrokerError,
    ClosedError,
    ForkedHandleError,
    StreamlogError,
    TopicExistsError,
)
from streamlog.listener.answers import (
    INVALID_CONFIG,
    INVALID_PARTITIONS,
    INVALID_REPLICA_ASSIGNMENT,
    INVALID_REPLICATION_FACTOR,
    INVALID_REQUEST,
    INVALID_TOPIC_EXCEPTION,
    TOPIC_DELETION_DISABLED,
    UNKNOWN_TOPIC_ID,
    code_for,
    text_of,
)
from streamlog.protocol import Uuid, message
from streamlog.storage.names import METADATA_TOPIC
from streamlog.types import NewTopic, TopicDescription

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.listener.connection import Connection
    from streamlog.listener.endpoint import Endpoint
    from streamlog.protocol.exchange import Request

_DEFAULT = -1  # of a number of partitions or replicas: the broker's
_POLICY_VIOLATION = 44
_MOST_PARTITIONS = 10_000  # in one request, as in Kafka

_created = message("CreateTopicsResponse")
_created_topic = _created.structs["CreatableTopicResult"]
_created_config = _created.structs["CreatableTopicConfigs"]
_deleted = message("DeleteTopicsResponse")
_deleted_topic = _deleted.structs["DeletableTopicResult"]
_grown = message("CreatePartitionsResponse")
_grown_topic = _grown.structs["CreatePartitionsTopicResult"]


def default_settings(endpoint: Endpoint) -> dict[str, object]:
    """What a topic made through a listener has where that is not what topics have anyway."""
    config, anyway = endpoint.current_config, endpoint.engine.configs.of_new()
    wanted = {
        "retention_ms": config.log_retention_ms,
        "max_message_bytes": config.message_max_bytes,
    }
    return {name: value for name, value in wanted.items() if value != getattr(anyway, name)}


# ---------------------------------------------------------------- CreateTopics


async def create_topics(connection: Connection, request: Request) -> Any:
    """Create those that can be created."""
    return await connection.endpoint.run(_create_topics, connection.endpoint, request)


def _create_topics(endpoint: Endpoint, request: Request) -> Any:
    body = request.body
    times = Counter(topic.name for topic in body.topics)
    asked = {topic.name: topic for topic in body.topics}
    total = sum(_count(endpoint, topic) for topic in asked.values())
    results = []
    for name, topic in asked.items():
        try:
            if times[name] > 1:
                raise BrokerError(f"topic {name!r} is asked for twice", code=INVALID_REQUEST)
            if total > _MOST_PARTITIONS:
                text = f"{total} partitions are too many for one request"
                raise BrokerError(text, code=_POLICY_VIOLATION)
            wanted = _new_topic(endpoint, topic)
            (made,) = endpoint.engine.create_topics([wanted], validate_only=body.validate_only)
            results.append(_describe(endpoint.engine, made, validate_only=body.validate_only))
        except (ClosedError, ForkedHandleError):
            raise
        except StreamlogError as error:
            results.append(
                _created_topic(
                    name=name,
                    error_code=code_of_refusal(error),
                    error_message=text_of(error),
                    configs=[],
                )
            )
    return _created.Value(topics=results)


def code_of_refusal(error: StreamlogError) -> int:
    """Why a topic was not made: a name too like another's is not one that exists."""
    if isinstance(error, TopicExistsError) and error.context.get("nearest") is not None:
        return INVALID_TOPIC_EXCEPTION
    return code_for(error)


def _count(endpoint: Endpoint, topic: Any) -> int:
    if topic.assignments:
        return len(topic.assignments)
    return endpoint.config.num_partitions if topic.num_partitions < 0 else topic.num_partitions


def _new_topic(endpoint: Endpoint, topic: Any) -> NewTopic:
    """What the engine is asked for. Raises `BrokerError` for what only a cluster could do."""
    if topic.name == METADATA_TOPIC:
        raise BrokerError(f"{METADATA_TOPIC} is the metadata log's name", code=INVALID_REQUEST)
    _check_counts(endpoint, topic)
    settings = default_settings(endpoint)
    for each in topic.configs:
        if each.value is None:
            raise BrokerError(f"{each.name} has no value", code=INVALID_CONFIG)
        settings[each.name.replace(".", "_")] = each.value
    return NewTopic(topic.name, _count(endpoint, topic), settings)


def _check_counts(endpoint: Endpoint, topic: Any) -> None:
    partitions, replicas = topic.num_partitions, topic.replication_factor
    if topic.assignments:
        if partitions != _DEFAULT or replicas != _DEFAULT:
            raise BrokerError("there are both assignments and counts", code=INVALID_REQUEST)
        check_assignments(endpoint, [each.broker_ids for each in topic.assignments])
        numbers = sorted(each.partition_index for each in topic.assignments)
        if numbers != list(range(len(numbers))):
            raise BrokerError("partitions are numbered from 0", code=INVALID_REPLICA_ASSIGNMENT)
        return
    if partitions != _DEFAULT and partitions < 1:
        raise BrokerError(f"{partitions} partitions", code=INVALID_PARTITIONS)
    if replicas not in {_DEFAULT, 1}:
        text = f"{replicas} replicas where there is one node"
        raise BrokerError(text, code=INVALID_REPLICATION_FACTOR)


def check_assignments(endpoint: Endpoint, assignments: list[list[int]]) -> None:
    """Raises `BrokerError` unless each partition is to be on one node, which is all there are."""
    nodes = endpoint.nodes()
    for brokers in assignments:
        if len(brokers) != 1 or brokers[0] not in nodes:
            text = f"partitions are on one of the nodes {sorted(nodes)}, not on {brokers}"
            raise BrokerError(text, code=INVALID_REPLICA_ASSIGNMENT)


def _describe(engine: Engine, made: TopicDescription, *, validate_only: bool) -> Any:
    configs = [
        _created_config(entry.name, entry.value, False, int(entry.source), False)
        for entry in engine.configs.describe_settings(made.settings).values()
    ]
    return _created_topic(
        name=made.name,
        topic_id=Uuid.ZERO if validate_only else Uuid.parse(made.topic_id),
        error_message=None,
        num_partitions=made.partitions,
        replication_factor=1,
        configs=configs,
    )


# ---------------------------------------------------------------- DeleteTopics


class _Doomed(NamedTuple):
    """A topic to delete, as it was named: by name or by id."""

    name: str | None
    topic_id: Uuid


async def delete_topics(connection: Connection, request: Request) -> Any:
    """Delete those that there are."""
    body = request.body
    if request.version >= 6:
        asked = [_Doomed(each.name, each.topic_id) for each in body.topics]
    else:
        asked = [_Doomed(name, Uuid.ZERO) for name in body.topic_names]
    results = await connection.endpoint.run(_delete_topics, connection.endpoint, asked)
    return _deleted.Value(responses=results)


def _delete_topics(endpoint: Endpoint, asked: list[_Doomed]) -> list[Any]:
    times = Counter(asked)
    return [_delete_one(endpoint, doomed, count) for doomed, count in times.items()]


def _delete_one(endpoint: Endpoint, doomed: _Doomed, count: int) -> Any:
    name, topic_id = doomed
    by_id = topic_id != Uuid.ZERO
    try:
        if not endpoint.config.delete_topic_enable:
            text = "delete.topic.enable is false"
            raise BrokerError(text, code=TOPIC_DELETION_DISABLED)
        if count > 1 or (name is None) != by_id:
            text = "a topic is named once, by its name or by its id"
            raise BrokerError(text, code=INVALID_REQUEST)
        with endpoint.engine.metadata.lock:
            image = endpoint.engine.image
            topic = image.topic_by_id(topic_id) if by_id else image.topics.get(name or "")
            if topic is None and by_id:
                raise BrokerError(f"no topic has the id {topic_id}", code=UNKNOWN_TOPIC_ID)
            if topic is not None:
                name, topic_id = topic.name, topic.topic_id
        endpoint.engine.delete_topics([name or ""])
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _deleted_topic(name, topic_id, code_for(error), text_of(error))
    return _deleted_topic(name, topic_id)


# ---------------------------------------------------------------- CreatePartitions


async def create_partitions(connection: Connection, request: Request) -> Any:
    """Let topics have more partitions, those that can."""
    return await connection.endpoint.run(_create_partitions, connection.endpoint, request)


def _create_partitions(endpoint: Endpoint, request: Request) -> Any:
    times = Counter(topic.name for topic in request.body.topics)
    asked = {topic.name: topic for topic in request.body.topics}
    results = []
    for name, topic in asked.items():
        try:
            if times[name] > 1:
                raise BrokerError(f"topic {name!r} is asked for twice", code=INVALID_REQUEST)
            _grow(endpoint, topic, validate_only=request.body.validate_only)
            results.append(_grown_topic(name))
        except (ClosedError, ForkedHandleError):
            raise
        except StreamlogError as error:
            results.append(_grown_topic(name, code_for(error), text_of(error)))
    return _grown.Value(results=results)


def _grow(endpoint: Endpoint, topic: Any, *, validate_only: bool) -> None:
    engine = endpoint.engine
    present = engine.topic(topic.name).partitions
    if topic.count <= present:
        text = f"{topic.name!r} has {present} partitions; their number can only grow"
        raise BrokerError(text, code=INVALID_PARTITIONS)
    if topic.count - present > _MOST_PARTITIONS:
        raise BrokerError(f"{topic.count} partitions are too many", code=INVALID_PARTITIONS)
    if topic.assignments is not None:
        if len(topic.assignments) != topic.count - present:
            text = f"{len(topic.assignments)} assignments for {topic.count - present} partitions"
            raise BrokerError(text, code=INVALID_REPLICA_ASSIGNMENT)
        check_assignments(endpoint, [each.broker_ids for each in topic.assignments])
    engine.grow_topics({topic.name: topic.count}, validate_only=validate_only)
