"""What follows from a change in a consumer group: epoch, targets, and a member's next step."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from streamlog.coordinator import records
from streamlog.coordinator.assignors import ASSIGNORS, AssignmentRequest, MemberRequest
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.member import ConsumerMember
from streamlog.coordinator.consumer.reconciliation import Target, reconcile
from streamlog.coordinator.consumer.sessions import schedule_revocation
from streamlog.coordinator.consumer.subscribing import resolve_regexes
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.partitions import TopicIdPartition
from streamlog.protocol import Uuid

_FIRST_EPOCH = 2
"""Kafka's brokers have members in epoch 1 while they are computing a group's first targets."""


def rebalance(
    decision: Decision,
    group_id: str,
    member_id: str,
    owned: AbstractSet[TopicIdPartition] | None,
    *,
    changed: bool,
) -> ConsumerMember:
    """The member after everything that can be done now. `changed`: subscriptions have."""
    bump_epoch(decision, group_id, changed=changed)
    update_targets(decision, group_id)
    return reconcile_member(decision, group_id, member_id, owned)


def bump_epoch(decision: Decision, group_id: str, *, changed: bool) -> None:
    """A new group epoch where subscriptions or the topics' metadata have changed."""
    group = _group(decision, group_id)
    resolver = decision.resolver
    if not changed and resolver.is_up_to_date(group_id, group.epoch):
        return
    changed |= resolve_regexes(decision, group)
    group = _group(decision, group_id)
    metadata_hash = resolver.metadata_hash(group.subscribed_topics)
    if changed or group.epoch == 0 or metadata_hash != group.metadata_hash:
        epoch = group.epoch + 1 if group.epoch else _FIRST_EPOCH
        decision.write(records.group_epoch(group_id, epoch, metadata_hash))
        if group.has_partition_metadata:
            decision.write(records.partition_metadata_tombstone(group_id))
    else:
        resolver.note_up_to_date(group_id, group.epoch)


def update_targets(decision: Decision, group_id: str) -> None:
    """Targets for the group's epoch, unless the last ones are younger than the interval."""
    group = _group(decision, group_id)
    if group.epoch <= group.target_epoch or not may_assign(decision, group):
        return
    targets = _assign(decision, group)
    for member_id, target in sorted(targets.items()):
        if member_id not in group.targets or group.targets[member_id] != target:
            decision.write(records.target_assignment(group_id, member_id, target))
    decision.write(records.target_epoch(group_id, group.epoch, decision.now.wall_ms))


def reconcile_member(
    decision: Decision,
    group_id: str,
    member_id: str,
    owned: AbstractSet[TopicIdPartition] | None,
) -> ConsumerMember:
    """One step of the member towards its target, which is the one that was last computed."""
    group = _group(decision, group_id)
    member = group.members[member_id]
    target = Target(
        group.target_epoch,
        group.target_of(member_id),
        decision.resolver.topic_ids(group.topics_of(member)),
    )
    moved = reconcile(member, target, owned, group.owners.get)
    if moved is not member:
        decision.write(records.current_assignment(group_id, moved))
        schedule_revocation(decision, group_id, moved)
    return moved


def _assign(decision: Decision, group: ConsumerGroup) -> dict[str, frozenset[TopicIdPartition]]:
    resolver = decision.resolver
    members = []
    counts: dict[Uuid, int] = {}
    for member in group.members.values():
        topics = [resolver.image.topic(name) for name in group.topics_of(member)]
        existing = [topic for topic in topics if topic is not None]
        counts.update((topic.topic_id, topic.partitions) for topic in existing)
        members.append(
            MemberRequest(
                member.member_id,
                frozenset(topic.topic_id for topic in existing),
                group.target_of(member.member_id),
                member.instance_id,
            )
        )
    name = group.preferred_assignor(decision.settings.group_consumer_assignors)
    assignment = ASSIGNORS[name](AssignmentRequest(tuple(members), counts))
    return {member_id: frozenset(partitions) for member_id, partitions in assignment.items()}


def may_assign(decision: Decision, group: ConsumerGroup) -> bool:
    """Whether the interval between assignments (KIP-1263) is over.

    Measured on the wall clock, since another process may have computed the last ones: where it
    has been set back the interval is over.
    """
    if group.target_timestamp_ms <= 0:
        return True
    elapsed_ms = decision.now.wall_ms - group.target_timestamp_ms
    interval_ms = decision.settings.consumer_assignment_interval_ms(group.group_id)
    return not 0 <= elapsed_ms < interval_ms


def _group(decision: Decision, group_id: str) -> ConsumerGroup:
    group = decision.group(group_id)
    assert isinstance(group, ConsumerGroup), "a consumer group is what is rebalanced here"
    return group
