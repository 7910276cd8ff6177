"""What happens when a timer is due."""

from __future__ import annotations

from streamlog.coordinator.classic.rebalance import (
    complete_join,
    end_initial_delay,
    end_sync_phase,
    expire_session,
)
from streamlog.coordinator.classic.states import ClassicState
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.leave import remove_members
from streamlog.coordinator.consumer.member import (
    LEFT_FOR_NOW_EPOCH,
    ConsumerMember,
    MemberState,
)
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.timer_events import (
    InitialDelayEnded,
    JoinPhaseTimedOut,
    MemberTimerEvent,
    PollIntervalExceeded,
    RevocationTimedOut,
    SessionExpired,
    SyncPhaseTimedOut,
    TimerEvent,
)


def expire(decision: Decision, event: TimerEvent) -> None:
    """Do what the event asks for, if things still are as they were when it was scheduled."""
    decision.cancel(event)
    group = decision.group(event.group_id)
    if isinstance(group, ConsumerGroup):
        member = group.members.get(getattr(event, "member_id", ""))
        if member is not None and _has_failed(member, event):
            remove_members(decision, event.group_id, [member])
    elif decision.classic_group(event.group_id) is not None:
        _expire_classic(decision, event)


def _has_failed(member: ConsumerMember, event: TimerEvent) -> bool:
    match event:
        case RevocationTimedOut():
            waits = member.state is MemberState.UNREVOKED_PARTITIONS
            return waits and member.epoch == event.member_epoch
        case SessionExpired():
            return not member.lives_in_process or member.epoch == LEFT_FOR_NOW_EPOCH
        case PollIntervalExceeded():
            return member.lives_in_process and member.epoch != LEFT_FOR_NOW_EPOCH
    return isinstance(event, MemberTimerEvent) and member.classic is not None


def _expire_classic(decision: Decision, event: TimerEvent) -> None:
    if not decision.coordinates_classic_groups:
        return
    group = decision.change_classic(event.group_id)
    preparing = group.state is ClassicState.PREPARING_REBALANCE
    match event:
        case SessionExpired():
            expire_session(decision, group, event.member_id)
        case SyncPhaseTimedOut():
            end_sync_phase(decision, group, event)
        case InitialDelayEnded() if preparing:
            end_initial_delay(decision, group, event)
        case JoinPhaseTimedOut() if preparing:
            complete_join(decision, group)
