"""DescribeGroups and ConsumerGroupDescribe: groups with their members and what they have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.states import ClassicState
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.member import ConsumerMember
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode
from streamlog.coordinator.groups.table import ForeignGroup
from streamlog.coordinator.partitions import TopicIdPartition, by_topic
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import RequestContext

_SAYS_NOT_FOUND = 6
"""The version of DescribeGroups since which a group that is not there is an error (KIP-1043)."""

_CLASSIC = "DescribeGroupsResponse"
_CONSUMER = "ConsumerGroupDescribeResponse"
_CLASSIC_MEMBER, _CONSUMER_MEMBER = 0, 1


def describe_groups(decision: Decision, request: Any, context: RequestContext) -> None:
    groups = [_describe_classic(decision, group_id, context) for group_id in request.groups]
    decision.reply(context, make(_CLASSIC, groups=groups))


def consumer_group_describe(decision: Decision, request: Any, context: RequestContext) -> None:
    groups = [_describe_consumer(decision, group_id) for group_id in request.group_ids]
    decision.reply(context, make(_CONSUMER, groups=groups))


def _describe_classic(decision: Decision, group_id: str, context: RequestContext) -> Any:
    described = make_struct(_CLASSIC, "DescribedGroup", group_id=group_id)
    group = decision.group(group_id)
    classic = decision.classic_group(group_id)
    if isinstance(group, (ConsumerGroup, ForeignGroup)):
        return _not_found(described, context, f"Group {group_id} is not a classic group.")
    if classic is None and not decision.offsets.has_group(group_id):
        return _not_found(described, context, f"Group {group_id} not found.")
    if classic is None:
        described.group_state = ClassicState.EMPTY.value
        return described
    stable = classic.state is ClassicState.STABLE
    described.group_state = classic.state.value
    described.protocol_type = classic.protocol_type or ""
    described.protocol_data = (classic.protocol_name or "") if stable else ""
    described.members = _classic_members(classic, stable=stable)
    return described


def _not_found(described: Any, context: RequestContext, reason: str) -> Any:
    described.group_state = ClassicState.DEAD.value
    if context.api_version >= _SAYS_NOT_FOUND:
        described.error_code = ErrorCode.GROUP_ID_NOT_FOUND
        described.error_message = reason
    return described


def _classic_members(group: ClassicGroup, *, stable: bool) -> list[Any]:
    """Their subscriptions are told once everybody has agreed on a protocol."""
    return [
        make_struct(
            _CLASSIC,
            "DescribedGroupMember",
            member_id=member.member_id,
            group_instance_id=member.instance_id,
            client_id=member.client_id,
            client_host=member.client_host,
            member_metadata=member.metadata(group.protocol_name) if stable else b"",
            member_assignment=member.assignment,
        )
        for member in group.members.values()
    ]


def _describe_consumer(decision: Decision, group_id: str) -> Any:
    described = make_struct(_CONSUMER, "DescribedGroup", group_id=group_id)
    group = decision.group(group_id)
    if not group_id:
        described.error_code = ErrorCode.INVALID_GROUP_ID
    elif isinstance(group, ConsumerGroup):
        described.group_state = group.state.value
        described.group_epoch = group.epoch
        described.assignment_epoch = group.target_epoch
        offered = decision.settings.group_consumer_assignors
        described.assignor_name = group.preferred_assignor(offered)
        described.members = [
            _consumer_member(decision, group, member) for member in group.members.values()
        ]
    else:
        described.error_code = ErrorCode.GROUP_ID_NOT_FOUND
        kind = "not found" if group is None else "not a consumer group"
        described.error_message = f"Group {group_id} {'is ' * (group is not None)}{kind}."
    return described


def _consumer_member(decision: Decision, group: ConsumerGroup, member: ConsumerMember) -> Any:
    return make_struct(
        _CONSUMER,
        "Member",
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        member_epoch=member.epoch,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=list(member.topics),
        subscribed_topic_regex=member.regex or "",
        assignment=_assignment(decision, {**member.assigned, **member.revoking}),
        target_assignment=_assignment(decision, group.target_of(member.member_id)),
        member_type=_CONSUMER_MEMBER if member.classic is None else _CLASSIC_MEMBER,
    )


def _assignment(decision: Decision, partitions: Iterable[TopicIdPartition]) -> Any:
    """Partitions by topic; topics that are gone have no name to tell."""
    entries = []
    for topic_id, numbers in by_topic(partitions).items():
        topic = decision.resolver.image.topic_by_id(topic_id)
        if topic is not None:
            entries.append(
                make_struct(
                    _CONSUMER,
                    "TopicPartitions",
                    topic_id=topic_id,
                    topic_name=topic.name,
                    partitions=numbers,
                )
            )
    return make_struct(_CONSUMER, "Assignment", topic_partitions=entries)
