"""What a consumer, or an administrator, asks the coordinator of one group; and its answers.

Kafka's requests and responses, in the versions that the consumer protocol has; partitions and
offsets on this side of it, and errors that are raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.coordinator import ErrorCode
from streamlog.errors import (
    GroupError,
    GroupNotEmptyError,
    MemberFencedError,
    UnknownGroupError,
)
from streamlog.protocol import Uuid, message
from streamlog.protocol.error_codes import error_code
from streamlog.types import OffsetAndMetadata, TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine

JOINING, LEAVING, LEFT_FOR_NOW = 0, -1, -2
NOBODY = ("", -1)
"""The member id and epoch of who is no member."""

_HEARTBEAT, _COMMIT, _FETCH = 1, 9, 9

_beat = message("ConsumerGroupHeartbeatRequest")
_commit = message("OffsetCommitRequest")
_fetch = message("OffsetFetchRequest")
_owned_topic = _beat.structs["TopicPartitions"]
_commit_topic = _commit.structs["OffsetCommitRequestTopic"]
_commit_partition = _commit.structs["OffsetCommitRequestPartition"]
_fetch_group = _fetch.structs["OffsetFetchRequestGroup"]
_fetch_topic = _fetch.structs["OffsetFetchRequestTopics"]

#: A partition by its topic's id.
TopicIdPartition = tuple[Uuid, int]
Member = tuple[str, int]

_FENCED = frozenset(
    {
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.FENCED_MEMBER_EPOCH,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.STALE_MEMBER_EPOCH,
        ErrorCode.UNKNOWN_MEMBER_ID,
    }
)
_CLASSES: Mapping[int, type[GroupError]] = {
    ErrorCode.GROUP_ID_NOT_FOUND: UnknownGroupError,
    ErrorCode.NON_EMPTY_GROUP: GroupNotEmptyError,
}


class Heartbeat(NamedTuple):
    """The answer to a heartbeat: the member's epoch, and what it has now (None: as before)."""

    epoch: int
    assigned: frozenset[TopicIdPartition] | None


class GroupClient:
    """Asks the coordinator of one group. Thread-safe."""

    def __init__(self, engine: Engine, group_id: str, client_id: str, acks: int = 1) -> None:
        self._groups = engine.groups
        self.group_id = group_id
        self._client_id = client_id
        self._acks = acks

    def beat(
        self, member: Member, owned: Iterable[TopicIdPartition] | None, **told: Any
    ) -> Heartbeat:
        """ConsumerGroupHeartbeat; `told` are further fields. Raises `GroupError`."""
        member_id, epoch = member
        request = _beat.Value(
            group_id=self.group_id,
            member_id=member_id,
            member_epoch=epoch,
            topic_partitions=None if owned is None else _by_topic(owned),
            **told,
        )
        response = self._groups.ask(request, _HEARTBEAT, self._client_id, acks=self._acks)
        if response.error_code:
            raise self.error(response.error_code, response.error_message, member_id)
        assigned = None
        if response.assignment is not None:
            assigned = frozenset(
                (entry.topic_id, partition)
                for entry in response.assignment.topic_partitions
                for partition in entry.partitions
            )
        return Heartbeat(response.member_epoch, assigned)

    def commit(self, member: Member, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """OffsetCommit, of all or of none. Raises `GroupError`, `MemberFencedError`."""
        member_id, epoch = member
        by_topic: dict[str, list[Any]] = {}
        for (topic, partition), (offset, metadata, leader_epoch) in offsets.items():
            by_topic.setdefault(topic, []).append(
                _commit_partition(
                    partition_index=partition,
                    committed_offset=offset,
                    committed_leader_epoch=-1 if leader_epoch is None else leader_epoch,
                    committed_metadata=metadata,
                )
            )
        request = _commit.Value(
            group_id=self.group_id,
            member_id=member_id,
            generation_id_or_member_epoch=epoch,
            topics=[_commit_topic(name=name, partitions=each) for name, each in by_topic.items()],
        )
        response = self._groups.ask(request, _COMMIT, self._client_id, acks=self._acks)
        for topic in response.topics:
            for partition in topic.partitions:
                if partition.error_code:
                    raise self.error(partition.error_code, None, member_id)

    def committed(
        self, partitions: Iterable[TopicPartition] | None, member: Member = NOBODY
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """OffsetFetch: what is committed of these partitions, or of all that there is anything of.

        Raises `GroupError`, `MemberFencedError`.
        """
        member_id, epoch = member
        asked = _fetch_group(
            group_id=self.group_id,
            member_id=member_id or None,
            member_epoch=epoch,
            topics=None if partitions is None else _fetch_topics(partitions),
        )
        request = _fetch.Value(groups=[asked])
        response = self._groups.ask(request, _FETCH, self._client_id)
        (group,) = response.groups
        if group.error_code:
            raise self.error(group.error_code, None, member_id)
        return {
            TopicPartition(topic.name, each.partition_index): OffsetAndMetadata(
                each.committed_offset,
                each.metadata or "",
                None if each.committed_leader_epoch < 0 else each.committed_leader_epoch,
            )
            for topic in group.topics
            for each in topic.partitions
            if each.committed_offset >= 0
        }

    def error(self, code: int, reason: str | None, member_id: str = "") -> GroupError:
        """What an error code of this group's coordinator is to the caller."""
        known = error_code(code)
        context: dict[str, Any] = {
            "group_id": self.group_id,
            "code": code,
            "code_name": known.name,
            "retriable": known.retriable,
        }
        if member_id and code in _FENCED:
            return MemberFencedError(
                f"this consumer is no member of group {self.group_id!r} any more: it did not poll "
                "for max_poll_interval_ms, or was removed; others have its partitions, and what "
                "it wanted to commit was not; its next poll joins again",
                member_id=member_id,
                **context,
            )
        kind = _CLASSES.get(code, GroupError)
        says = reason or known.message
        if not any(f"{word} {self.group_id} " in says for word in ("Group", "group")):
            says = f"group {self.group_id!r}: {says}"
        return kind(says, **context)


def _by_topic(partitions: Iterable[TopicIdPartition]) -> list[Any]:
    found: dict[Uuid, list[int]] = {}
    for topic_id, partition in sorted(partitions):
        found.setdefault(topic_id, []).append(partition)
    return [_owned_topic(topic_id, numbers) for topic_id, numbers in found.items()]


def _fetch_topics(partitions: Iterable[TopicPartition]) -> list[Any]:
    found: dict[str, list[int]] = {}
    for topic, partition in partitions:
        found.setdefault(topic, []).append(partition)
    return [_fetch_topic(name=name, partition_indexes=each) for name, each in found.items()]
