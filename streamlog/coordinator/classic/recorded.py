"""A classic group as its last record tells it: what survives whoever coordinates it."""

from __future__ import annotations

from typing import Any

import msgspec

from streamlog.coordinator.classic.states import ClassicState
from streamlog.coordinator.classic.subscription import subscribed_topics


class RecordedMember(msgspec.Struct, frozen=True):
    """A member of the recorded generation."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    subscription: bytes
    assignment: bytes


class RecordedGroup(msgspec.Struct, frozen=True):
    """The last generation that was completed. Without a protocol type: it only holds offsets.

    `state_timestamp_ms` is when it got into the state that it was recorded in, -1 if unknown.
    """

    group_id: str
    protocol_type: str | None = None
    generation: int = 0
    protocol_name: str | None = None
    leader: str | None = None
    state_timestamp_ms: int = -1
    members: tuple[RecordedMember, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.members

    @property
    def state(self) -> ClassicState:
        return ClassicState.STABLE if self.members else ClassicState.EMPTY

    @property
    def subscribed_topics(self) -> frozenset[str] | None:
        """The topics of a consumers' group; None where they cannot be known."""
        return subscribed_topics(
            self.protocol_type, self.protocol_name, [m.subscription for m in self.members]
        )


def recorded_group(group_id: str, value: Any) -> RecordedGroup:
    """The group of a GroupMetadataValue."""
    return RecordedGroup(
        group_id=group_id,
        protocol_type=value.protocol_type or None,
        generation=value.generation,
        protocol_name=value.protocol,
        leader=value.leader,
        state_timestamp_ms=value.current_state_timestamp,
        members=tuple(
            RecordedMember(
                member_id=member.member_id,
                instance_id=member.group_instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout_ms=member.session_timeout
                if member.rebalance_timeout == -1
                else member.rebalance_timeout,
                session_timeout_ms=member.session_timeout,
                subscription=bytes(member.subscription),
                assignment=bytes(member.assignment),
            )
            for member in value.members
        ),
    )
