"""JoinGroup: a member comes, comes back, or changes its mind."""

from __future__ import annotations

from typing import Any

from streamlog.coordinator import records
from streamlog.coordinator.classic.group import ClassicGroup, protocols_of
from streamlog.coordinator.classic.member import ClassicMember
from streamlog.coordinator.classic.parked import (
    refuse_parked,
    reply_generation,
    reply_join,
)
from streamlog.coordinator.classic.rebalance import (
    complete_join_if_all_did,
    prepare_rebalance,
    rebalance_or_complete,
    schedule_session,
)
from streamlog.coordinator.classic.requests import rebalance_timeout_of, requires_known_id
from streamlog.coordinator.classic.states import PARKED, ClassicRequest, ClassicState
from streamlog.coordinator.consumer.classic_join import join_consumer_group
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError, check_group_id
from streamlog.coordinator.groups.table import ForeignGroup
from streamlog.coordinator.result import RequestContext
from streamlog.coordinator.timer_events import SessionExpired

_SKIP_ASSIGNMENT = 9
"""The version since which a returning leader can be told to assign nothing (KIP-814)."""


def join_group(decision: Decision, request: Any, context: RequestContext) -> None:
    check_group_id(request.group_id)
    settings = decision.settings
    low, high = settings.group_min_session_timeout_ms, settings.group_max_session_timeout_ms
    if not low <= request.session_timeout_ms <= high:
        raise RefusedError(
            ErrorCode.INVALID_SESSION_TIMEOUT,
            f"the session timeout must lie between {low} and {high} ms",
        )
    group = decision.group(request.group_id)
    if isinstance(group, ConsumerGroup) and not group.is_empty:
        join_consumer_group(decision, group, request, context)
    elif isinstance(group, ForeignGroup):
        raise _inconsistent(request.group_id)
    else:
        if isinstance(group, ConsumerGroup):
            decision.write(*records.consumer_group_tombstones(group.group_id, (), group.regexes))
        _join_classic(decision, request, context)


def _join_classic(decision: Decision, request: Any, context: RequestContext) -> None:
    known = decision.classic_group(request.group_id)
    if known is None and request.member_id:
        raise RefusedError(ErrorCode.UNKNOWN_MEMBER_ID, f"group {request.group_id} does not exist")
    group = decision.change_classic(request.group_id)
    if not _has_room(decision, group, request.member_id):
        _turn_away(decision, group, request, context)
        return
    if not group.supports(request.protocol_type, [p.name for p in request.protocols]):
        raise _inconsistent(request.group_id)
    if request.member_id:
        _join_with_id(decision, group, request, context)
    else:
        _join_without_id(decision, group, request, context)
    if group.record is None and decision.group(group.group_id) is None:
        # A group is in the log from its first member on, even if it never gets any further.
        empty = ClassicGroup(group.group_id)
        empty.state_timestamp_ms = decision.now.wall_ms
        decision.write(records.classic_group(group.group_id, empty.value()))


def _has_room(decision: Decision, group: ClassicGroup, member_id: str) -> bool:
    """Whether the group takes the member.

    While it prepares a rebalance only those count that have joined: so a group that is too
    large, since the limit was lowered, gets rid of those who come last.
    """
    most = decision.settings.group_max_size
    member = group.members.get(member_id)
    match group.state:
        case ClassicState.PREPARING_REBALANCE:
            joined = sum(m.joining is not None for m in group.members.values())
            return joined < most or (member is not None and member.joining is not None)
        case ClassicState.COMPLETING_REBALANCE | ClassicState.STABLE:
            return len(group.members) < most or member is not None
    return True


def _turn_away(
    decision: Decision, group: ClassicGroup, request: Any, context: RequestContext
) -> None:
    """There is no room; a member that was in the group is so no more."""
    group.remove(request.member_id)
    decision.cancel(SessionExpired(group.group_id, request.member_id))
    reply_join(decision, context, ErrorCode.GROUP_MAX_SIZE_REACHED, member_id="")


