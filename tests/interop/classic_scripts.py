"""What clients of the classic protocol do to a group, in scripts for `group_players`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlog.coordinator import ErrorCode
from tests.coordinator.driver import commit_fields, join_fields, part, protocols, subscription
from tests.interop.group_players import Pending, Player

REBALANCING = ErrorCode.REBALANCE_IN_PROGRESS


class Classic:
    """A script's verbs, for one group. Sessions are long unless a script says otherwise."""

    def __init__(self, player: Player, group_id: str) -> None:
        self.player = player
        self.group_id = group_id
        self.instances: dict[str, str | None] = {}

    def joining(self, member: str = "", version: int | None = None, **fields: Any) -> Pending:
        given = {"session_timeout_ms": 30_000, "group_id": self.group_id, **fields}
        self.instances[member] = given.get("group_instance_id")
        return self.player.send("JoinGroup", version, **join_fields(member, **given))

    def join(self, member: str = "", version: int | None = None, **fields: Any) -> Any:
        response = self.player.wait(self.joining(member, version, **fields))
        self.instances[response.member_id] = fields.get("group_instance_id")
        return response

    def syncing(
        self,
        member: str,
        generation: int,
        assignment: Mapping[str, bytes] | None = None,
        version: int = 4,
        **fields: Any,
    ) -> Pending:
        assignments = [
            part("SyncGroupRequest", "SyncGroupRequestAssignment", member_id=m, assignment=given)
            for m, given in (assignment or {}).items()
        ]
        return self.player.send(
            "SyncGroup",
            version,
            **{
                "group_id": self.group_id,
                "member_id": member,
                "generation_id": generation,
                "assignments": assignments,
                **fields,
            },
        )

    def sync(self, *arguments: Any, **fields: Any) -> Any:
        return self.player.wait(self.syncing(*arguments, **fields))

    def heartbeat(self, member: str, generation: int, version: int = 4, **fields: Any) -> Any:
        given = {"group_id": self.group_id, "member_id": member, "generation_id": generation}
        return self.player.call("Heartbeat", version, **{**given, **fields})

    def until_told_to_rejoin(self, member: str, generation: int, **fields: Any) -> None:
        self.player.until(
            lambda: self.heartbeat(member, generation, **fields),
            lambda response: response.error_code == REBALANCING,
        )

    def leave(self, *members: tuple[str, str | None], **fields: Any) -> Any:
        name = "LeaveGroupRequest"
        identities = [
            part(name, "MemberIdentity", member_id=member, group_instance_id=instance)
            for member, instance in members
        ]
        given = {"group_id": self.group_id, "members": identities, **fields}
        return self.player.call("LeaveGroup", **given)

    def leave_alone(self, member: str, version: int) -> Any:
        """As versions up to 2 have it."""
        return self.player.call("LeaveGroup", version, group_id=self.group_id, member_id=member)

    def commit(self, member: str, generation: int, version: int = 8, **fields: Any) -> Any:
        given = commit_fields({("orders", 0): 3}, member, generation, **fields)
        return self.player.call("OffsetCommit", version, **{**given, "group_id": self.group_id})

    def describe(self, version: int | None = None) -> Any:
        return self.player.call("DescribeGroups", version, groups=[self.group_id])

    def delete_offsets(self, *topics: str) -> Any:
        name = "OffsetDeleteRequest"
        partition = part(name, "OffsetDeleteRequestPartition", partition_index=0)
        asked = [
            part(name, "OffsetDeleteRequestTopic", name=topic, partitions=[partition])
            for topic in topics
        ]
        return self.player.call("OffsetDelete", group_id=self.group_id, topics=asked)

    def delete_group(self) -> Any:
        return self.player.call("DeleteGroups", groups_names=[self.group_id, self.group_id])


def no_group(player: Player, group_id: str) -> None:
    """Everything there is, asked of a group that is not there, or has no name."""
    group = Classic(player, group_id)
    group.heartbeat("x", 1)
    group.sync("x", 1)
    group.sync("x", 1, version=5)
    group.join("x")
    group.leave(("x", None))
    group.leave_alone("x", 1)
    group.describe()
    group.describe(5)
    group.delete_offsets("orders")
    group.delete_group()
    group.commit("x", 1)
    group.commit("x", 1, version=9)
    group.join(session_timeout_ms=10)
    group.join(session_timeout_ms=10**8)
    group.join(group_id="")
    group.heartbeat("x", 1, group_id="")
    group.sync("x", 1, group_id="")
    group.leave(("x", None), group_id="")
    group.join(protocol_type="")
    group.join(protocols=[])


