"""What an assignor is given and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from streamlog.coordinator.partitions import TopicIdPartition
from streamlog.protocol import Uuid

Assignment: TypeAlias = dict[str, set[TopicIdPartition]]
"""Each member's partitions; every member is in it."""


class MemberRequest(msgspec.Struct, frozen=True):
    """A member: topics that exist, and the partitions that it was to have until now."""

    member_id: str
    topics: frozenset[Uuid]
    owned: frozenset[TopicIdPartition] = frozenset()
    instance_id: str | None = None


class AssignmentRequest(msgspec.Struct, frozen=True):
    """The members, in any order, and the number of partitions of each topic."""

    members: tuple[MemberRequest, ...]
    partition_counts: Mapping[Uuid, int]

    def in_order(self) -> list[MemberRequest]:
        """Static members by instance id, then the others by member id: restarts move nothing."""
        return sorted(
            self.members,
            key=lambda m: (m.instance_id is None, m.instance_id or "", m.member_id),
        )

    def kept(self) -> Assignment:
        """What members have of what there is and they are subscribed to; nothing twice."""
        taken: set[TopicIdPartition] = set()
        assignment: Assignment = {}
        for member in self.in_order():
            assignment[member.member_id] = kept = {
                (topic_id, partition)
                for topic_id, partition in member.owned
                if topic_id in member.topics and partition < self.partition_counts[topic_id]
            } - taken
            taken |= kept
        return assignment
