"""Whether a member has anything to hear: who lives in a process need not ask in vain.

In the network a member asks every few seconds whether there is news. In a process it knows when
the log has grown, and asks when what was replayed concerns it.
"""

from __future__ import annotations

from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.member import ConsumerMember, MemberState
from streamlog.coordinator.consumer.rebalance import may_assign
from streamlog.coordinator.decision import Decision


def has_news(decision: Decision, group_id: str, member_id: str, epoch: int) -> bool:
    """Whether a heartbeat of the member, which is in `epoch`, would tell it anything."""
    group = decision.group(group_id)
    member = group.members.get(member_id) if isinstance(group, ConsumerGroup) else None
    if not isinstance(group, ConsumerGroup) or member is None or member.epoch != epoch:
        return True
    if not decision.resolver.is_up_to_date(group_id, group.epoch):
        return True
    if group.epoch > group.target_epoch and may_assign(decision, group):
        return True
    return _can_move(group, member)


def _can_move(group: ConsumerGroup, member: ConsumerMember) -> bool:
    match member.state:
        case MemberState.STABLE:
            return member.epoch != group.target_epoch
        case MemberState.UNREVOKED_PARTITIONS:
            return False  # it is the member's turn: it gives up, and says so
        case MemberState.UNRELEASED_PARTITIONS:
            return member.epoch != group.target_epoch or group.has_free_for(member)
    return True
