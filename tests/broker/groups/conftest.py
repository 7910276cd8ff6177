"""Groups of a directory, asked for in a few verbs, by one engine or by several on one directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from streamlog.broker.engine import Engine
from streamlog.protocol import Uuid, message
from streamlog.storage.filesystem import Filesystem
from streamlog.testing.clock import ManualClock
from tests.broker.conftest import OpenEngine

BEAT, COMMIT, FETCH, JOIN, SYNC = 1, 9, 9, 9, 5
NETWORK = "/127.0.0.1"


def make(name: str, /, **fields: Any) -> Any:
    return message(name).Value(**fields)


def part(name: str, struct: str, /, **fields: Any) -> Any:
    return message(name).structs[struct](**fields)


class Player:
    """An engine, and what is asked of its groups."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def groups(self) -> Any:
        return self.engine.groups

    # ------------------------------------------------------------------ members in the process

    def beat(
        self,
        member: str,
        epoch: int,
        owned: Mapping[str, list[int]] | None = None,
        group: str = "g",
        **fields: Any,
    ) -> Any:
        """A heartbeat; one with epoch 0 says everything. An error fails the test."""
        return self.groups.ask(self.beat_request(member, epoch, owned, group, **fields), BEAT)

    def beat_request(
        self,
        member: str,
        epoch: int,
        owned: Mapping[str, list[int]] | None = None,
        group: str = "g",
        **fields: Any,
    ) -> Any:
        if epoch == 0:
            told = {"rebalance_timeout_ms": 60_000, "subscribed_topic_names": ["orders"]}
            fields, owned = {**told, **fields}, {} if owned is None else owned
        partitions = None
        if owned is not None:
            kind = "TopicPartitions"
            partitions = [
                part("ConsumerGroupHeartbeatRequest", kind, topic_id=self.id(t), partitions=p)
                for t, p in owned.items()
            ]
        return make(
            "ConsumerGroupHeartbeatRequest",
            group_id=group,
            member_id=member,
            member_epoch=epoch,
            topic_partitions=partitions,
            **fields,
        )

    def join(self, member: Uuid, group: str = "g", **fields: Any) -> Any:
        """Join as a member with a slot does."""
        self.slot = self.groups.new_member(member)
        return self.beat(str(member), 0, group=group, **fields)

    def id(self, topic: str) -> Uuid:
        return Uuid.parse(self.engine.topic(topic).topic_id)

    def assigned(self, response: Any) -> dict[str, list[int]] | None:
        if response.assignment is None:
            return None
        names = {self.id(name): name for name in self.engine.topics()}
        return {
            names[entry.topic_id]: entry.partitions
            for entry in response.assignment.topic_partitions
        }

    # ------------------------------------------------------------------ offsets

    def commit(
        self,
        offsets: Mapping[tuple[str, int], int],
        member: str = "",
        epoch: int = -1,
        group: str = "g",
        acks: int = 1,
    ) -> set[int]:
        """The error codes of a commit."""
        name = "OffsetCommitRequest"
        request = make(
            name,
            group_id=group,
            member_id=member,
            generation_id_or_member_epoch=epoch,
            topics=[
                part(
                    name,
                    "OffsetCommitRequestTopic",
                    name=topic,
                    partitions=[
                        part(
                            name,
                            "OffsetCommitRequestPartition",
                            partition_index=partition,
                            committed_offset=offset,
                        )
                    ],
                )
                for (topic, partition), offset in offsets.items()
            ],
        )
        response = self.groups.ask(request, COMMIT, acks=acks)
        return {each.error_code for topic in response.topics for each in topic.partitions}

    def committed(self, *groups: str) -> dict[str, dict[tuple[str, int], int]]:
        """Everything that is committed, by group."""
        kind = "OffsetFetchRequestGroup"
        asked = [part("OffsetFetchRequest", kind, group_id=g, topics=None) for g in groups or "g"]
        response = self.groups.ask(make("OffsetFetchRequest", groups=asked), FETCH)
        return {
            group.group_id: {
                (topic.name, each.partition_index): each.committed_offset
                for topic in group.topics
                for each in topic.partitions
            }
            for group in response.groups
        }

    def listed(self) -> list[str]:
        request = make("ListGroupsRequest", states_filter=[], types_filter=[])
        return [group.group_id for group in self.groups.ask(request, 5).groups]

    # ------------------------------------------------------------------ the network

    def send(self, request: Any, version: int, acks: int = -1) -> list[Any]:
        """What a client in the network is answered, as it comes."""
        answers: list[Any] = []
        self.groups.submit(
            request, version, answers.append, client_id="c", client_host=NETWORK, acks=acks
        )
        return answers

    def send_join(self, member: str = "", group: str = "g") -> list[Any]:
        name = "JoinGroupRequest"
        protocol = part(name, "JoinGroupRequestProtocol", name="range", metadata=b"m")
        request = make(
            name,
            group_id=group,
            session_timeout_ms=10_000,
            rebalance_timeout_ms=60_000,
            member_id=member,
            protocol_type="consumer",
            protocols=[protocol],
        )
        return self.send(request, JOIN)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def player(open_engine: OpenEngine, clock: ManualClock) -> Player:
    """The first engine on the directory, with a topic "orders" of four partitions."""
    engine = open_engine(clock=clock)
    engine.create_topic("orders", 4)
    return Player(engine)


@pytest.fixture
def other(player: Player, path: str, clock: ManualClock) -> Iterator[Player]:
    """Another engine on it, with locks of its own, as another process would have one."""
    engine = Engine.open(path, filesystem=Filesystem(), clock=clock)
    yield Player(engine)
    engine.close()
