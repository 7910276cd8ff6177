"""A consumer group as its records tell it (KIP-848): members, epochs, targets, who owns what.

`replay` is the only mutator. A group is copied before a decision replays its own records to it,
so that every later step of the decision, and the machine after the append, see the same group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec

from streamlog.coordinator.consumer.member import (
    LEAVING_EPOCH,
    ConsumerMember,
)
from streamlog.coordinator.partitions import TopicIdPartition, flatten

NO_EPOCH = -1
NO_PARTITIONS: frozenset[TopicIdPartition] = frozenset()


class ConsumerGroupState(Enum):
    """What a consumer group is doing; computed from its members, never stored."""

    EMPTY = "Empty"
    """No members. Offsets may be committed by anybody, and either protocol may join."""
    ASSIGNING = "Assigning"
    """The group epoch is ahead of the targets: the next heartbeat computes them."""
    RECONCILING = "Reconciling"
    """The targets are known; some member does not have its own yet."""
    STABLE = "Stable"
    """Every member has its target."""
    DEAD = "Dead"
    """No such group."""


class ResolvedRegex(msgspec.Struct, frozen=True):
    """The topics that a pattern was found to match, and when."""

    topics: frozenset[str]
    version: int
    timestamp_ms: int


class ConsumerGroup:
    """One group. Attributes are read freely and changed by `replay` alone."""

    __slots__ = (
        "epoch",
        "group_id",
        "has_partition_metadata",
        "instances",
        "members",
        "metadata_hash",
        "owners",
        "regexes",
        "target_epoch",
        "target_timestamp_ms",
        "targets",
    )

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.epoch = 0
        self.metadata_hash = 0
        self.members: dict[str, ConsumerMember] = {}
        self.instances: dict[str, str] = {}
        self.target_epoch = NO_EPOCH
        self.target_timestamp_ms = 0
        self.targets: dict[str, frozenset[TopicIdPartition]] = {}
        self.owners: dict[TopicIdPartition, str] = {}
        self.regexes: dict[str, ResolvedRegex] = {}
        self.has_partition_metadata = False

    def copy(self) -> ConsumerGroup:
        copied = ConsumerGroup(self.group_id)
        for name in ConsumerGroup.__slots__:
            value = getattr(self, name)
            setattr(copied, name, value.copy() if isinstance(value, dict) else value)
        return copied

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConsumerGroup):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in ConsumerGroup.__slots__)

    __hash__ = None  # type: ignore[assignment]  # it changes

    # ------------------------------------------------------------------------------- reading

    @property
    def is_empty(self) -> bool:
        return not self.members

    @property
    def state(self) -> ConsumerGroupState:
        if not self.members:
            return ConsumerGroupState.EMPTY
        if self.epoch > self.target_epoch:
            return ConsumerGroupState.ASSIGNING
        if all(member.is_reconciled_to(self.target_epoch) for member in self.members.values()):
            return ConsumerGroupState.STABLE
        return ConsumerGroupState.RECONCILING

    def static_member(self, instance_id: str | None) -> ConsumerMember | None:
        member_id = self.instances.get(instance_id or "")
        return None if member_id is None else self.members.get(member_id)

    def target_of(self, member_id: str) -> frozenset[TopicIdPartition]:
        return self.targets.get(member_id, NO_PARTITIONS)

    def has_free_for(self, member: ConsumerMember) -> bool:
        """Whether some partition that the member is to have, and has not, is nobody's."""
        missing = self.target_of(member.member_id) - member.assigned.keys()
        return any(partition not in self.owners for partition in missing)

    def topics_of(self, member: ConsumerMember) -> set[str]:
        """The names that a member is subscribed to; an unresolved pattern matches nothing."""
        topics = set(member.topics)
        if member.regex and member.regex in self.regexes:
            topics |= self.regexes[member.regex].topics
        return topics

    @property
    def subscribed_topics(self) -> set[str]:
        """The names that anybody is subscribed to."""
        topics: set[str] = set()
        for member in self.members.values():
            topics.update(member.topics)
        for regex in self.subscribed_regexes:
            if regex in self.regexes:
                topics |= self.regexes[regex].topics
        return topics

    @property
    def subscribed_regexes(self) -> set[str]:
        return {member.regex for member in self.members.values() if member.regex}

    @property
    def classic_members(self) -> list[ConsumerMember]:
        """The members that speak the classic protocol, the oldest first."""
        return [member for member in self.members.values() if member.classic is not None]

    def preferred_assignor(self, offered: Sequence[str]) -> str:
        """Of what is offered, what most members ask for; of several the first."""
        asked = [member.server_assignor for member in self.members.values()]
        return max(offered, key=asked.count)

    # ------------------------------------------------------------------------------ replaying

    def replay(self, kind: str, key: Any, value: Any) -> None:
        """Take in one record; `kind` is its key's name between "ConsumerGroup" and "Key"."""
        match kind:
            case "Metadata":
                self.epoch, self.metadata_hash = value.epoch, value.metadata_hash
            case "PartitionMetadata":
                self.has_partition_metadata = value is not None
            case "MemberMetadata":
                self._replay_metadata(key.member_id, value)
            case "TargetAssignmentMetadata":
                self.target_epoch = NO_EPOCH if value is None else value.assignment_epoch
                self.target_timestamp_ms = 0 if value is None else value.assignment_timestamp
            case "TargetAssignmentMember":
                self._replay_target(key.member_id, value)
            case "CurrentMemberAssignment":
                self._replay_assignment(key.member_id, value)
            case "RegularExpression":
                self._replay_regex(key.regular_expression, value)

    def _replay_metadata(self, member_id: str, value: Any) -> None:
        known = self.members.get(member_id)
        if value is not None:
            member = (known or ConsumerMember(member_id)).with_metadata(value)
            self._forget_instance(known)
            self.members[member_id] = member
            if member.instance_id is not None:
                self.instances[member.instance_id] = member_id
        elif known is not None:
            self._disown(known)
            self._forget_instance(known)
            del self.members[member_id]

    def _replay_target(self, member_id: str, value: Any) -> None:
        if value is None:
            self.targets.pop(member_id, None)
        else:
            self.targets[member_id] = frozenset(flatten(value.topic_partitions))

    def _replay_assignment(self, member_id: str, value: Any) -> None:
        known = self.members.get(member_id)
        if value is not None:
            known = known or ConsumerMember(member_id)
            self._disown(known)
            member = known.with_assignment(value)
            self.members[member_id] = member
            self.owners.update(dict.fromkeys(_held(member), member_id))
        elif known is not None:
            self._disown(known)
            self.members[member_id] = msgspec.structs.replace(
                known, epoch=LEAVING_EPOCH, previous_epoch=LEAVING_EPOCH, assigned={}, revoking={}
            )

    def _replay_regex(self, regex: str, value: Any) -> None:
        if value is None:
            self.regexes.pop(regex, None)
        else:
            self.regexes[regex] = ResolvedRegex(
                frozenset(value.topics), value.version, value.timestamp
            )

    def _disown(self, member: ConsumerMember) -> None:
        """A log that was compacted may tell of the next owner before the last one's release."""
        for partition in _held(member):
            if self.owners.get(partition) == member.member_id:
                del self.owners[partition]

    def _forget_instance(self, member: ConsumerMember | None) -> None:
        instance_id = "" if member is None else member.instance_id or ""
        if member is not None and self.instances.get(instance_id) == member.member_id:
            del self.instances[instance_id]


def _held(member: ConsumerMember) -> Iterable[TopicIdPartition]:
    held: list[Mapping[TopicIdPartition, int]] = [member.assigned, member.revoking]
    return (partition for partitions in held for partition in partitions)
