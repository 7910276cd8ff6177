"""What others wrote: the timers, and the classic groups, of records that nobody here decided on.

Any process may act on a consumer group; so each watches over the members that it reads of. A
classic group whose record another process replaced, by making a consumer group of it or the
other way round, is begun anew here.
"""

from __future__ import annotations

from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.parked import answer_parked
from streamlog.coordinator.classic.rebalance import (
    cancel_phases,
    prepare_rebalance,
    schedule_session,
)
from streamlog.coordinator.classic.recorded import RecordedGroup
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.sessions import cancel_timers, watch_unseen
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode


def adopt_unseen(decision: Decision) -> None:
    """Deal with all changes by others of which records have been replayed.

    What was goes first, with its timers: what is may have timers of the same members.
    """
    unseen = sorted(decision.state.unseen)
    replaced = {group_id for group_id, _ in unseen if _is_replaced(decision, group_id)}
    for group_id in sorted(replaced):
        _forget(decision, group_id)
    for group_id, member_id in unseen:
        _watch(decision, group_id, member_id)
    for group_id in sorted(replaced):
        recorded = decision.group(group_id)
        if isinstance(recorded, RecordedGroup):
            group = _begin(decision, recorded)
            if group.members and group.can_rebalance:
                prepare_rebalance(decision, group)
    decision.mark_seen(unseen)


def adopt_all(decision: Decision) -> None:
    """Begin to coordinate: every group that is recorded, with sessions that begin now."""
    for group in decision.state.groups:
        if isinstance(group, RecordedGroup):
            _begin(decision, group)
        elif isinstance(group, ConsumerGroup):
            for member_id in group.members:
                _watch(decision, group.group_id, member_id)
    decision.mark_seen(decision.state.unseen)


def _watch(decision: Decision, group_id: str, member_id: str) -> None:
    group = decision.group(group_id)
    member = group.members.get(member_id) if isinstance(group, ConsumerGroup) else None
    if member is not None:
        network_members = decision.coordinates_classic_groups
        watch_unseen(decision, group_id, member, network_members=network_members)
    elif member_id:
        cancel_timers(decision, group_id, member_id)


def _is_replaced(decision: Decision, group_id: str) -> bool:
    """Whether the live group goes by another record than the one that there is."""
    if decision.state.classic is None:
        return False
    live = decision.state.classic.get(group_id)
    recorded = decision.group(group_id)
    if live is None:
        return isinstance(recorded, RecordedGroup)
    return live.record is not recorded


def _forget(decision: Decision, group_id: str) -> None:
    """The members of the live group are told to rejoin, and will find what there is now."""
    live = (decision.state.classic or {}).get(group_id)
    if live is not None:
        answer_parked(decision, live, ErrorCode.REBALANCE_IN_PROGRESS)
        cancel_phases(decision, group_id)
        decision.forget_classic(group_id)
        for member_id in live.members:
            cancel_timers(decision, group_id, member_id)


def _begin(decision: Decision, recorded: RecordedGroup) -> ClassicGroup:
    group = ClassicGroup.from_record(recorded)
    decision.put_classic(group)
    for member in group.members.values():
        schedule_session(decision, group, member)
    if len(group.members) > decision.settings.group_max_size:
        prepare_rebalance(decision, group)
    return group
