"""Clients as a simulation needs them: they do what Kafka's clients do, and say what they have."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from streamlog.coordinator import PROCESS_HOST, ErrorCode, RequestContext
from streamlog.errors import SchemaError
from streamlog.protocol.consumer_protocol import (
    decode_assignment,
    decode_subscription,
    encode_consumer_protocol,
)
from tests.coordinator.driver import LATEST, beat_fields, make, part, protocols, subscription

Partition = tuple[str, int]


class Request(NamedTuple):
    """What a client wants to send."""

    name: str
    fields: dict[str, Any]


class Client:
    """The base: a client asks one thing at a time."""

    def __init__(self, name: str, topics: list[str], instance_id: str | None = None) -> None:
        self.name = name
        self.topics = topics
        self.instance_id = instance_id
        self.owned: set[Partition] = set()
        self.stopped = False
        self.waits = False

    @property
    def member_id(self) -> str:
        raise NotImplementedError

    @property
    def epoch(self) -> int:
        raise NotImplementedError

    def ask(self, rng: random.Random) -> Request:
        raise NotImplementedError

    def hear(self, request: Request, response: Any) -> None:
        raise NotImplementedError

    def leave(self, *, for_now: bool = False) -> Request:
        raise NotImplementedError

    def lose(self) -> None:
        """An answer was lost, or what was asked may have been asked twice."""
        self.waits = False


class Said(NamedTuple):
    """What a heartbeat says of its member; what was answered need not be said again."""

    owned: set[Partition]
    topics: tuple[str, ...]
    regex: str


class Consumer(Client):
    """A member that speaks the consumer protocol; `process` names where it lives, if in one."""

    def __init__(
        self,
        name: str,
        topics: list[str],
        instance_id: str | None = None,
        process: str | None = None,
    ) -> None:
        super().__init__(name, topics, instance_id)
        self.process = process
        self.regex = ""
        self._epoch = 0
        self._assignment: set[Partition] = set()
        self._said = self._heard = Said(set(), (), "")
        self._lost = False

    @property
    def member_id(self) -> str:
        return self.name

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def host(self) -> str:
        return "/127.0.0.1" if self.process is None else PROCESS_HOST + self.process

    def context(self, token: Any) -> RequestContext:
        """As which it asks, in the newest version."""
        return RequestContext(token, LATEST["ConsumerGroupHeartbeat"], "client", self.host)

    def ask(self, rng: random.Random) -> Request:
        """A heartbeat; what it was told to give up it may keep for a while."""
        if rng.random() < 0.7:
            self.owned = set(self._assignment)
        else:
            self.owned &= self._assignment | self.owned
        if self._epoch == 0:
            self.owned, self._assignment = set(), set()
        everything = self._epoch == 0 or self._lost
        tell = everything or self._heard.owned != self.owned or rng.random() < 0.2
        owned: dict[str, list[int]] = {}
        for topic, partition in sorted(self.owned):
            owned.setdefault(topic, []).append(partition)
        self._said = Said(set(self.owned), tuple(self.topics), self.regex)
        fields = beat_fields(self.name, self._epoch, owned if tell else None)
        if everything:
            fields["rebalance_timeout_ms"] = 60_000
        if everything or self._said[1:] != self._heard[1:] or rng.random() < 0.1:
            fields["subscribed_topic_names"] = self.topics
            fields["subscribed_topic_regex"] = self.regex
        return Request("ConsumerGroupHeartbeat", {**fields, "instance_id": self.instance_id})

    def lose(self) -> None:
        """It says everything again, and is told everything."""
        super().lose()
        self._lost = True

    def leave(self, *, for_now: bool = False) -> Request:
        self.stopped = True
        self.owned = set()
        epoch = -2 if for_now and self.instance_id else -1
        fields = {"group_id": "g", "member_id": self.name, "member_epoch": epoch}
        return Request("ConsumerGroupHeartbeat", {**fields, "instance_id": self.instance_id})

    def hear(self, request: Request, response: Any) -> None:
        code = response.error_code
        if code == ErrorCode.NONE:
            self._epoch, self._heard = max(response.member_epoch, 0), self._said
            self._lost = False
            if response.assignment is not None:
                self._assignment = {
                    (bytes(entry.topic_id).lstrip(b"\1").decode(), partition)
                    for entry in response.assignment.topic_partitions
                    for partition in entry.partitions
                }
        elif code in (ErrorCode.FENCED_INSTANCE_ID, ErrorCode.UNRELEASED_INSTANCE_ID):
            self.stopped, self.owned = True, set()
        elif code in (ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID):
            self._epoch, self.owned, self._assignment = 0, set(), set()
        else:
            assert code in (ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.GROUP_MAX_SIZE_REACHED), code
            self._epoch, self.owned, self._assignment = 0, set(), set()


class ClassicConsumer(Client):
    """A member that speaks the classic protocol; as a leader it deals partitions out in turn.

    An eager one has nothing when it joins; a cooperative one keeps what it has, and what another
    has is given to nobody before it was given up.
    """

    def __init__(
        self,
        name: str,
        topics: list[str],
        counts: dict[str, int],
        instance_id: str | None = None,
        *,
        cooperative: bool = False,
    ) -> None:
        super().__init__(name, topics, instance_id)
        self._counts = counts
        self._protocol = "cooperative" if cooperative else "eager"
        self._id = ""
        self._generation = -1
        self._step = "JoinGroup"
        self._assigned_counts: dict[str, int] = {}
        self._members: dict[str, tuple[list[str], set[Partition]]] = {}
        self.watches_topics = False

    @property
    def member_id(self) -> str:
        return self._id

    @property
    def epoch(self) -> int:
        return self._generation

    @property
    def is_in_generation(self) -> bool:
        return self._step == "Heartbeat"

    def ask(self, rng: random.Random) -> Request:
        same: dict[str, Any] = {"group_id": "g", "group_instance_id": self.instance_id}
        if self._members and self._assigned_counts != self._counts:
            self._step = "JoinGroup"  # a leader that sees other topics wants to assign anew
        if self._step == "JoinGroup":
            if self._protocol == "eager":
                self.owned = set()
            self._assigned_counts = dict(self._counts)
            owned: dict[str, list[int]] = {}
            for topic, partition in sorted(self.owned):
                owned.setdefault(topic, []).append(partition)
            metadata = subscription(self.topics, owned)
            joining = {
                "session_timeout_ms": 10_000,
                "rebalance_timeout_ms": 20_000,
                "protocol_type": "consumer",
                "protocols": protocols(self._protocol, metadata=metadata),
            }
            self.waits = True
            return Request("JoinGroup", {**same, **joining, "member_id": self._id})
        same |= {"generation_id": self._generation, "member_id": self._id}
        if self._step == "Heartbeat":
            return Request("Heartbeat", same)
        self.waits = True
        spelled = {"protocol_type": "consumer", "protocol_name": self._protocol}
        return Request("SyncGroup", {**same, **spelled, "assignments": self._assign()})

    def leave(self, *, for_now: bool = False) -> Request:
        self.stopped = True
        self.owned = set()
        name = "LeaveGroupRequest"
        identity = part(
            name, "MemberIdentity", member_id=self._id, group_instance_id=self.instance_id
        )
        return Request("LeaveGroup", {"group_id": "g", "members": [identity]})

    def _assign(self) -> list[Any]:
        dealt: dict[str, list[Partition]] = {member: [] for member in self._members}
        for topic, count in sorted(self._counts.items()):
            readers = sorted(m for m, (topics, _) in self._members.items() if topic in topics)
            for partition in range(count) if readers else ():
                reader, place = readers[partition % len(readers)], (topic, partition)
                owners = {m for m, (_, owned) in self._members.items() if place in owned}
                if not owners - {reader}:
                    dealt[reader].append(place)
        name = "ConsumerProtocolAssignment"
        assignments = []
        for member, partitions in dealt.items():
            topics: dict[str, list[int]] = {}
            for topic, partition in partitions:
                topics.setdefault(topic, []).append(partition)
            entries = [
                part(name, "TopicPartition", topic=topic, partitions=numbers)
                for topic, numbers in topics.items()
            ]
            given = encode_consumer_protocol(make(name, assigned_partitions=entries))
            kind = "SyncGroupRequestAssignment"
            assignments.append(part("SyncGroupRequest", kind, member_id=member, assignment=given))
        return assignments

    def hear(self, request: Request, response: Any) -> None:
        self.waits = False
        code = response.error_code
        if code == ErrorCode.NONE:
            self._go_on(request, response)
        elif code == ErrorCode.MEMBER_ID_REQUIRED:
            self._id = response.member_id
        elif code == ErrorCode.REBALANCE_IN_PROGRESS:
            self._step = "JoinGroup"
        elif code == ErrorCode.FENCED_INSTANCE_ID:
            self.stopped, self.owned = True, set()
        else:
            assert code in (
                ErrorCode.UNKNOWN_MEMBER_ID,
                ErrorCode.ILLEGAL_GENERATION,
                ErrorCode.NOT_COORDINATOR,
                ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
                ErrorCode.GROUP_MAX_SIZE_REACHED,
            ), ErrorCode(code)
            if code != ErrorCode.NOT_COORDINATOR:
                self._id = ""
            self._step, self._generation, self.owned = "JoinGroup", -1, set()

    def _go_on(self, request: Request, response: Any) -> None:
        if request.name == "JoinGroup":
            self._id, self._generation = response.member_id, response.generation_id
            self._step = "SyncGroup"
            self._members = {}
            # One that is told to assign nothing does not see what it would have to do anew.
            self.watches_topics = bool(response.members) and not response.skip_assignment
            for member in response.members:
                said = decode_subscription(member.metadata)
                owned = {(e.topic, p) for e in said.owned_partitions for p in e.partitions}
                self._members[member.member_id] = (list(said.topics), owned)
        elif request.name == "SyncGroup":
            self._step = "Heartbeat"
            try:
                entries = decode_assignment(response.assignment).assigned_partitions
            except SchemaError:
                entries = []
            told = {(entry.topic, p) for entry in entries for p in entry.partitions}
            if self.owned - told:
                self._step = "JoinGroup"  # what it had to give up it has to say that it did
            self.owned = told