def one_member(player: Player, group_id: str) -> None:
    """A group's life, and what each request gets in each state."""
    group = Classic(player, group_id)
    member = group.join().member_id
    player.until(group.describe, lambda response: response.groups[0].group_state == "Empty")
    group.heartbeat(member, 0)
    group.commit(member, 0)
    group.join(member)
    # CompletingRebalance
    group.describe()
    group.heartbeat(member, 1)
    group.heartbeat(member, 2)
    group.heartbeat("x", 1)
    group.commit(member, 1)
    group.commit("", -1)
    group.sync(member, 3)
    group.sync(member, 1, version=5, protocol_type="connect", protocol_name="range")
    group.sync(member, 1, version=5, protocol_type="consumer", protocol_name="other")
    group.join(member)
    group.join(member, 7)
    group.delete_group()
    group.sync(member, 1, {member: b"x"})
    # Stable
    group.sync(member, 1, version=5, protocol_type="consumer", protocol_name="range")
    group.heartbeat(member, 1)
    group.describe()
    group.commit(member, 1)
    group.commit(member, 2)
    group.commit("x", 1)
    group.commit("", -1)
    group.commit(member, 1, metadata="m" * 5000)
    group.delete_offsets("orders", "other")
    group.delete_group()
    group.player.call("ConsumerGroupDescribe", group_ids=[group_id])
    group.join(protocol_type="connect")
    group.join(protocols=protocols("other"))
    # Empty
    group.leave_alone(member, 2)
    group.describe()
    group.heartbeat(member, 2)
    group.join(member)
    group.sync(member, 2)
    group.leave((member, None))
    group.commit(member, 2)
    group.commit(member, 2, version=9)
    group.commit("", -1)
    group.delete_group()
    group.describe()


def two_members(player: Player, group_id: str) -> None:
    """PreparingRebalance, parked requests, and members that come back as they were."""
    group = Classic(player, group_id)
    a = group.join(version=3).member_id
    group.sync(a, 1, {a: b"x"})
    b = group.join().member_id
    joining_b = group.joining(b)
    group.until_told_to_rejoin(a, 1)
    group.sync(a, 1)
    group.commit(a, 1)
    group.commit("", -1)
    group.describe()
    group.delete_group()
    player.wait(group.joining(a))
    player.wait(joining_b)
    syncing_b = group.syncing(b, 2)
    group.heartbeat(b, 2)
    group.sync(a, 2, {a: b"y"})
    player.wait(syncing_b)
    group.join(b)
    joining_a = group.joining(a)
    group.until_told_to_rejoin(b, 2)
    group.leave((b, None), ("x", None))
    player.wait(joining_a)


def static_members(player: Player, group_id: str) -> None:
    """Instances that are restarted in each state, fenced, and sent away by an administrator."""
    group = Classic(player, group_id)
    one, two = {"group_instance_id": "i1"}, {"group_instance_id": "i2"}
    first = group.join(**one).member_id
    group.sync(first, 1, {first: b"A"})
    group.join("x", **one)
    group.join(first, **two)
    group.join("x", group_instance_id="i9")
    group.heartbeat("x", 1, **one)
    group.heartbeat(first, 1, **two)
    group.heartbeat(first, 1, **one)
    # Stable: the leader is restarted, in a version that can skip the assignment and in one
    # that cannot.
    second = group.join(**one).member_id
    group.heartbeat(first, 1, **one)
    group.heartbeat(first, 1)
    group.sync(second, 1)
    group.describe()
    third = group.join(version=8, **one).member_id
    group.commit(second, 1, **one)
    group.commit(third, 1, **one)
    group.commit(third, 1, group_instance_id="i7")
    joining = group.joining(**two)
    group.until_told_to_rejoin(third, 1, **one)
    player.wait(group.joining(third, **one))
    player.wait(joining)
    # CompletingRebalance: a restart begins another rebalance, and fences who is parked.
    joining = group.joining(**two)
    group.until_told_to_rejoin(third, 2, **one)
    rejoining = group.joining(third, **one)
    follower = player.wait(joining).member_id
    player.wait(rejoining)
    syncing = group.syncing(follower, 3)
    group.heartbeat(follower, 3, **two)
    joining = group.joining(**two)
    player.wait(syncing)
    rejoining = group.joining(third, **one)
    follower = player.wait(joining).member_id
    player.wait(rejoining)
    group.sync(third, 4, {third: b"1", follower: b"2"})
    group.sync(follower, 4)
    # PreparingRebalance: the same for a JoinGroup.
    rejoining = group.joining(third, **one)
    group.until_told_to_rejoin(follower, 4, **two)
    joining = group.joining(**one)
    player.wait(rejoining)
    rejoining = group.joining(follower, **two)
    fourth = player.wait(joining).member_id
    player.wait(rejoining)
    group.sync(fourth, 5, {fourth: b"1", follower: b"2"})
    # Another subscription, the same protocol.
    more = protocols("range", "other", metadata=subscription(["other"]))
    follower = group.join(protocols=more, **two).member_id
    group.describe()
    group.leave(("x", "i1"), ("", "i9"), (follower, None), ("", "i1"))
    group.describe()


