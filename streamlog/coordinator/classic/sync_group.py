"""SyncGroup: the leader brings the assignment, everybody gets their part of it."""

from __future__ import annotations

from typing import Any

from streamlog.coordinator import records
from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.parked import refuse_parked, reply_assignment
from streamlog.coordinator.classic.rebalance import schedule_session
from streamlog.coordinator.classic.states import (
    PARKED,
    ClassicEvent,
    ClassicRequest,
    ClassicState,
)
from streamlog.coordinator.consumer.classic_requests import sync_consumer_group
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError, check_group_id
from streamlog.coordinator.result import RequestContext
from streamlog.coordinator.timer_events import SyncPhaseTimedOut

_NAMES_PROTOCOL = 5
"""The version since which a request has to say by which protocol it goes (KIP-559)."""


def sync_group(decision: Decision, request: Any, context: RequestContext) -> None:
    unnamed = None in (request.protocol_type, request.protocol_name)
    if context.api_version >= _NAMES_PROTOCOL and unnamed:
        raise RefusedError(
            ErrorCode.INCONSISTENT_GROUP_PROTOCOL, "the protocol's type and name are missing"
        )
    check_group_id(request.group_id)
    group = decision.group(request.group_id)
    if isinstance(group, ConsumerGroup) and not group.is_empty:
        sync_consumer_group(decision, group, request, context)
        return
    known = decision.classic_group(request.group_id)
    if known is None or known.is_empty:
        raise RefusedError(ErrorCode.UNKNOWN_MEMBER_ID, f"group {request.group_id} has no members")
    member = known.known_member(request.member_id, request.group_instance_id)
    known.check_generation(request.generation_id)
    for said, meant in (
        (request.protocol_type, known.protocol_type),
        (request.protocol_name, known.protocol_name),
    ):
        if said is not None and said != meant:
            raise RefusedError(
                ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
                f"group {request.group_id} goes by {meant}, not {said}",
            )
    leads = member.member_id == known.leader
    answer = known.answer(
        ClassicRequest.SYNC_OF_LEADER if leads else ClassicRequest.SYNC_OF_FOLLOWER
    )
    draft = decision.change_classic(request.group_id)
    draft.pending_syncs -= {member.member_id}
    refuse_parked(decision, draft, member, ErrorCode.REBALANCE_IN_PROGRESS, member.member_id)
    if answer is PARKED:
        draft.change(member.member_id, syncing=context)
    elif draft.state is ClassicState.COMPLETING_REBALANCE:
        draft.change(member.member_id, syncing=context)
        _complete(decision, draft, request)
    else:
        reply_assignment(decision, draft, member, context)
    if not draft.pending_syncs:
        decision.cancel(SyncPhaseTimedOut(draft.group_id, draft.generation))


def _complete(decision: Decision, group: ClassicGroup, request: Any) -> None:
    """The leader's assignment goes into the log, and to everybody who waits for it."""
    assignments = {a.member_id: bytes(a.assignment) for a in request.assignments}
    for member_id in group.members:
        group.change(member_id, assignment=assignments.get(member_id, b""))
    decision.write(records.classic_group(group.group_id, group.value()))
    group.move(ClassicEvent.LEADER_SYNCED, decision.now.wall_ms)
    for member in list(group.members.values()):
        if member.syncing is not None:
            reply_assignment(decision, group, member, member.syncing)
            schedule_session(decision, group, member)
            group.change(member.member_id, syncing=None)
