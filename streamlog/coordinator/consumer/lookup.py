"""Groups and members as requests name them, or the refusal that says why they are not there."""

from __future__ import annotations

from streamlog.coordinator import records
from streamlog.coordinator.classic.recorded import RecordedGroup
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.member import ConsumerMember
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.migration import upgrade


def consumer_group(decision: Decision, group_id: str) -> ConsumerGroup:
    """The consumer group of that id. RefusedError with GROUP_ID_NOT_FOUND if it is none."""
    group = decision.group(group_id)
    if isinstance(group, ConsumerGroup):
        return group
    if group is None:
        raise RefusedError(ErrorCode.GROUP_ID_NOT_FOUND, f"Consumer group {group_id} not found.")
    raise RefusedError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a consumer group.")


def consumer_group_to_join(decision: Decision, group_id: str) -> ConsumerGroup:
    """The same for a member that joins: a new one if need be, or what a classic group becomes."""
    group = decision.group(group_id)
    if group is None:
        return ConsumerGroup(group_id)
    if isinstance(group, RecordedGroup):
        classic = decision.classic_group(group_id)
        if classic is None or classic.is_empty:
            decision.write(records.classic_group_tombstone(group_id))
            decision.forget_classic(group_id)
            return ConsumerGroup(group_id)
        upgrade(decision, classic)
    return consumer_group(decision, group_id)


def check_room(decision: Decision, group: ConsumerGroup, member_id: str) -> None:
    """RefusedError when there is no room for a member that is not in the group yet."""
    most = decision.settings.group_consumer_max_size
    if len(group.members) >= most and member_id not in group.members:
        raise RefusedError(
            ErrorCode.GROUP_MAX_SIZE_REACHED,
            f"The consumer group has reached its maximum capacity of {most} members.",
        )


def known_member(group: ConsumerGroup, member_id: str) -> ConsumerMember:
    """The member of that id. RefusedError with UNKNOWN_MEMBER_ID."""
    member = group.members.get(member_id)
    if member is None:
        raise RefusedError(
            ErrorCode.UNKNOWN_MEMBER_ID,
            f"Member {member_id} is not a member of group {group.group_id}.",
        )
    return member


def check_instance(group: ConsumerGroup, member_id: str, instance_id: str) -> ConsumerMember:
    """The static member. RefusedError when it is unknown, or the instance is another member's."""
    member = group.static_member(instance_id)
    if member is None:
        raise RefusedError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
    if member.member_id != member_id:
        raise RefusedError(
            ErrorCode.FENCED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} was fenced by member "
            f"{member.member_id}.",
        )
    return member
