"""A consumer group's member: immutable, replaced when a record says something new of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import msgspec

from streamlog.coordinator.partitions import TopicIdPartition
from streamlog.coordinator.result import PROCESS_HOST

JOINING_EPOCH = 0
LEAVING_EPOCH = -1
LEFT_FOR_NOW_EPOCH = -2
"""A static member that went away and is expected back: it keeps its partitions meanwhile."""

NOTHING: Mapping[TopicIdPartition, int] = {}


class MemberState(IntEnum):
    """How far a member is on its way to its target assignment (KIP-848)."""

    STABLE = 0
    """Has what it is to have, at the target's epoch."""
    UNREVOKED_PARTITIONS = 1
    """Was told to give partitions up and has not said that it did; its epoch stands still."""
    UNRELEASED_PARTITIONS = 2
    """At the target's epoch, and waits for partitions that others still have."""
    UNKNOWN = 127
    """Written by a newer broker: the member has to come without partitions to go on."""

    @classmethod
    def _missing_(cls, value: object) -> MemberState:  # noqa: ARG003  # whatever it is
        return cls.UNKNOWN


class ClassicMember(msgspec.Struct, frozen=True):
    """What a consumer group knows of a member that speaks the classic protocol."""

    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    """The name and metadata of each assignor that it knows, the one that it likes best first."""


class ConsumerMember(msgspec.Struct, frozen=True):
    """One member. `assigned` and `revoking` tell in which epoch each partition was given."""

    member_id: str
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    topics: tuple[str, ...] = ()
    regex: str | None = None
    rebalance_timeout_ms: int = -1
    server_assignor: str | None = None
    classic: ClassicMember | None = None

    epoch: int = JOINING_EPOCH
    previous_epoch: int = -1
    state: MemberState = MemberState.STABLE
    assigned: Mapping[TopicIdPartition, int] = NOTHING
    revoking: Mapping[TopicIdPartition, int] = NOTHING

    @property
    def is_static(self) -> bool:
        return self.instance_id is not None

    @property
    def lives_in_process(self) -> bool:
        """Whether its liveness is told by the caller, not by heartbeats."""
        return self.client_host.startswith(PROCESS_HOST)

    def is_reconciled_to(self, epoch: int) -> bool:
        return self.state == MemberState.STABLE and self.epoch == epoch

    def with_metadata(self, value: Any) -> ConsumerMember:
        """As a ConsumerGroupMemberMetadataValue has it."""
        classic = value.classic_member_metadata
        return msgspec.structs.replace(
            self,
            instance_id=value.instance_id,
            rack_id=value.rack_id,
            client_id=value.client_id,
            client_host=value.client_host,
            topics=tuple(sorted(set(value.subscribed_topic_names))),
            regex=value.subscribed_topic_regex,
            rebalance_timeout_ms=value.rebalance_timeout_ms,
            server_assignor=value.server_assignor,
            classic=None
            if classic is None
            else ClassicMember(
                classic.session_timeout_ms,
                tuple((p.name, bytes(p.metadata)) for p in classic.supported_protocols),
            ),
        )

    def with_assignment(self, value: Any) -> ConsumerMember:
        """As a ConsumerGroupCurrentMemberAssignmentValue has it."""
        return msgspec.structs.replace(
            self,
            epoch=value.member_epoch,
            previous_epoch=value.previous_member_epoch,
            state=MemberState(value.state),
            assigned=_epochs(value.assigned_partitions, value.member_epoch),
            revoking=_epochs(value.partitions_pending_revocation, value.member_epoch),
        )


def _epochs(topic_partitions: Any, member_epoch: int) -> dict[TopicIdPartition, int]:
    """Brokers before 4.3 did not write epochs: the member's own is the latest that can be true."""
    found: dict[TopicIdPartition, int] = {}
    for entry in topic_partitions:
        epochs = entry.assignment_epochs or [member_epoch] * len(entry.partitions)
        found.update(
            ((entry.topic_id, partition), epoch)
            for partition, epoch in zip(entry.partitions, epochs, strict=True)
        )
    return found
