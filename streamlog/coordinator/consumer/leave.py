"""Members that leave a consumer group, for now or for good, by their own will or not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamlog.coordinator import records
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.member import LEFT_FOR_NOW_EPOCH, ConsumerMember
from streamlog.coordinator.consumer.sessions import cancel_timers
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.migration import downgrade_without
from streamlog.coordinator.timer_events import SessionExpired


def leave_for_now(decision: Decision, group_id: str, member: ConsumerMember) -> None:
    """A static member keeps its partitions for its successor, until its session is over."""
    if member.epoch != LEFT_FOR_NOW_EPOCH:
        gone = msgspec.structs.replace(member, epoch=LEFT_FOR_NOW_EPOCH, revoking={})
        decision.write(records.current_assignment(group_id, gone))
    timeout_ms = decision.settings.consumer_session_timeout_ms(group_id)
    decision.schedule(SessionExpired(group_id, member.member_id), timeout_ms, keep=True)


def remove_members(decision: Decision, group_id: str, members: Sequence[ConsumerMember]) -> None:
    """Members are no members any more. Where only classic ones are left, so is their group."""
    if not members:
        return
    for member in members:
        cancel_timers(decision, group_id, member.member_id)
    if downgrade_without(decision, group_id, members):
        return
    for member in members:
        decision.write(*records.member_tombstones(group_id, member.member_id))
    group = decision.group(group_id)
    assert isinstance(group, ConsumerGroup), "it had members"
    subscribed = group.subscribed_regexes
    for regex in sorted({member.regex for member in members if member.regex}):
        if regex not in subscribed:
            decision.write(records.regular_expression_tombstone(group_id, regex))
    metadata_hash = decision.resolver.metadata_hash(group.subscribed_topics)
    decision.write(records.group_epoch(group_id, group.epoch + 1, metadata_hash))
