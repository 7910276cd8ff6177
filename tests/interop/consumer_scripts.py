"""What members of consumer groups do (KIP-848), and classic members among them, in scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlog.protocol.consumer_protocol import encode_consumer_protocol
from tests.coordinator.driver import (
    beat_fields,
    commit_fields,
    fetch_fields,
    make,
    part,
    protocols,
    subscription,
)
from tests.interop.classic_scripts import Classic
from tests.interop.group_players import Player

ALL = {"orders": [0, 1, 2, 3, 4, 5]}
LOW, HIGH = {"orders": [0, 1, 2]}, {"orders": [3, 4, 5]}
NONE: dict[str, list[int]] = {}


class Consumers:
    """A script's verbs, for one group. The first epoch is 2, as in Kafka since 4.3."""

    def __init__(self, player: Player, group_id: str) -> None:
        self.player = player
        self.group_id = group_id

    def beat(
        self, member: str, epoch: int, owned: Mapping[str, list[int]] | None = None, **fields: Any
    ) -> Any:
        given = beat_fields(member, epoch, None, **fields)
        if epoch == 0 and owned is None:
            owned = NONE
        if "topic_partitions" not in fields:
            given["topic_partitions"] = self._spelled(owned)
        given["group_id"] = fields.get("group_id", self.group_id)
        version = given.pop("version", None)
        return self.player.call("ConsumerGroupHeartbeat", version, **given)

    def _spelled(self, owned: Mapping[str, list[int]] | None) -> list[Any] | None:
        if owned is None:
            return None
        name = "ConsumerGroupHeartbeatRequest"
        ids = self.player.topic_ids
        return [
            part(name, "TopicPartitions", topic_id=ids[topic], partitions=partitions)
            for topic, partitions in owned.items()
        ]

    def commit(self, member: str, epoch: int, *partitions: int, version: int = 9) -> Any:
        offsets = {("orders", partition): 3 for partition in partitions or (0,)}
        given = commit_fields(offsets, member, epoch)
        return self.player.call("OffsetCommit", version, **{**given, "group_id": self.group_id})

    def fetch(self, member: str | None = None, epoch: int = -1) -> Any:
        asked = fetch_fields(
            {"orders": [0, 5]}, self.group_id, member_id=member, member_epoch=epoch
        )
        return self.player.call("OffsetFetch", 9, **asked)

    def describe(self) -> Any:
        return self.player.call("ConsumerGroupDescribe", group_ids=[self.group_id])


def invalid_requests(player: Player, group_id: str) -> None:
    group = Consumers(player, group_id)
    group.beat("", 0)
    group.beat("", 0, group_id="")
    group.beat("m", 0, group_id="")
    group.beat("m", 0, instance_id="")
    group.beat("m", 0, rack_id="")
    group.beat("m", 0, rebalance_timeout_ms=-1)
    group.beat("m", 0, {"orders": [1]})
    group.beat("m", 0, subscribed_topic_names=None)
    group.beat("m", 0, topic_partitions=None)
    group.beat("m", 0, server_assignor="other")
    group.beat("m", 0, subscribed_topic_names=None, subscribed_topic_regex="((")
    group.beat("m", 0, subscribed_topic_names=None, subscribed_topic_regex="a**")
    for epoch in (-3, -2, -1, 1):
        group.beat("m", epoch)
    group.beat("m", -2, instance_id="i")
    group.describe()


def two_members(player: Player, group_id: str) -> None:
    """Joining, and who may commit when."""
    group, classic = Consumers(player, group_id), Classic(player, group_id)
    group.beat("a", 0)
    group.describe()
    group.beat("a", 2)
    group.beat("a", 2, ALL)
    group.beat("a", 2, ALL, rebalance_timeout_ms=60_000, subscribed_topic_names=["orders"])
    group.beat("a", 3)
    group.beat("x", 2)
    for member, epoch in ((None, -1), ("a", 2), ("a", 3), ("x", 2), ("", -1)):
        group.fetch(member, epoch)
    for member, epoch in (("a", 2), ("a", 3), ("a", 0), ("x", 2), ("", -1), ("a", -1)):
        group.commit(member, epoch)
    group.commit("a", 2, version=8)
    group.beat("a", 2, rack_id="r1")
    group.beat("a", 2, server_assignor="range")
    group.describe()
    classic.describe()
    classic.delete_group()
    classic.delete_offsets("orders", "other")


