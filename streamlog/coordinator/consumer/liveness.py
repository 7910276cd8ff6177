"""Members that live in a process: their heartbeats are calls, and others tell whether they live."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.leave import leave_for_now, remove_members
from streamlog.coordinator.consumer.member import LEFT_FOR_NOW_EPOCH
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.groups.table import Group
from streamlog.coordinator.timer_events import PollIntervalExceeded


class MembersDied(msgspec.Struct, frozen=True):
    """The process of these members is gone. Gets no response.

    Dynamic members are removed at once; static ones keep their partitions for the session
    timeout, so that a restarted process finds them.
    """

    group_id: str
    member_ids: tuple[str, ...]


class MemberPolled(msgspec.Struct, frozen=True):
    """When a member last polled, on the monotonic clock. Gets no response.

    A member that does not poll for its rebalance timeout, which is its `max_poll_interval_ms`,
    is fenced: it hangs, and others can have its partitions.
    """

    group_id: str
    member_id: str
    polled_at_ms: int


def members_died(decision: Decision, request: MembersDied) -> None:
    group = decision.group(request.group_id)
    if not isinstance(group, ConsumerGroup):
        return
    died = [group.members[m] for m in dict.fromkeys(request.member_ids) if m in group.members]
    for member in died:
        if member.is_static:
            decision.cancel(PollIntervalExceeded(request.group_id, member.member_id))
            leave_for_now(decision, request.group_id, member)
    dynamic = [member for member in died if not member.is_static]
    remove_members(decision, request.group_id, dynamic)


def members_in_processes(groups: Iterable[Group]) -> dict[str, list[MembersDied]]:
    """By the client host of every process that has members: the events, should it be dead.

    A static member that has left for now is not there to die.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for group in groups:
        for member in group.members.values() if isinstance(group, ConsumerGroup) else ():
            if member.lives_in_process and member.epoch != LEFT_FOR_NOW_EPOCH:
                of_host = found.setdefault(member.client_host, {})
                of_host.setdefault(group.group_id, []).append(member.member_id)
    return {
        host: [MembersDied(group_id, tuple(ids)) for group_id, ids in by_group.items()]
        for host, by_group in found.items()
    }


def member_polled(decision: Decision, request: MemberPolled) -> None:
    group = decision.group(request.group_id)
    if not isinstance(group, ConsumerGroup):
        return
    member = group.members.get(request.member_id)
    if member is None or member.epoch == LEFT_FOR_NOW_EPOCH:
        return
    age_ms = decision.now.monotonic_ms - request.polled_at_ms
    event = PollIntervalExceeded(request.group_id, request.member_id)
    decision.schedule(event, member.rebalance_timeout_ms - age_ms)
