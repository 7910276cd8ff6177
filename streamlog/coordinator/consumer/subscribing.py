"""Patterns among a consumer group's subscriptions: which topics they come to, kept in records.

Kafka has patterns resolved by another thread and bumps the epoch when that is done. Here a
pattern is resolved when its member brings it, and again as soon as a heartbeat finds other topics.
"""

from __future__ import annotations

from streamlog.coordinator import records
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision


def drop_regex(decision: Decision, group_id: str, before: str | None, after: str | None) -> bool:
    """Whether a member has another pattern than before; the last one to have it forgets it."""
    if (before or None) == (after or None):
        return False
    group = decision.group(group_id)
    assert isinstance(group, ConsumerGroup), "its member has just been written"
    if before and before in group.regexes.keys() - group.subscribed_regexes:
        decision.write(records.regular_expression_tombstone(group_id, before))
    return True


def resolve_regexes(decision: Decision, group: ConsumerGroup) -> bool:
    """Bring the group's patterns up to date; whether any has come to other topics.

    RefusedError with INVALID_REGULAR_EXPRESSION for a new pattern that is none.
    """
    changed = False
    for regex in sorted(group.subscribed_regexes):
        topics = decision.resolver.topics_matching(regex)
        known = group.regexes.get(regex)
        if known is None or known.topics != topics:
            changed = True
            version, now_ms = decision.resolver.version, decision.now.wall_ms
            decision.write(
                records.regular_expression(group.group_id, regex, topics, version, now_ms)
            )
    return changed
