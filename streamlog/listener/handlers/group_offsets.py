"""OffsetCommit, OffsetFetch, OffsetDelete: what coordinators do not look at is looked at here.

That is whether topics and partitions exist, and which topic an id means. What is wrong with those
is put beside what the coordinator says of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from streamlog.listener.answers import UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION
from streamlog.listener.group_requests import ask_coordinator
from streamlog.protocol import Uuid, message

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.listener.connection import Connection
    from streamlog.protocol.exchange import Request

_TOPIC_IDS = 10  # the version since which topics are named by their ids (KIP-848)
_NO_OFFSET = -1

_committed = message("OffsetCommitResponse")
_committed_topic = _committed.structs["OffsetCommitResponseTopic"]
_committed_partition = _committed.structs["OffsetCommitResponsePartition"]
_fetched = message("OffsetFetchResponse")
_fetched_topic = _fetched.structs["OffsetFetchResponseTopics"]
_fetched_partition = _fetched.structs["OffsetFetchResponsePartitions"]
_deleted = message("OffsetDeleteResponse")
_deleted_topic = _deleted.structs["OffsetDeleteResponseTopic"]
_deleted_partition = _deleted.structs["OffsetDeleteResponsePartition"]


# ---------------------------------------------------------------- OffsetCommit


async def commit(connection: Connection, request: Request) -> Any:
    """Keep offsets of partitions that exist."""
    body = request.body
    with_ids = request.version >= _TOPIC_IDS
    topics = _with_names(connection.endpoint.engine, body.topics) if with_ids else body.topics
    parts = [_split(connection.endpoint.engine, topic, with_ids=with_ids) for topic in topics]
    refused = [_refused_commit(part) for part in parts if part.code]
    known = [part.known for part in parts if part.known.partitions]
    if not known:
        return _committed.Value(topics=refused)
    response = await ask_coordinator(connection, request, replace(body, topics=known))
    return replace(response, topics=_merged(refused, response.topics))


def _refused_commit(part: _Part) -> Any:
    indexes = part.unknown_indexes
    return _committed_topic(
        name=part.known.name,
        topic_id=part.known.topic_id,
        partitions=[_committed_partition(index, part.code) for index in indexes],
    )


# ---------------------------------------------------------------- OffsetDelete


async def delete(connection: Connection, request: Request) -> Any:
    """Forget what was committed for partitions that exist."""
    body = request.body
    parts = [_split(connection.endpoint.engine, topic) for topic in body.topics]
    known = [part.known for part in parts if part.known.partitions]
    response = await ask_coordinator(connection, request, replace(body, topics=known))
    if response.error_code:
        return response
    refused = [
        _deleted_topic(
            part.known.name,
            [_deleted_partition(index, part.code) for index in part.unknown_indexes],
        )
        for part in parts
        if part.code
    ]
    return replace(response, topics=_merged(refused, response.topics))


# ---------------------------------------------------------------- OffsetFetch


async def fetch(connection: Connection, request: Request) -> Any:
    """What was committed, whether or not the topics still exist."""
    if request.version < _TOPIC_IDS:
        return await ask_coordinator(connection, request)
    engine, unknown = connection.endpoint.engine, {}
    groups = []
    for group in request.body.groups:
        if group.topics is None:
            groups.append(group)
            continue
        topics = _with_names(engine, group.topics)
        unknown[group.group_id] = [topic for topic in topics if not topic.name]
        groups.append(replace(group, topics=[topic for topic in topics if topic.name]))
    body = replace(request.body, groups=groups)
    response = await ask_coordinator(connection, request, body)
    for group in response.groups:
        if group.error_code == 0:
            named = [topic for topic in group.topics if topic.topic_id != Uuid.ZERO]
            group.topics = named + [_unknown(each) for each in unknown.get(group.group_id, ())]
    return response


def _unknown(topic: Any) -> Any:
    return _fetched_topic(
        topic_id=topic.topic_id,
        partitions=[
            _fetched_partition(index, _NO_OFFSET, metadata="", error_code=UNKNOWN_TOPIC_ID)
            for index in topic.partition_indexes
        ],
    )


# ---------------------------------------------------------------- topics


class _Part(NamedTuple):
    """A topic of a request: as far as it is known, what is not known of it, and why not."""

    known: Any
    unknown_indexes: list[int]
    code: int


def _split(engine: Engine, topic: Any, *, with_ids: bool = False) -> _Part:
    with engine.metadata.lock:
        image = engine.image.topics.get(topic.name)
        present = range(0) if image is None else range(len(image.partitions))
    known, unknown = [], []
    for partition in topic.partitions:
        if partition.partition_index in present:
            known.append(partition)
        else:
            unknown.append(partition.partition_index)
    code = UNKNOWN_TOPIC_ID if with_ids and not topic.name else UNKNOWN_TOPIC_OR_PARTITION
    return _Part(replace(topic, partitions=known), unknown, code if unknown else 0)


def _with_names(engine: Engine, topics: list[Any]) -> list[Any]:
    """The topics by name and id; without a name where the id is nobody's."""
    with engine.metadata.lock:
        image = engine.image
        found = [image.topic_by_id(topic.topic_id) for topic in topics]
    return [
        replace(topic, name="" if known is None else known.name)
        for topic, known in zip(topics, found, strict=True)
    ]


def _merged(refused: list[Any], answered: list[Any]) -> list[Any]:
    """The topics of both, each once: a topic may have partitions that exist and others."""
    topics = {(topic.name, getattr(topic, "topic_id", None)): topic for topic in refused}
    for topic in answered:
        before = topics.get(key := (topic.name, getattr(topic, "topic_id", None)))
        partitions = topic.partitions if before is None else before.partitions + topic.partitions
        topics[key] = replace(topic, partitions=partitions)
    return list(topics.values())
