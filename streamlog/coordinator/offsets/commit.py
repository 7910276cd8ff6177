"""OffsetCommit: who may commit, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamlog.coordinator import records
from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.rebalance import schedule_session
from streamlog.coordinator.classic.states import ClassicRequest
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.lookup import known_member
from streamlog.coordinator.consumer.member import ConsumerMember
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.groups.table import ForeignGroup
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import RequestContext
from streamlog.protocol import Uuid

_MEMBER_EPOCHS = 9
"""The version since which the generation may be a member's epoch (KIP-848)."""

PartitionCheck = Callable[[Uuid, int], ErrorCode]
"""From a topic's id and a partition to whether an offset may be committed there."""


def offset_commit(decision: Decision, request: Any, context: RequestContext) -> None:
    check = _check_committer(decision, request, context.api_version)
    topics = []
    for topic in request.topics:
        partitions = [
            _commit(decision, request, topic, partition, check) for partition in topic.partitions
        ]
        topics.append(
            make_struct(
                "OffsetCommitResponse",
                "OffsetCommitResponseTopic",
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=partitions,
            )
        )
    decision.reply(context, make("OffsetCommitResponse", topics=topics))


def _commit(
    decision: Decision, request: Any, topic: Any, partition: Any, check: PartitionCheck
) -> Any:
    metadata = partition.committed_metadata or ""
    topic_id = _topic_id(decision, topic)
    code = check(topic_id, partition.partition_index)
    if len(metadata) > decision.settings.offset_metadata_max_bytes:
        code = ErrorCode.OFFSET_METADATA_TOO_LARGE
    if code == ErrorCode.NONE:
        now_ms, retention_ms = decision.now.wall_ms, request.retention_time_ms
        value = make(
            "OffsetCommitValue",
            offset=partition.committed_offset,
            leader_epoch=partition.committed_leader_epoch,
            metadata=metadata,
            commit_timestamp=now_ms,
            expire_timestamp=-1 if retention_ms == -1 else now_ms + retention_ms,
            topic_id=topic_id,
        )
        index = partition.partition_index
        decision.write(records.offset_commit(request.group_id, topic.name, index, value))
    return make_struct(
        "OffsetCommitResponse",
        "OffsetCommitResponsePartition",
        partition_index=partition.partition_index,
        error_code=code,
    )


def _topic_id(decision: Decision, topic: Any) -> Uuid:
    """The id that the offset is for: a topic that is made again by that name has another."""
    if topic.topic_id != Uuid.ZERO:
        return Uuid(topic.topic_id)
    known = decision.resolver.image.topic(topic.name)
    return Uuid.ZERO if known is None else known.topic_id


def _anything(topic_id: Uuid, partition: int) -> ErrorCode:  # noqa: ARG001  # any will do
    return ErrorCode.NONE


def _check_committer(decision: Decision, request: Any, version: int) -> PartitionCheck:
    """What the committer may commit. RefusedError when that is nothing."""
    group = decision.group(request.group_id)
    if isinstance(group, ConsumerGroup):
        return _check_consumer(group, request, version)
    if isinstance(group, ForeignGroup):
        raise RefusedError(
            ErrorCode.GROUP_ID_NOT_FOUND, f"Group {request.group_id} is not a consumer group."
        )
    classic = decision.classic_group(request.group_id)
    if classic is not None:
        _check_classic(decision, classic, request)
    elif request.generation_id_or_member_epoch >= 0:
        _refuse_unknown_group(decision, request, version)
    return _anything


def _refuse_unknown_group(decision: Decision, request: Any, version: int) -> None:
    """A generation of a group that has none: one that only holds offsets, or does not exist."""
    if decision.offsets.has_group(request.group_id):
        code = ErrorCode.UNKNOWN_MEMBER_ID
    elif version >= _MEMBER_EPOCHS:
        code = ErrorCode.GROUP_ID_NOT_FOUND
    else:
        code = ErrorCode.ILLEGAL_GENERATION
    raise RefusedError(code, f"Group {request.group_id} has no members.")


def _check_classic(decision: Decision, group: ClassicGroup, request: Any) -> None:
    generation = request.generation_id_or_member_epoch
    member_id, instance_id = request.member_id, request.group_instance_id
    nobody = generation < 0 and not member_id and instance_id is None
    if nobody or (generation < 0 and group.is_empty):
        group.answer(ClassicRequest.COMMIT_OF_NOBODY)
        return
    decision.check_coordinates_classic_groups(group.group_id)
    member = group.known_member(member_id, instance_id)
    group.check_generation(generation)
    group.answer(ClassicRequest.COMMIT_OF_MEMBER)
    schedule_session(decision, group, member)


def _check_consumer(group: ConsumerGroup, request: Any, version: int) -> PartitionCheck:
    epoch = request.generation_id_or_member_epoch
    if epoch < 0 and group.is_empty:
        return _anything
    member = known_member(group, request.member_id)
    if member.classic is None and version < _MEMBER_EPOCHS:
        raise RefusedError(
            ErrorCode.UNSUPPORTED_VERSION,
            "OffsetCommit version 9 or above must be used by members using the modern group "
            "protocol",
        )
    if epoch == member.epoch:
        return _anything
    if member.classic is None and 0 <= epoch < member.epoch:
        return _since_assigned(member, epoch)
    raise stale(member, epoch)


def _since_assigned(member: ConsumerMember, epoch: int) -> PartitionCheck:
    """A member that is behind may commit what it has had since that epoch (KIP-1251)."""

    def check(topic_id: Uuid, partition: int) -> ErrorCode:
        held = {**member.assigned, **member.revoking}
        given = held.get((topic_id, partition))
        fresh = given is not None and given <= epoch
        return ErrorCode.NONE if fresh else ErrorCode.STALE_MEMBER_EPOCH

    return check


def stale(member: ConsumerMember, epoch: int) -> RefusedError:
    """Another epoch than the member's, in the words of its protocol."""
    classic = member.classic is not None
    return RefusedError(
        ErrorCode.ILLEGAL_GENERATION if classic else ErrorCode.STALE_MEMBER_EPOCH,
        f"The received epoch {epoch} does not match the expected member epoch {member.epoch}.",
    )
