"""A classic group while it is coordinated: its state, members and parked requests.

All of it is volatile; what has to survive is in the group's record. A decision works on a copy
that takes the group's place when the decision's result is applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from streamlog.coordinator.classic.member import ClassicMember, Protocols
from streamlog.coordinator.classic.recorded import RecordedGroup
from streamlog.coordinator.classic.states import (
    ANSWERS,
    TRANSITIONS,
    ClassicAnswer,
    ClassicEvent,
    ClassicRequest,
    ClassicState,
)
from streamlog.coordinator.classic.subscription import CONSUMER_PROTOCOL, subscribed_topics
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.records import make, make_struct


class ClassicGroup:
    """One group. `record` is the recorded group that it goes with: another one means that
    somebody else has written.
    """

    __slots__ = (
        "first_rebalance",
        "generation",
        "group_id",
        "instances",
        "leader",
        "members",
        "new_member_added",
        "pending_joins",
        "pending_syncs",
        "protocol_name",
        "protocol_type",
        "record",
        "state",
        "state_timestamp_ms",
        "topics",
    )

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.state = ClassicState.EMPTY
        self.state_timestamp_ms = -1
        self.first_rebalance = False
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.leader: str | None = None
        self.members: dict[str, ClassicMember] = {}
        self.instances: dict[str, str] = {}
        self.pending_joins: frozenset[str] = frozenset()
        self.pending_syncs: frozenset[str] = frozenset()
        self.new_member_added = False
        self.topics: frozenset[str] | None = None
        self.record: object = None

    @classmethod
    def from_record(cls, recorded: RecordedGroup) -> ClassicGroup:
        """The group of the last generation that was completed."""
        group = cls(recorded.group_id)
        group.state = recorded.state
        group.state_timestamp_ms = recorded.state_timestamp_ms
        group.generation = recorded.generation
        group.protocol_type = recorded.protocol_type
        group.protocol_name = recorded.protocol_name
        group.leader = recorded.leader
        for member in recorded.members:
            group.members[member.member_id] = ClassicMember(
                member.member_id,
                member.instance_id,
                member.client_id,
                member.client_host,
                member.rebalance_timeout_ms,
                member.session_timeout_ms,
                ((recorded.protocol_name or "", member.subscription),),
                member.assignment,
            )
            if member.instance_id is not None:
                group.instances[member.instance_id] = member.member_id
        group.topics = recorded.subscribed_topics
        group.record = recorded
        return group

    def copy(self) -> ClassicGroup:
        copied = ClassicGroup(self.group_id)
        for name in ClassicGroup.__slots__:
            value = getattr(self, name)
            setattr(copied, name, value.copy() if isinstance(value, dict) else value)
        return copied

    # ------------------------------------------------------------------------------- reading

    @property
    def is_empty(self) -> bool:
        return self.state is ClassicState.EMPTY

    @property
    def can_rebalance(self) -> bool:
        return (self.state, ClassicEvent.REBALANCE_NEEDED) in TRANSITIONS

    @property
    def all_joined(self) -> bool:
        """Whether every member has joined and nobody is expected to."""
        return not self.pending_joins and all(m.joining for m in self.members.values())

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest that any member asks for."""
        return max((m.rebalance_timeout_ms for m in self.members.values()), default=0)

    def answer(self, request: ClassicRequest) -> ClassicAnswer:
        """How the request is answered in this state. RefusedError where it is an error."""
        answer = ANSWERS[self.state, request]
        if isinstance(answer, ErrorCode):
            raise RefusedError(answer, f"group {self.group_id} is in state {self.state.value}")
        return answer

    def known_member(self, member_id: str, instance_id: str | None) -> ClassicMember:
        """The member, with its instance id if it gives one. RefusedError when it is another's."""
        current = member_id if instance_id is None else self.instances.get(instance_id)
        if current is not None and current != member_id:
            raise RefusedError(
                ErrorCode.FENCED_INSTANCE_ID,
                f"instance {instance_id} of group {self.group_id} is member {current} now",
            )
        member = self.members.get(current or "")
        if member is None:
            raise RefusedError(
                ErrorCode.UNKNOWN_MEMBER_ID,
                f"group {self.group_id} does not have that member",
            )
        return member

    def check_generation(self, generation: int) -> None:
        if generation != self.generation:
            raise RefusedError(
                ErrorCode.ILLEGAL_GENERATION,
                f"group {self.group_id} is in generation {self.generation}, not {generation}",
            )

    def supports(self, protocol_type: str, names: Iterable[str]) -> bool:
        """Whether a member with these protocols could work with the others."""
        if self.state is ClassicState.EMPTY:
            return bool(protocol_type) and any(True for _ in names)
        if protocol_type != self.protocol_type:
            return False
        return not self.members or not self._common_protocols().isdisjoint(names)

    def select_protocol(self) -> str:
        """Of what every member has, the one with most votes; each votes for its first."""
        candidates = self._common_protocols()
        votes: dict[str, int] = {}
        for member in self.members.values():
            name = member.vote(candidates)
            votes[name] = votes.get(name, 0) + 1
        return max(votes, key=votes.__getitem__)

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether a member reads that topic. Consumers that cannot be understood may read any."""
        if self.topics is not None:
            return topic in self.topics
        return self.protocol_type == CONSUMER_PROTOCOL

    def _common_protocols(self) -> set[str]:
        offers = [{name for name, _ in m.protocols} for m in self.members.values()]
        return set.intersection(*offers) if offers else set()

    # ------------------------------------------------------------------------------ changing

    def move(self, event: ClassicEvent, wall_ms: int) -> None:
        """Go where the table says. KeyError, a bug, where it says nothing."""
        self.first_rebalance = self.state is ClassicState.EMPTY
        self.state = TRANSITIONS[self.state, event]
        self.state_timestamp_ms = wall_ms

    def put(self, member: ClassicMember, protocol_type: str) -> None:
        """Add or replace a member. The first one decides on the protocol type and leads."""
        if not self.members:
            self.protocol_type = protocol_type
        self.members[member.member_id] = member
        if self.leader is None:
            self.leader = member.member_id
        if member.instance_id is not None:
            self.instances[member.instance_id] = member.member_id
        self.pending_joins -= {member.member_id}

    def change(self, member_id: str, **changes: Any) -> ClassicMember:
        """A member with other values."""
        member = msgspec.structs.replace(self.members[member_id], **changes)
        self.members[member_id] = member
        return member

    def remove(self, member_id: str) -> None:
        """Forget a member, or one that was expected to join. The oldest other member leads."""
        member = self.members.pop(member_id, None)
        if member is not None and member.instance_id is not None:
            del self.instances[member.instance_id]
        if member_id == self.leader:
            self.leader = next(iter(self.members), None)
        self.pending_joins -= {member_id}
        self.pending_syncs -= {member_id}

    def replace_static(self, instance_id: str, new_id: str) -> ClassicMember:
        """The same member by another id. Its parked requests are the caller's to answer."""
        old = self.members.pop(self.instances[instance_id])
        member = msgspec.structs.replace(old, member_id=new_id, joining=None, syncing=None)
        self.members[new_id] = member
        self.instances[instance_id] = new_id
        if self.leader == old.member_id:
            self.leader = new_id
        return member

    def elect_joined_leader(self) -> bool:
        """Let the leader be a member that has joined. False when none has."""
        leader = self.members.get(self.leader or "")
        if leader is not None and leader.joining is None:
            leader = next((m for m in self.members.values() if m.joining is not None), None)
        if leader is None:
            return False
        self.leader = leader.member_id
        return True

    def begin_generation(self, wall_ms: int) -> None:
        """The next generation, of the members that there are."""
        self.generation += 1
        self.pending_syncs = frozenset()
        self.protocol_name = self.select_protocol() if self.members else None
        self.topics = subscribed_topics(
            self.protocol_type,
            self.protocol_name,
            [m.metadata(self.protocol_name) for m in self.members.values()],
        )
        event = ClassicEvent.MEMBERS_JOINED if self.members else ClassicEvent.ALL_LEFT
        self.move(event, wall_ms)

    def value(self) -> Any:
        """The GroupMetadataValue that says all that has to survive."""
        name = "GroupMetadataValue"
        return make(
            name,
            protocol_type=self.protocol_type or "",
            generation=self.generation,
            protocol=self.protocol_name,
            leader=self.leader,
            current_state_timestamp=self.state_timestamp_ms,
            members=[
                make_struct(
                    name,
                    "MemberMetadata",
                    member_id=member.member_id,
                    group_instance_id=member.instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    rebalance_timeout=member.rebalance_timeout_ms,
                    session_timeout=member.session_timeout_ms,
                    subscription=member.metadata(self.protocol_name),
                    assignment=member.assignment,
                )
                for member in self.members.values()
            ],
        )


def protocols_of(request: Any) -> Protocols:
    """A JoinGroupRequest's protocols."""
    return tuple((p.name, bytes(p.metadata)) for p in request.protocols)
