"""LeaveGroup: members go, or are made to go by their instance ids, each with its own answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.rebalance import rebalance_or_complete, remove_member
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.leave import remove_members
from streamlog.coordinator.consumer.lookup import check_instance, known_member
from streamlog.coordinator.consumer.member import ConsumerMember
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError, check_group_id
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import RequestContext

_MANY_MEMBERS = 3
"""The version since which a request names any number of members (KIP-345)."""

Identity = tuple[str, str | None]


def leave_group(decision: Decision, request: Any, context: RequestContext) -> None:
    check_group_id(request.group_id)
    if context.api_version >= _MANY_MEMBERS:
        identities = [(m.member_id, m.group_instance_id) for m in request.members]
    else:
        identities = [(request.member_id, None)]
    answers = _leave(decision, request.group_id, identities)
    decision.reply(context, _response(context, answers))


def _leave(
    decision: Decision, group_id: str, identities: list[Identity]
) -> list[tuple[Identity, ErrorCode]]:
    group = decision.group(group_id)
    if isinstance(group, ConsumerGroup):
        return _leave_consumer(decision, group, identities)
    if decision.classic_group(group_id) is None:
        return [(identity, ErrorCode.UNKNOWN_MEMBER_ID) for identity in identities]
    decision.check_coordinates_classic_groups(group_id)
    draft = decision.change_classic(group_id)
    answers = _each(identities, lambda identity: _leave_classic(decision, draft, identity))
    if any(code == ErrorCode.NONE for _, code in answers) and not draft.is_empty:
        rebalance_or_complete(decision, draft)
    return answers


def _leave_classic(decision: Decision, group: ClassicGroup, identity: Identity) -> None:
    member_id, instance_id = identity
    if not member_id and instance_id in group.instances:
        member_id = group.instances[instance_id or ""]
    elif member_id not in group.pending_joins:
        group.known_member(member_id, instance_id)
    remove_member(decision, group, member_id)


def _leave_consumer(
    decision: Decision, group: ConsumerGroup, identities: list[Identity]
) -> list[tuple[Identity, ErrorCode]]:
    leaving: dict[str, ConsumerMember] = {}

    def leave(identity: Identity) -> None:
        member_id, instance_id = identity
        if instance_id is None:
            member = known_member(group, member_id)
        else:
            named = group.static_member(instance_id)
            if not member_id and named is not None:
                member_id = named.member_id
            member = check_instance(group, member_id, instance_id)
        leaving[member.member_id] = member

    answers = _each(identities, leave)
    remove_members(decision, group.group_id, list(leaving.values()))
    return answers


def _each(
    identities: Iterable[Identity], leave: Callable[[Identity], None]
) -> list[tuple[Identity, ErrorCode]]:
    answers = []
    for identity in identities:
        code = ErrorCode.NONE
        try:
            leave(identity)
        except RefusedError as refused:
            code = refused.code
        answers.append((identity, code))
    return answers


def _response(context: RequestContext, answers: list[tuple[Identity, ErrorCode]]) -> Any:
    name = "LeaveGroupResponse"
    if context.api_version < _MANY_MEMBERS:
        return make(name, error_code=answers[0][1])
    return make(
        name,
        members=[
            make_struct(
                name,
                "MemberResponse",
                member_id=member_id,
                group_instance_id=instance_id,
                error_code=code,
            )
            for (member_id, instance_id), code in answers
        ],
    )
