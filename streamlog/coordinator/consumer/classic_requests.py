"""SyncGroup and Heartbeat of members that speak the classic protocol in a consumer group."""

from __future__ import annotations

from typing import Any

from streamlog.coordinator.consumer.embedded import embedded_assignment
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.lookup import check_instance, known_member
from streamlog.coordinator.consumer.member import ClassicMember, ConsumerMember, MemberState
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.records import make
from streamlog.coordinator.result import RequestContext
from streamlog.coordinator.timer_events import RejoinTimedOut, SessionExpired, SyncTimedOut


def sync_consumer_group(
    decision: Decision, group: ConsumerGroup, request: Any, context: RequestContext
) -> None:
    """The member gets what it was assigned when it joined."""
    member, classic = _classic_member(group, request)
    name, metadata = classic.protocols[0]
    said = (request.protocol_type, request.protocol_name)
    if said[0] not in (None, "consumer") or said[1] not in (None, name):
        raise RefusedError(
            ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
            f"the member goes by protocol {name} of type consumer",
        )
    behind = group.epoch > member.epoch
    if behind and member.state is not MemberState.UNREVOKED_PARTITIONS:
        _expect_rejoin(decision, group, member)
        response = make("SyncGroupResponse", error_code=ErrorCode.REBALANCE_IN_PROGRESS)
    else:
        decision.cancel(SyncTimedOut(group.group_id, member.member_id))
        _schedule_session(decision, group, member, classic)
        response = make(
            "SyncGroupResponse",
            protocol_type=request.protocol_type,
            protocol_name=request.protocol_name,
            assignment=embedded_assignment(member.assigned, metadata, decision.resolver.image),
        )
    decision.reply(context, response)


def heartbeat_consumer_group(decision: Decision, group: ConsumerGroup, request: Any) -> ErrorCode:
    """It is alive; it has to rejoin when there is something to give up, or to get."""
    member, classic = _classic_member(group, request)
    _schedule_session(decision, group, member, classic)
    if member.epoch < group.epoch or _has_to_move(group, member):
        _expect_rejoin(decision, group, member)
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE


def _has_to_move(group: ConsumerGroup, member: ConsumerMember) -> bool:
    match member.state:
        case MemberState.UNREVOKED_PARTITIONS:
            return True
        case MemberState.UNRELEASED_PARTITIONS:
            missing = group.target_of(member.member_id) - member.assigned.keys()
            return not any(partition in group.owners for partition in missing)
    return False


def _expect_rejoin(decision: Decision, group: ConsumerGroup, member: ConsumerMember) -> None:
    event = RejoinTimedOut(group.group_id, member.member_id)
    decision.schedule(event, member.rebalance_timeout_ms, keep=True)


def _schedule_session(
    decision: Decision, group: ConsumerGroup, member: ConsumerMember, classic: ClassicMember
) -> None:
    event = SessionExpired(group.group_id, member.member_id)
    decision.schedule(event, classic.session_timeout_ms)


def _classic_member(group: ConsumerGroup, request: Any) -> tuple[ConsumerMember, ClassicMember]:
    """The member in its generation. RefusedError when it does not speak the classic protocol."""
    if request.group_instance_id is None:
        member = known_member(group, request.member_id)
    else:
        member = check_instance(group, request.member_id, request.group_instance_id)
    if member.classic is None:
        raise RefusedError(
            ErrorCode.UNKNOWN_MEMBER_ID,
            f"Member {member.member_id} does not use the classic protocol.",
        )
    if request.generation_id != member.epoch:
        raise RefusedError(
            ErrorCode.ILLEGAL_GENERATION,
            f"Member {member.member_id} is in generation {member.epoch}, "
            f"not {request.generation_id}.",
        )
    return member, member.classic
