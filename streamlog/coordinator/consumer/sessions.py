"""The timers of a consumer group's members."""

from __future__ import annotations

from streamlog.coordinator.consumer.member import (
    LEFT_FOR_NOW_EPOCH,
    ConsumerMember,
    MemberState,
)
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.timer_events import (
    PollIntervalExceeded,
    RejoinTimedOut,
    RevocationTimedOut,
    SessionExpired,
    SyncTimedOut,
)


def schedule_session(decision: Decision, group_id: str, member: ConsumerMember) -> None:
    """A sign of life. A member that lives in a process gives none, its process does."""
    if not member.lives_in_process:
        timeout_ms = decision.settings.consumer_session_timeout_ms(group_id)
        decision.schedule(SessionExpired(group_id, member.member_id), timeout_ms)


def schedule_revocation(decision: Decision, group_id: str, member: ConsumerMember) -> None:
    """Give a member that is to revoke its rebalance timeout; one that is not needs none.

    Classic members are told to rejoin instead, and have that long for it.
    """
    event = RevocationTimedOut(group_id, member.member_id, member.epoch)
    if member.classic is not None:
        return
    if member.state is MemberState.UNREVOKED_PARTITIONS:
        decision.schedule(event, member.rebalance_timeout_ms)
    else:
        decision.cancel(event)


def watch_unseen(
    decision: Decision, group_id: str, member: ConsumerMember, *, network_members: bool
) -> None:
    """Timers for a member whose records somebody else wrote, as far as none runs already."""
    if member.state is MemberState.UNREVOKED_PARTITIONS and member.classic is None:
        event = RevocationTimedOut(group_id, member.member_id, member.epoch)
        decision.schedule(event, member.rebalance_timeout_ms)
    session = SessionExpired(group_id, member.member_id)
    expected_back = member.epoch == LEFT_FOR_NOW_EPOCH
    if member.lives_in_process and not expected_back:
        decision.cancel(session)
    elif expected_back or network_members:
        timeout_ms = decision.settings.consumer_session_timeout_ms(group_id)
        if member.classic is not None:
            timeout_ms = member.classic.session_timeout_ms
        decision.schedule(session, timeout_ms, keep=True)


def cancel_timers(decision: Decision, group_id: str, member_id: str) -> None:
    decision.cancel(
        SessionExpired(group_id, member_id),
        PollIntervalExceeded(group_id, member_id),
        RevocationTimedOut(group_id, member_id, 0),
        RejoinTimedOut(group_id, member_id),
        SyncTimedOut(group_id, member_id),
    )
