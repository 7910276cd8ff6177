"""Requests about groups as messages, and groups that they succeed with."""

from __future__ import annotations

from typing import Any, NamedTuple

from streamlog.protocol import Uuid
from tests.wire.connection import Connection
from tests.wire.requests import struct

TOPIC = "flights"
CREW, WAVE, BOOKS = "crew", "wave", "books"  # a classic group, a consumer group, and one of nobody


class Scene(NamedTuple):
    """A topic, and who is in the group `CREW`, in its first generation."""

    topic_id: Uuid
    member_id: str = ""


def join(group_id: str, member_id: str = "", **fields: Any) -> dict[str, Any]:
    """The fields of a JoinGroup request."""
    return {
        "group_id": group_id,
        "session_timeout_ms": 30_000,
        "rebalance_timeout_ms": 30_000,
        "member_id": member_id,
        "protocol_type": "consumer",
        "protocols": [struct("JoinGroup", "JoinGroupRequestProtocol", "range", b"")],
        **fields,
    }


def heartbeat(group_id: str, member_id: str, **fields: Any) -> dict[str, Any]:
    """The fields of the first ConsumerGroupHeartbeat request of a member."""
    return {
        "group_id": group_id,
        "member_id": member_id,
        "member_epoch": 0,
        "rebalance_timeout_ms": 30_000,
        "subscribed_topic_names": [TOPIC],
        "topic_partitions": [],
        **fields,
    }


def commit(
    group_id: str, offset: int = 3, topic: str | Uuid = TOPIC, partition: int = 0, **fields: Any
) -> dict[str, Any]:
    """The fields of an OffsetCommit request for one partition."""
    place = struct(
        "OffsetCommit", "OffsetCommitRequestPartition", partition, offset, committed_metadata="m"
    )
    by = {"topic_id": topic} if isinstance(topic, Uuid) else {"name": topic}
    topics = [struct("OffsetCommit", "OffsetCommitRequestTopic", partitions=[place], **by)]
    return {"group_id": group_id, "topics": topics, **fields}


def fetch(
    version: int, group_id: str, topic: str | Uuid | None = TOPIC, partition: int = 0
) -> dict[str, Any]:
    """The fields of an OffsetFetch request for one partition, or for all that there are."""
    if version < 8:
        asked = struct("OffsetFetch", "OffsetFetchRequestTopic", topic, [partition])
        return {"group_id": group_id, "topics": None if topic is None else [asked]}
    by = {"topic_id": topic} if isinstance(topic, Uuid) else {"name": topic}
    topics = None
    if topic is not None:
        topics = [
            struct("OffsetFetch", "OffsetFetchRequestTopics", partition_indexes=[partition], **by)
        ]
    return {
        "groups": [
            struct("OffsetFetch", "OffsetFetchRequestGroup", group_id=group_id, topics=topics)
        ]
    }


def delete_offset(group_id: str, topic: str = TOPIC, partition: int = 0) -> dict[str, Any]:
    """The fields of an OffsetDelete request for one partition."""
    place = struct("OffsetDelete", "OffsetDeleteRequestPartition", partition)
    return {
        "group_id": group_id,
        "topics": [struct("OffsetDelete", "OffsetDeleteRequestTopic", topic, [place])],
    }


def leave(version: int, group_id: str, member_id: str) -> dict[str, Any]:
    """The fields of a LeaveGroup request of one member."""
    if version < 3:
        return {"group_id": group_id, "member_id": member_id}
    return {"group_id": group_id, "members": [struct("LeaveGroup", "MemberIdentity", member_id)]}


def _member(scene: Scene) -> dict[str, Any]:
    return {"group_id": CREW, "generation_id": 1, "member_id": scene.member_id}


#: By API, a request that succeeds where a scene is set, by version.
GROUP_REQUESTS = {
    "FindCoordinator": lambda version, _: (
        {"key": CREW} if version < 4 else {"coordinator_keys": [CREW, WAVE]}
    ),
    "JoinGroup": lambda _, scene: join(CREW, scene.member_id),
    "SyncGroup": lambda version, scene: {
        **_member(scene),
        "assignments": [struct("SyncGroup", "SyncGroupRequestAssignment", scene.member_id, b"all")],
        **({"protocol_type": "consumer", "protocol_name": "range"} if version >= 5 else {}),
    },
    "Heartbeat": lambda _, scene: _member(scene),
    "LeaveGroup": lambda version, scene: leave(version, CREW, scene.member_id),
    "ConsumerGroupHeartbeat": lambda *_: heartbeat("another", "somebody"),
    "OffsetCommit": lambda version, scene: commit(
        BOOKS, topic=scene.topic_id if version >= 10 else TOPIC
    ),
    "OffsetFetch": lambda version, scene: fetch(
        version, BOOKS, scene.topic_id if version >= 10 else TOPIC
    ),
    "OffsetDelete": lambda *_: delete_offset(BOOKS),
    "ListGroups": lambda *_: {},
    "DescribeGroups": lambda *_: {"groups": [CREW]},
    "ConsumerGroupDescribe": lambda *_: {"group_ids": [WAVE]},
    "DeleteGroups": lambda *_: {"groups_names": [BOOKS]},
}


def set_scene(connection: Connection, topic_id: Uuid) -> Scene:
    """A member in each of two groups, and an offset of a third."""
    connection.ask("FindCoordinator", 4, coordinator_keys=[CREW, WAVE, BOOKS])
    joined = connection.ask("JoinGroup", 3, **join(CREW))
    connection.ask("ConsumerGroupHeartbeat", 0, **heartbeat(WAVE, "somebody"))
    connection.ask("OffsetCommit", 8, **commit(BOOKS))
    assert joined.error_code == 0
    return Scene(topic_id, joined.member_id)
