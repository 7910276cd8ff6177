"""A member that joins a consumer group: as one that is known, a new one, or another's successor."""

from __future__ import annotations

import msgspec

from streamlog.coordinator import records
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.member import (
    JOINING_EPOCH,
    LEFT_FOR_NOW_EPOCH,
    ConsumerMember,
)
from streamlog.coordinator.consumer.sessions import cancel_timers
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError


def join_dynamic(group: ConsumerGroup, member_id: str) -> ConsumerMember:
    """The member, known or new."""
    return group.members.get(member_id) or ConsumerMember(member_id)


def join_static(
    decision: Decision, group: ConsumerGroup, member_id: str, instance_id: str, *, classic: bool
) -> ConsumerMember:
    """The member, new or with all that its former self had, which it takes the place of.

    Between two members of the consumer protocol the former must have left: RefusedError with
    UNRELEASED_INSTANCE_ID when it has not.
    """
    former = group.static_member(instance_id)
    if former is None:
        return join_dynamic(group, member_id)
    if former.classic is None and not classic and former.epoch != LEFT_FOR_NOW_EPOCH:
        raise RefusedError(
            ErrorCode.UNRELEASED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} cannot join the group "
            f"because the instance id is owned by {former.member_id} member.",
        )
    member = msgspec.structs.replace(
        former, member_id=member_id, epoch=JOINING_EPOCH, previous_epoch=JOINING_EPOCH
    )
    cancel_timers(decision, group.group_id, former.member_id)
    target = group.target_of(former.member_id)
    decision.write(
        *records.member_tombstones(group.group_id, former.member_id),
        records.member_metadata(group.group_id, member),
        records.target_assignment(group.group_id, member_id, target),
        records.current_assignment(group.group_id, member),
    )
    return member


def write_member(decision: Decision, group_id: str, member: ConsumerMember) -> bool:
    """Record a member where it is new or other than before; whether its topics changed."""
    group = decision.group(group_id)
    known = group.members.get(member.member_id) if isinstance(group, ConsumerGroup) else None
    if known == member:
        return False
    decision.write(records.member_metadata(group_id, member))
    return member.topics != (known.topics if known is not None else ())
