"""One step of a member towards its target (KIP-848): first it gives up, then it gets.

    assigned & target            it keeps
    assigned - target            it is to give up: until it says that it has, its epoch stands still
    target - assigned, free      it gets, and is at the target's epoch
    target - assigned, not free  it waits for

A partition is free when no other member holds it, be it one that is still to give it up. So no
partition is ever held by two members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from streamlog.coordinator.consumer.member import NOTHING, ConsumerMember, MemberState
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.partitions import TopicIdPartition
from streamlog.protocol import Uuid


class Target(msgspec.Struct, frozen=True):
    """What a member is to have, at which epoch, and the topics that it may have at all."""

    epoch: int
    partitions: frozenset[TopicIdPartition]
    topic_ids: AbstractSet[Uuid]


def reconcile(
    member: ConsumerMember,
    target: Target,
    owned: AbstractSet[TopicIdPartition] | None,
    owner_of: Callable[[TopicIdPartition], str | None],
) -> ConsumerMember:
    """The member after the step; the same object when there is none to take.

    `owned` is what it says that it has, None when it does not say. RefusedError for a member of
    which a newer broker has written what we do not know, unless it says that it has nothing.
    """
    match member.state:
        case MemberState.STABLE:
            if member.epoch == target.epoch:
                return _without_unsubscribed(member, target, owned)
        case MemberState.UNREVOKED_PARTITIONS:
            if _has_any(owned, member.revoking):
                return _without_unsubscribed(member, target, owned)
        case MemberState.UNKNOWN:
            if owned is None or owned:
                raise RefusedError(
                    ErrorCode.FENCED_MEMBER_EPOCH,
                    "The consumer group member is in a unknown state. "
                    "The member must abandon all its partitions and rejoin.",
                )
    return _next_assignment(member, target, owned, owner_of)


def _next_assignment(
    member: ConsumerMember,
    target: Target,
    owned: AbstractSet[TopicIdPartition] | None,
    owner_of: Callable[[TopicIdPartition], str | None],
) -> ConsumerMember:
    wanted = {partition for partition in target.partitions if partition[0] in target.topic_ids}
    kept = {p: epoch for p, epoch in member.assigned.items() if p in wanted}
    revoking = {p: epoch for p, epoch in member.assigned.items() if p not in wanted}
    if revoking and _has_any(owned, revoking):
        return _moved(member, member.epoch, MemberState.UNREVOKED_PARTITIONS, kept, revoking)
    missing = wanted - kept.keys()
    # What this member is to give up it gives up now: that is no reason to wait.
    free = {p for p in missing if owner_of(p) in (None, member.member_id)}
    assigned = kept | dict.fromkeys(sorted(free), target.epoch)
    state = MemberState.UNRELEASED_PARTITIONS if missing - free else MemberState.STABLE
    return _moved(member, target.epoch, state, assigned, NOTHING)


def _without_unsubscribed(
    member: ConsumerMember, target: Target, owned: AbstractSet[TopicIdPartition] | None
) -> ConsumerMember:
    """What is not subscribed to any more goes at once, whatever the target still says."""
    gone = {p: epoch for p, epoch in member.assigned.items() if p[0] not in target.topic_ids}
    if not gone:
        return member
    kept = {p: epoch for p, epoch in member.assigned.items() if p not in gone}
    revoking = {**member.revoking, **gone}
    if _has_any(owned, revoking):
        return _moved(member, member.epoch, MemberState.UNREVOKED_PARTITIONS, kept, revoking)
    return _moved(member, member.epoch, member.state, kept, member.revoking)


def _has_any(
    owned: AbstractSet[TopicIdPartition] | None, partitions: Mapping[TopicIdPartition, int]
) -> bool:
    """Whether the member has some of them, as far as one can tell."""
    return owned is None or not owned.isdisjoint(partitions)


def _moved(
    member: ConsumerMember,
    epoch: int,
    state: MemberState,
    assigned: Mapping[TopicIdPartition, int],
    revoking: Mapping[TopicIdPartition, int],
) -> ConsumerMember:
    moved = msgspec.structs.replace(
        member,
        epoch=epoch,
        previous_epoch=member.epoch,
        state=state,
        assigned=assigned,
        revoking=revoking,
    )
    return member if moved == member else moved
