"""The records of `__consumer_offsets`, made from what they say. Without a value: a tombstone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streamlog.coordinator.consumer.member import ConsumerMember
from streamlog.coordinator.partitions import TopicIdPartition, by_topic
from streamlog.coordinator.result import CoordinatorRecord
from streamlog.protocol import message

_WITH_EXPIRY = 1
"""The only version of an offset's value that has room for when it expires."""


def make(name: str, /, **fields: Any) -> Any:
    """A value of the message of that name."""
    return message(name).Value(**fields)


def make_struct(name: str, struct: str, /, **fields: Any) -> Any:
    """A value of one of the structures inside that message."""
    return message(name).structs[struct](**fields)


def tombstone(key_name: str, **key: Any) -> CoordinatorRecord:
    """What makes an earlier record of the same key disappear."""
    return CoordinatorRecord(make(key_name, **key), None)


# ------------------------------------------------------------------------------------- offsets


def offset_commit(group: str, topic: str, partition: int, value: Any) -> CoordinatorRecord:
    """An OffsetCommitValue, in the version that says all that it says."""
    key = make("OffsetCommitKey", group=group, topic=topic, partition=partition)
    return CoordinatorRecord(key, value, _WITH_EXPIRY if value.expire_timestamp != -1 else None)


def offset_tombstone(group: str, topic: str, partition: int) -> CoordinatorRecord:
    return tombstone("OffsetCommitKey", group=group, topic=topic, partition=partition)


# ----------------------------------------------------------------------------- classic groups


def classic_group(group: str, value: Any) -> CoordinatorRecord:
    """A GroupMetadataValue."""
    return CoordinatorRecord(make("GroupMetadataKey", group=group), value)


def classic_group_tombstone(group: str) -> CoordinatorRecord:
    return tombstone("GroupMetadataKey", group=group)


# ---------------------------------------------------------------------------- consumer groups


def group_epoch(group_id: str, epoch: int, metadata_hash: int) -> CoordinatorRecord:
    return CoordinatorRecord(
        make("ConsumerGroupMetadataKey", group_id=group_id),
        make("ConsumerGroupMetadataValue", epoch=epoch, metadata_hash=metadata_hash),
    )


def member_metadata(group_id: str, member: ConsumerMember) -> CoordinatorRecord:
    """What the member told of itself."""
    name = "ConsumerGroupMemberMetadataValue"
    classic = None
    if member.classic is not None:
        classic = make_struct(
            name,
            "ClassicMemberMetadata",
            session_timeout_ms=member.classic.session_timeout_ms,
            supported_protocols=[
                make_struct(name, "ClassicProtocol", name=protocol, metadata=metadata)
                for protocol, metadata in member.classic.protocols
            ],
        )
    value = make(
        name,
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=list(member.topics),
        subscribed_topic_regex=member.regex or "",
        rebalance_timeout_ms=member.rebalance_timeout_ms,
        server_assignor=member.server_assignor,
        classic_member_metadata=classic,
    )
    key = make("ConsumerGroupMemberMetadataKey", group_id=group_id, member_id=member.member_id)
    return CoordinatorRecord(key, value)


def target_assignment(
    group_id: str, member_id: str, target: Iterable[TopicIdPartition]
) -> CoordinatorRecord:
    """The partitions that a member is to have."""
    name = "ConsumerGroupTargetAssignmentMemberValue"
    value = make(
        name,
        topic_partitions=[
            make_struct(name, "TopicPartition", topic_id=topic_id, partitions=partitions)
            for topic_id, partitions in by_topic(target).items()
        ],
    )
    key = make("ConsumerGroupTargetAssignmentMemberKey", group_id=group_id, member_id=member_id)
    return CoordinatorRecord(key, value)


def target_epoch(group_id: str, epoch: int, timestamp_ms: int) -> CoordinatorRecord:
    """The group epoch that the targets are for, written behind them."""
    return CoordinatorRecord(
        make("ConsumerGroupTargetAssignmentMetadataKey", group_id=group_id),
        make(
            "ConsumerGroupTargetAssignmentMetadataValue",
            assignment_epoch=epoch,
            assignment_timestamp=timestamp_ms,
        ),
    )


def current_assignment(group_id: str, member: ConsumerMember) -> CoordinatorRecord:
    """The partitions that a member has, and those that it is to give up."""
    key = make(
        "ConsumerGroupCurrentMemberAssignmentKey", group_id=group_id, member_id=member.member_id
    )
    value = make(
        "ConsumerGroupCurrentMemberAssignmentValue",
        member_epoch=member.epoch,
        previous_member_epoch=member.previous_epoch,
        state=member.state,
        assigned_partitions=_with_epochs(member.assigned),
        partitions_pending_revocation=_with_epochs(member.revoking),
    )
    return CoordinatorRecord(key, value)


def _with_epochs(assigned: Mapping[TopicIdPartition, int]) -> list[Any]:
    return [
        make_struct(
            "ConsumerGroupCurrentMemberAssignmentValue",
            "TopicPartitions",
            topic_id=topic_id,
            partitions=partitions,
            assignment_epochs=[assigned[topic_id, partition] for partition in partitions],
        )
        for topic_id, partitions in by_topic(assigned).items()
    ]


def regular_expression(
    group_id: str, regex: str, topics: Iterable[str], version: int, timestamp_ms: int
) -> CoordinatorRecord:
    """The topics that a subscription's pattern was found to match."""
    return CoordinatorRecord(
        make("ConsumerGroupRegularExpressionKey", group_id=group_id, regular_expression=regex),
        make(
            "ConsumerGroupRegularExpressionValue",
            topics=sorted(topics),
            version=version,
            timestamp=timestamp_ms,
        ),
    )


def regular_expression_tombstone(group_id: str, regex: str) -> CoordinatorRecord:
    return tombstone(
        "ConsumerGroupRegularExpressionKey", group_id=group_id, regular_expression=regex
    )


def member_tombstones(group_id: str, member_id: str) -> list[CoordinatorRecord]:
    """A member that is gone, in the order in which Kafka's own replay wants to hear it."""
    return [
        tombstone(f"ConsumerGroup{kind}Key", group_id=group_id, member_id=member_id)
        for kind in ("CurrentMemberAssignment", "TargetAssignmentMember", "MemberMetadata")
    ]


def consumer_group_tombstones(
    group_id: str, member_ids: Iterable[str], regexes: Iterable[str]
) -> list[CoordinatorRecord]:
    """A consumer group that is gone, in the order in which Kafka's own replay wants to hear it."""
    members = list(member_ids)

    def of_members(kind: str) -> list[CoordinatorRecord]:
        name = f"ConsumerGroup{kind}Key"
        return [tombstone(name, group_id=group_id, member_id=member_id) for member_id in members]

    return [
        *of_members("CurrentMemberAssignment"),
        *of_members("TargetAssignmentMember"),
        tombstone("ConsumerGroupTargetAssignmentMetadataKey", group_id=group_id),
        *of_members("MemberMetadata"),
        *(regular_expression_tombstone(group_id, regex) for regex in regexes),
        tombstone("ConsumerGroupMetadataKey", group_id=group_id),
    ]


def partition_metadata_tombstone(group_id: str) -> CoordinatorRecord:
    """What brokers of version 4.0 wrote and later ones replaced by the metadata hash."""
    return tombstone("ConsumerGroupPartitionMetadataKey", group_id=group_id)