def handing_over(player: Player, group_id: str) -> None:
    """Revoking before assigning, lost responses, leaving."""
    group, classic = Consumers(player, group_id), Classic(player, group_id)
    group.beat("a", 0)
    group.beat("b", 0)
    group.beat("a", 2)
    group.describe()
    group.commit("a", 2, 0, 5)
    group.beat("b", 3, NONE)
    group.beat("a", 2, ALL)
    group.beat("a", 2, LOW)
    group.describe()
    group.commit("a", 3)
    group.beat("b", 3, NONE)
    group.beat("b", 3)
    group.commit("b", 3, 5)
    # The response that told a of epoch 3 was lost; once more, with what it cannot have.
    group.beat("a", 2, LOW)
    group.beat("a", 2, {"orders": [0, 1, 2, 3]})
    group.beat("a", 2)
    group.beat("a", 3, LOW)
    group.beat("a", 3, subscribed_topic_names=["orders", "other"])
    group.beat("a", 3, LOW)
    group.describe()
    group.beat("b", 3, HIGH)
    group.describe()
    group.beat("a", 0, subscribed_topic_names=["orders"])
    group.describe()
    group.beat("a", -1)
    group.describe()
    group.beat("a", -1)
    group.beat("b", 4)
    group.beat("b", 3, HIGH)
    group.describe()
    group.beat("b", -1)
    group.describe()
    group.commit("", -1)
    group.commit("b", 4)
    group.beat("c", 0, subscribed_topic_names=[])
    group.describe()
    group.beat("c", -1)
    classic.delete_group()
    group.describe()
    group.fetch()
    group.commit("b", 4)
    group.commit("b", 4, version=8)
    group.commit("", -1)
    group.describe()
    classic.describe()


def static_members(player: Player, group_id: str) -> None:
    """Instances that leave for a while and come back as another member."""
    group = Consumers(player, group_id)
    one = {"instance_id": "i1"}
    group.beat("a", 0, **one)
    group.beat("b", 0, **one)
    group.beat("a", 0, **one)
    group.beat("b", 2, **one)
    group.beat("a", 2, instance_id="i9")
    group.beat("a", 2)
    group.beat("a", -2, instance_id="i2")
    group.beat("b", -2, **one)
    group.beat("a", -2, **one)
    group.describe()
    group.beat("a", 2, **one)
    group.beat("a", -2, **one)
    group.commit("a", 2)
    group.beat("b", 0, **one)
    group.describe()
    group.beat("a", 2, **one)
    group.beat("b", 2, NONE, **one)
    group.beat("b", 2, ALL, **one)
    group.beat("b", -2, **one)
    group.beat("b", 0, **one)
    group.beat("c", 0)
    group.beat("b", -2, **one)
    group.beat("c", 3, NONE)
    group.describe()
    group.beat("d", 0, subscribed_topic_names=["other"], **one)
    group.describe()
    group.beat("d", -1, **one)
    group.describe()


def assignors(player: Player, group_id: str) -> None:
    group = Consumers(player, group_id)
    both = {"subscribed_topic_names": ["orders", "other"], "server_assignor": "range"}
    group.beat("a", 0, **both)
    group.beat("b", 0, **both)
    group.beat("c", 0)
    group.describe()
    group.beat("a", 2, {**ALL, "other": [0, 1]})
    group.describe()
    group.beat("a", 2, NONE)
    group.describe()
    group.beat("b", 3, NONE)
    group.beat("c", 4, NONE)
    group.describe()
    group.beat("d", 0, subscribed_topic_names=["orders", "nowhere"], server_assignor="uniform")
    group.describe()
    group.beat("c", 4, server_assignor="uniform")
    group.describe()


def patterns(player: Player, group_id: str) -> None:
    """A broker resolves a pattern a little later: what counts is where it gets to."""
    group = Consumers(player, group_id)
    fields = {"subscribed_topic_names": None, "subscribed_topic_regex": "ord.*|oth[^x]r"}
    player.until(
        lambda: group.beat("a", 0, **fields),
        lambda response: bool(response.assignment and response.assignment.topic_partitions),
    )