def old_versions(player: Player, group_id: str) -> None:
    """Clients that are not sent away for an id, and versions without rebalance timeouts."""
    for version in range(4):
        group = Classic(player, f"{group_id}{version}")
        member = group.join(version=version).member_id
        group.sync(member, 1, version=min(version, 2))
        group.heartbeat(member, 1, min(version, 2))
        group.commit(member, 1, 2 + version)
        asked = part("OffsetFetchRequest", "OffsetFetchRequestTopic", name="orders")
        asked.partition_indexes = [0, 9]
        player.call("OffsetFetch", 1 + version, group_id=group.group_id, topics=[asked])
        group.join("x", version)
        group.join(member, version, protocol_type="x")
        group.join(member, version, protocols=protocols("range", "a", metadata=b"m"))
        group.leave_alone("x", min(version, 2))
        group.leave_alone(member, min(version, 2))


def votes(player: Player, group_id: str) -> None:
    """A group of some other kind: who has which protocols, and who decides."""
    group = Classic(player, group_id)

    def likes(*names: str) -> dict[str, Any]:
        return {"protocol_type": "connect", "protocols": protocols(*names), "version": 3}

    a = group.join(**likes("a", "b")).member_id
    group.sync(a, 1, {a: b"A"})
    group.delete_offsets("orders")
    group.commit(a, 1)
    joining_b = group.joining(**likes("b", "a"))
    group.until_told_to_rejoin(a, 1)
    joining_c = group.joining(**likes("b", "c", "a"))
    player.until(group.describe, lambda response: len(response.groups[0].members) == 3)
    player.wait(group.joining(a, **likes("a", "b")))
    b, c = player.wait(joining_b).member_id, player.wait(joining_c).member_id
    group.join(**likes("c"))
    group.sync(a, 2, {a: b"A"})
    group.describe()
    group.leave((a, None), (c, None))
    group.join(b, **likes("b", "a"))


def timeouts(player: Player, group_id: str) -> None:
    """Sessions, the rebalance timeout, the time for syncing, members that never join."""
    group = Classic(player, group_id)
    short = {"session_timeout_ms": 400, "rebalance_timeout_ms": 900, "version": 3}
    long = {"session_timeout_ms": 30_000, "rebalance_timeout_ms": 900, "version": 3}
    a = group.join(**short).member_id
    group.sync(a, 1, {a: b"A"})
    # a is heard of no more, so that b's JoinGroup is answered; b does not sync.
    b = group.join(**long).member_id
    player.until(group.describe, lambda response: response.groups[0].group_state == "Empty")
    group.heartbeat(b, 2)
    c = group.join(**long).member_id
    group.sync(c, 4, {c: b"A"})
    # c has its session, but does not rejoin.
    d = group.join(**long).member_id
    group.heartbeat(c, 5)
    # Somebody who was given an id never comes: the next rebalance waits for them.
    group.join(**{**short, "version": 9})
    group.sync(d, 5)
    group.join(d, **long)


SCRIPTS = (no_group, one_member, two_members, static_members, old_versions, votes, timeouts)
