"""The rebalance of a classic group: members join, a generation is made, its members sync.

Every function here works on a draft of the group, which takes the group's place when the
decision's result is applied.
"""

from __future__ import annotations

from streamlog.coordinator import records
from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.member import ClassicMember
from streamlog.coordinator.classic.parked import refuse_parked, reply_generation, reply_sync
from streamlog.coordinator.classic.states import ClassicEvent, ClassicState
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode
from streamlog.coordinator.timer_events import (
    InitialDelayEnded,
    JoinPhaseTimedOut,
    SessionExpired,
    SyncPhaseTimedOut,
)


def schedule_session(decision: Decision, group: ClassicGroup, member: ClassicMember) -> None:
    """A sign of life of a member."""
    event = SessionExpired(group.group_id, member.member_id)
    decision.schedule(event, member.session_timeout_ms)


def cancel_phases(decision: Decision, group_id: str) -> None:
    """Wait for nothing that has to do with a rebalance."""
    decision.cancel(
        InitialDelayEnded(group_id, 0, 0),
        JoinPhaseTimedOut(group_id),
        SyncPhaseTimedOut(group_id, 0),
    )


def rebalance_or_complete(decision: Decision, group: ClassicGroup) -> None:
    """A member came, went or changed: begin a rebalance, or see whether the one is complete."""
    if group.can_rebalance:
        prepare_rebalance(decision, group)
    else:
        complete_join_if_all_did(decision, group)


def prepare_rebalance(decision: Decision, group: ClassicGroup) -> None:
    """Have all members join again. Who waits for an assignment is told so."""
    if group.state is ClassicState.COMPLETING_REBALANCE:
        for member in list(group.members.values()):
            if member.syncing is not None:
                reply_sync(decision, member.syncing, ErrorCode.REBALANCE_IN_PROGRESS)
                # Its session may have ended unnoticed while it was parked.
                schedule_session(decision, group, member)
            group.change(member.member_id, assignment=b"", syncing=None)
    group.pending_syncs = frozenset()
    cancel_phases(decision, group.group_id)
    group.move(ClassicEvent.REBALANCE_NEEDED, decision.now.wall_ms)
    if group.first_rebalance:
        delay_ms = decision.settings.group_initial_rebalance_delay_ms
        remaining_ms = max(group.rebalance_timeout_ms - delay_ms, 0)
        event = InitialDelayEnded(group.group_id, delay_ms, remaining_ms)
        decision.schedule(event, delay_ms)
    elif group.all_joined:
        complete_join(decision, group)
    else:
        decision.schedule(JoinPhaseTimedOut(group.group_id), group.rebalance_timeout_ms)


def complete_join_if_all_did(decision: Decision, group: ClassicGroup) -> None:
    """The first rebalance of a group goes by its delay alone: more members may be on their way."""
    preparing = group.state is ClassicState.PREPARING_REBALANCE
    if preparing and not group.first_rebalance and group.all_joined:
        complete_join(decision, group)


def end_initial_delay(decision: Decision, group: ClassicGroup, event: InitialDelayEnded) -> None:
    """Complete the join phase, unless members came meanwhile and there is time left to wait."""
    if not (group.new_member_added and event.remaining_ms):
        complete_join(decision, group)
        return
    group.new_member_added = False
    delay_ms = min(decision.settings.group_initial_rebalance_delay_ms, event.remaining_ms)
    remaining_ms = max(event.remaining_ms - event.delay_ms, 0)
    decision.schedule(InitialDelayEnded(group.group_id, delay_ms, remaining_ms), delay_ms)


def complete_join(decision: Decision, group: ClassicGroup) -> None:
    """Make the next generation of those who joined, and of static members who did not."""
    cancel_phases(decision, group.group_id)
    absent = [m for m in group.members.values() if m.joining is None and not m.is_static]
    for member in absent:
        group.remove(member.member_id)
        decision.cancel(SessionExpired(group.group_id, member.member_id))
    if not group.elect_joined_leader() and group.members:
        # Nobody is there who could lead: the sessions of the static members will end too.
        decision.schedule(JoinPhaseTimedOut(group.group_id), group.rebalance_timeout_ms)
        return
    group.begin_generation(decision.now.wall_ms)
    if group.state is ClassicState.EMPTY:
        decision.write(records.classic_group(group.group_id, group.value()))
    else:
        _tell_generation(decision, group)


def _tell_generation(decision: Decision, group: ClassicGroup) -> None:
    """Answer all JoinGroups; whoever does not sync within the rebalance timeout is removed."""
    for member in list(group.members.values()):
        if member.joining is not None:
            reply_generation(decision, group, member, member.joining)
        schedule_session(decision, group, member)
        group.change(member.member_id, is_new=False, joining=None)
    group.pending_syncs = frozenset(group.members)
    event = SyncPhaseTimedOut(group.group_id, group.generation)
    decision.schedule(event, group.rebalance_timeout_ms)


def end_sync_phase(decision: Decision, group: ClassicGroup, event: SyncPhaseTimedOut) -> None:
    """Go on without those who never asked for their assignment."""
    syncing = group.state in (ClassicState.COMPLETING_REBALANCE, ClassicState.STABLE)
    if not syncing or event.generation != group.generation or not group.pending_syncs:
        return
    for member_id in sorted(group.pending_syncs):
        group.remove(member_id)
        decision.cancel(SessionExpired(group.group_id, member_id))
    prepare_rebalance(decision, group)


def remove_member(decision: Decision, group: ClassicGroup, member_id: str) -> None:
    """Forget a member, or one that was expected; what it has parked is told that it is unknown."""
    member = group.members.get(member_id)
    decision.cancel(SessionExpired(group.group_id, member_id))
    if member is not None:
        refuse_parked(decision, group, member, ErrorCode.UNKNOWN_MEMBER_ID, "")
    group.remove(member_id)


def expire_session(decision: Decision, group: ClassicGroup, member_id: str) -> None:
    """A member, or one that was expected, gave no sign of life."""
    member = group.members.get(member_id)
    if member is not None and member.is_parked:
        return
    expected = member_id in group.pending_joins
    remove_member(decision, group, member_id)
    preparing = group.state is ClassicState.PREPARING_REBALANCE
    if preparing and group.all_joined:
        complete_join(decision, group)
    elif not expected and not preparing and not group.is_empty:
        prepare_rebalance(decision, group)