def classic_members(player: Player, group_id: str) -> None:
    """Members of the classic protocol in a consumer group, until only they are left."""
    player.counts_only = True
    group, classic = Consumers(player, group_id), Classic(player, group_id)
    group.beat("a", 0)
    classic.join(protocol_type="connect")
    classic.join(protocols=[])
    classic.join(session_timeout_ms=1)
    b = classic.join().member_id
    classic.heartbeat(b, 2)
    classic.heartbeat("a", 2)
    classic.sync(b, 2)
    classic.join(b)
    group.describe()
    classic.sync(b, 3)
    classic.sync(b, 2)
    classic.sync(b, 3, version=5, protocol_type="consumer", protocol_name="other")
    classic.sync(b, 3, version=5, protocol_type="consumer", protocol_name="range")
    classic.heartbeat(b, 3)
    classic.heartbeat(b, 2)
    group.beat("a", 2)
    group.beat("a", 2, LOW)
    classic.heartbeat(b, 3)
    classic.join(b)
    classic.sync(b, 3)
    group.describe()
    group.commit(b, 3, version=8)
    group.commit(b, 2, version=8)
    group.commit(b, 2)
    group.fetch(b, 2)
    group.fetch(b, 3)
    classic.join("x")
    classic.leave(("x", None), ("y", None), ("", "i1"))
    classic.join(group_instance_id="i1")
    classic.join(protocols=protocols("other", metadata=subscription(["orders"])))
    group.describe()
    classic.heartbeat(b, 3)
    classic.sync(b, 3)
    has_all = subscription(["orders"], HIGH)
    classic.join(b, protocols=protocols("range", metadata=has_all))
    group.describe()
    has_nothing = subscription(["orders"], {"orders": []})
    classic.join(b, protocols=protocols("range", metadata=has_nothing))
    group.describe()
    group.beat("a", -1)
    group.describe()
    classic.describe()
    classic.heartbeat(b, 3)


def migration(player: Player, group_id: str) -> None:
    """A classic group becomes a consumer group, a classic group again, and is emptied between."""
    player.counts_only = True
    group, classic = Consumers(player, group_id), Classic(player, group_id)
    everything = encode_consumer_protocol(
        make(
            "ConsumerProtocolAssignment",
            assigned_partitions=[
                part(
                    "ConsumerProtocolAssignment",
                    "TopicPartition",
                    topic="orders",
                    partitions=ALL["orders"],
                )
            ],
        ),
        1,
    )
    a = classic.join(version=3).member_id
    classic.sync(a, 1, {a: everything})
    group.beat("x", 1)
    group.beat("x", -1)
    group.beat("x", 0)
    group.describe()
    classic.heartbeat(a, 1)
    classic.join(a, 3)
    group.describe()
    classic.sync(a, 1)
    has_low = protocols("range", metadata=subscription(["orders"], LOW))
    classic.join(a, 3, protocols=has_low)
    classic.sync(a, 2)
    group.describe()
    group.beat("x", 2, NONE)
    group.beat("x", -1)
    classic.describe()
    group.describe()
    classic.heartbeat(a, 3)
    classic.join(a, 3)
    classic.sync(a, 4, {a: everything})
    classic.leave((a, None))
    classic.describe()
    group.beat("x", 0)
    group.describe()
    group.beat("x", -1)
    classic.join(version=3)
    classic.describe()
    joining = classic.joining(version=3)
    player.until(classic.describe, lambda response: len(response.groups[0].members) == 2)
    group.beat("y", 0)
    player.wait(joining)
    group.describe()


def no_migration(player: Player, group_id: str) -> None:
    """Members that are no consumers stay as they are."""
    classic = Classic(player, group_id)
    a = classic.join(version=3, protocol_type="connect").member_id
    classic.sync(a, 1, {a: b"A"})
    Consumers(player, group_id).beat("x", 0)


def static_migration(player: Player, group_id: str) -> None:
    """An instance comes back with the other protocol."""
    group, classic = Consumers(player, group_id), Classic(player, group_id)
    group.beat("a", 0, instance_id="i1")
    classic.join(group_instance_id="i2")
    group.describe()
    classic.join(group_instance_id="i1")
    classic.describe()
    group.describe()


SCRIPTS = (
    invalid_requests,
    two_members,
    handing_over,
    static_members,
    assignors,
    patterns,
    classic_members,
    migration,
    no_migration,
    static_migration,
)
