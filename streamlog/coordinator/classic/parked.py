"""The answers to JoinGroup and SyncGroup, at once or later, and to those that were parked."""

from __future__ import annotations

from typing import Any

from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.member import ClassicMember
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import RequestContext

_NULL_PROTOCOL = 7
"""The version of JoinGroup since which a protocol's name can be null."""


def reply_join(
    decision: Decision, context: RequestContext, code: ErrorCode = ErrorCode.NONE, **fields: Any
) -> None:
    """Answer a JoinGroup."""
    fields.setdefault("protocol_name", None)
    if context.api_version < _NULL_PROTOCOL and fields["protocol_name"] is None:
        fields["protocol_name"] = ""
    decision.reply(context, make("JoinGroupResponse", error_code=code, **fields))


def reply_generation(
    decision: Decision,
    group: ClassicGroup,
    member: ClassicMember,
    context: RequestContext,
    *,
    skip_assignment: bool = False,
    leader: str | None = None,
) -> None:
    """Answer a JoinGroup with the current generation; only the leader gets to know the members."""
    leads = member.member_id == group.leader and leader in (None, group.leader)
    name = "JoinGroupResponse"
    members = [
        make_struct(
            name,
            "JoinGroupResponseMember",
            member_id=other.member_id,
            group_instance_id=other.instance_id,
            metadata=other.metadata(group.protocol_name),
        )
        for other in (group.members.values() if leads else ())
    ]
    reply_join(
        decision,
        context,
        generation_id=group.generation,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name,
        leader=leader or group.leader or "",
        skip_assignment=skip_assignment,
        member_id=member.member_id,
        members=members,
    )


def reply_sync(decision: Decision, context: RequestContext, code: ErrorCode) -> None:
    """Answer a SyncGroup with an error."""
    decision.reply(context, make("SyncGroupResponse", error_code=code))


def reply_assignment(
    decision: Decision, group: ClassicGroup, member: ClassicMember, context: RequestContext
) -> None:
    """Answer a SyncGroup with what the leader gave the member."""
    response = make(
        "SyncGroupResponse",
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name,
        assignment=member.assignment,
    )
    decision.reply(context, response)


def refuse_parked(
    decision: Decision, group: ClassicGroup, member: ClassicMember, code: ErrorCode, told_id: str
) -> None:
    """Answer what a member has parked with an error; the group is a draft.

    Also what it has parked when it asks again: no request is left without an answer.
    """
    if member.joining is not None:
        reply_join(decision, member.joining, code, member_id=told_id)
    if member.syncing is not None:
        reply_sync(decision, member.syncing, code)
    if member.member_id in group.members:
        group.change(member.member_id, joining=None, syncing=None)


def answer_parked(decision: Decision, group: ClassicGroup, code: ErrorCode) -> None:
    """Answer everything that is parked with an error; the group itself is not changed."""
    for member in group.members.values():
        if member.joining is not None:
            reply_join(decision, member.joining, code, member_id=member.member_id)
        if member.syncing is not None:
            reply_sync(decision, member.syncing, code)