def _join_without_id(
    decision: Decision, group: ClassicGroup, request: Any, context: RequestContext
) -> None:
    instance_id = request.group_instance_id
    prefix = context.client_id if instance_id is None else instance_id
    member_id = f"{prefix}-{decision.new_id()}"
    if requires_known_id(request, context):
        group.pending_joins |= {member_id}
        event = SessionExpired(group.group_id, member_id)
        decision.schedule(event, request.session_timeout_ms)
        reply_join(decision, context, ErrorCode.MEMBER_ID_REQUIRED, member_id=member_id)
    elif instance_id in group.instances:
        _join_as_successor(decision, group, member_id, request, context)
    else:
        _add(decision, group, member_id, request, context)


def _join_with_id(
    decision: Decision, group: ClassicGroup, request: Any, context: RequestContext
) -> None:
    if request.member_id in group.pending_joins and request.group_instance_id is None:
        _add(decision, group, request.member_id, request, context)
        return
    member = group.known_member(request.member_id, request.group_instance_id)
    leads = member.member_id == group.leader
    answer = group.answer(
        ClassicRequest.JOIN_OF_LEADER if leads else ClassicRequest.JOIN_OF_FOLLOWER
    )
    if answer is PARKED or member.protocols != protocols_of(request):
        refuse_parked(decision, group, member, ErrorCode.REBALANCE_IN_PROGRESS, member.member_id)
        _update(group, member.member_id, request, context)
        rebalance_or_complete(decision, group)
    else:
        reply_generation(decision, group, member, context)


def _add(
    decision: Decision, group: ClassicGroup, member_id: str, request: Any, context: RequestContext
) -> None:
    """A member that nobody knew. While its JoinGroup is parked it can give no sign of life."""
    if group.state is ClassicState.PREPARING_REBALANCE and group.first_rebalance:
        group.new_member_added = True
    member = ClassicMember(
        member_id,
        request.group_instance_id,
        context.client_id,
        context.client_host,
        rebalance_timeout_of(request, context),
        request.session_timeout_ms,
        protocols_of(request),
        is_new=True,
        joining=context,
    )
    group.put(member, request.protocol_type)
    timeout_ms = decision.settings.group_new_member_join_timeout_ms
    decision.schedule(SessionExpired(group.group_id, member_id), timeout_ms)
    rebalance_or_complete(decision, group)


def _update(group: ClassicGroup, member_id: str, request: Any, context: RequestContext) -> None:
    group.change(
        member_id,
        protocols=protocols_of(request),
        rebalance_timeout_ms=rebalance_timeout_of(request, context),
        session_timeout_ms=request.session_timeout_ms,
        joining=context,
    )


def _join_as_successor(
    decision: Decision, group: ClassicGroup, member_id: str, request: Any, context: RequestContext
) -> None:
    """A static member that was restarted takes its former self's place, and fences it.

    A stable group whose protocol stays the same need not notice.
    """
    former_leader = group.leader
    former = group.members[group.instances[request.group_instance_id]]
    refuse_parked(decision, group, former, ErrorCode.FENCED_INSTANCE_ID, former.member_id)
    decision.cancel(SessionExpired(group.group_id, former.member_id))
    group.replace_static(request.group_instance_id, member_id)
    _update(group, member_id, request, context)
    schedule_session(decision, group, group.members[member_id])
    if group.state is ClassicState.COMPLETING_REBALANCE:
        # The leader may be assigning to the former id: nobody would get that assignment.
        prepare_rebalance(decision, group)
    elif group.state is not ClassicState.STABLE:
        complete_join_if_all_did(decision, group)
    elif group.select_protocol() != group.protocol_name:
        prepare_rebalance(decision, group)
    else:
        member = group.change(member_id, joining=None)
        decision.write(records.classic_group(group.group_id, group.value()))
        skips = context.api_version >= _SKIP_ASSIGNMENT
        reply_generation(
            decision,
            group,
            member,
            context,
            skip_assignment=skips and member_id == group.leader,
            leader=None if skips else former_leader,
        )


def _inconsistent(group_id: str) -> RefusedError:
    return RefusedError(
        ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
        f"the member's protocols are not those of group {group_id}",
    )
