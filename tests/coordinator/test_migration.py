"""Groups that go from one protocol to the other, with and without members in them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamlog.coordinator import ErrorCode
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.protocol.consumer_protocol import decode_assignment, encode_consumer_protocol
from tests.coordinator.driver import SETTINGS, World, code, make, part, protocols, subscription
from tests.coordinator.stories import Classic, Consumers

ALL = {"orders": [0, 1, 2, 3]}


def both(**settings: Any) -> tuple[Classic, Consumers]:
    world = World({"orders": 4}, msgspec.structs.replace(SETTINGS, **settings))
    return Classic(world), Consumers(world)


def assignment(partitions: list[int], user_data: bytes | None = None) -> bytes:
    name = "ConsumerProtocolAssignment"
    entry = part(name, "TopicPartition", topic="orders", partitions=partitions)
    return encode_consumer_protocol(make(name, assigned_partitions=[entry], user_data=user_data))


def has(response: Any) -> dict[str, list[int]]:
    entries = decode_assignment(response.assignment).assigned_partitions
    return {entry.topic: list(entry.partitions) for entry in entries}


def one_classic(classic: Classic, partitions: list[int], **fields: Any) -> str:
    """A stable group of one classic consumer with those partitions."""
    (member,) = classic.joined(1, **fields)
    token = classic.sync(member, 1, {member: assignment(partitions)})
    assert has(classic.answer(token)) == {"orders": partitions}
    return member


def is_consumer_group(classic: Classic) -> bool:
    return isinstance(classic.world.coordinator._state.groups.get("g"), ConsumerGroup)


def rejoin(classic: Classic, member: str, owned: list[int], **fields: Any) -> Any:
    said = protocols("range", metadata=subscription(["orders"], {"orders": owned}))
    return classic.answer(classic.join(member, protocols=said, **fields))


# --------------------------------------------------------------------------------- empty groups


def test_an_empty_group_is_either_protocols() -> None:
    classic, consumers = both()
    member = one_classic(classic, [0, 1, 2, 3])
    classic.leave((member, None))
    assert consumers.beat("a", 0) == (2, ALL)
    assert is_consumer_group(classic)
    consumers.ask("a", -1)
    one_classic(classic, [0, 1, 2, 3])
    assert not is_consumer_group(classic)


def test_offsets_stay() -> None:
    classic, consumers = both()
    member = one_classic(classic, [0, 1, 2, 3])
    classic.commit(member, 1)
    classic.leave((member, None))
    consumers.beat("a", 0)
    assert consumers.offsets() == {("orders", 0): 7}
    assert consumers.commit("a", 2, 1) == ErrorCode.NONE
    assert consumers.offsets() == {("orders", 0): 7, ("orders", 1): 7}


# ------------------------------------------------------------------------------------- upgrades


def upgraded() -> tuple[Classic, Consumers, str]:
    """A consumer came to a classic group, whose member has not heard of it yet."""
    classic, consumers = both()
    member = one_classic(classic, [0, 1, 2, 3])
    assert consumers.beat("a", 0) == (2, {})
    return classic, consumers, member


def test_a_consumer_makes_a_consumer_group_of_a_classic_one() -> None:
    classic, consumers, member = upgraded()
    assert is_consumer_group(classic)
    assert classic.world.coordinator._state.classic == {}
    group = consumers.world.consumer_group()
    assert {partition for _, partition in group.members[member].assigned} == {0, 1, 2, 3}
    assert classic.heartbeat(member) == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_classic_member_gives_up_what_the_consumer_is_to_have() -> None:
    classic, consumers, member = upgraded()
    joined = rejoin(classic, member, [0, 1, 2, 3])
    assert (joined.generation_id, joined.protocol_name) == (1, "range")
    synced = classic.answer(classic.sync(member, 1))
    kept = has(synced)["orders"]
    assert len(kept) == 2
    assert consumers.beat("a", 2, {})[1] is None, "it is not given up yet"
    joined = rejoin(classic, member, kept)
    assert joined.generation_id == 2
    _, given = consumers.beat("a", 2, {})
    assert given is not None
    assert sorted(given["orders"] + kept) == [0, 1, 2, 3]
    assert has(classic.answer(classic.sync(member, 2))) == {"orders": kept}
    assert classic.heartbeat(member, 2) == ErrorCode.NONE
    assert classic.commit(member, 2) == ErrorCode.NONE
    assert classic.commit(member, 1) == ErrorCode.ILLEGAL_GENERATION


def test_parked_members_are_told_to_rejoin() -> None:
    classic, consumers = both()
    member = one_classic(classic, [0, 1, 2, 3])
    classic.new_id()
    token = classic.join(member)
    consumers.beat("a", 0)
    assert code(classic.answer(token)) == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_classic_member_that_does_not_rejoin_is_fenced() -> None:
    classic, consumers, member = upgraded()
    for _ in range(7):
        classic.heartbeat(member)
        consumers.beat("a", 2)
        consumers.world.advance(9_000)
    assert classic.heartbeat(member) == ErrorCode.UNKNOWN_MEMBER_ID
    assert consumers.beat("a", 2, {})[1] == ALL


def test_a_classic_member_that_does_not_sync_is_fenced() -> None:
    classic, _, member = upgraded()
    rejoin(classic, member, [], session_timeout_ms=100_000, rebalance_timeout_ms=20_000)
    classic.world.advance(19_999)
    assert member in classic.world.consumer_group().members
    classic.world.advance(1)
    assert member not in classic.world.consumer_group().members


@pytest.mark.parametrize(
    ("policy", "up", "down"),
    [
        ("bidirectional", True, True),
        ("upgrade", True, False),
        ("downgrade", False, True),
        ("disabled", False, False),
    ],
)
def test_the_policy_says_which_way(policy: str, up: bool, down: bool) -> None:
    classic, consumers = both(group_consumer_migration_policy=policy)
    member = one_classic(classic, [0, 1, 2, 3])
    if not up:
        assert consumers.refused("a", 0) == ErrorCode.GROUP_ID_NOT_FOUND
        assert classic.heartbeat(member) == ErrorCode.NONE
        classic.leave((member, None))
        consumers.beat("a", 0)
        member = classic.new_id()
        rejoin(classic, member, [])
    else:
        consumers.beat("a", 0)
    consumers.ask("a", -1)
    assert is_consumer_group(classic) is not down


def test_only_consumers_can_be_upgraded() -> None:
    classic, consumers = both()
    connect = {"protocol_type": "connect", "protocols": protocols("range")}
    member = classic.new_id(**connect)
    classic.join(member, **connect)
    classic.world.settle()
    assert consumers.refused("a", 0) == ErrorCode.GROUP_ID_NOT_FOUND


@pytest.mark.parametrize(
    ("metadata", "given"),
    [
        (b"no subscription", b""),
        (subscription(["orders"]), b"\x00\x01no assignment"),
        (subscription(["orders"]), assignment([0], user_data=b"a custom assignor's")),
    ],
    ids=["subscription", "assignment", "assignor"],
)
def test_members_that_cannot_be_understood_stay_classic(metadata: bytes, given: bytes) -> None:
    classic, consumers = both()
    (member,) = classic.joined(1, protocols=protocols("range", metadata=metadata))
    classic.answer(classic.sync(member, 1, {member: given}))
    assert consumers.refused("a", 0) == ErrorCode.GROUP_ID_NOT_FOUND
    assert classic.heartbeat(member) == ErrorCode.NONE


def test_a_group_that_is_too_large_stays_classic() -> None:
    classic, consumers = both(group_consumer_max_size=1)
    classic.stable(2)
    assert consumers.refused("a", 0) == ErrorCode.GROUP_ID_NOT_FOUND


# ----------------------------------------------------------------------------------- downgrades


def test_the_last_consumer_leaves_a_classic_group_behind() -> None:
    classic, consumers, member = upgraded()
    consumers.ask("a", -1)
    assert not is_consumer_group(classic)
    assert classic.state == "PreparingRebalance"
    assert classic.heartbeat(member, 2) == ErrorCode.REBALANCE_IN_PROGRESS
    joined = classic.answer(classic.join(member))
    assert (joined.generation_id, joined.leader) == (3, member)


def test_a_consumer_that_is_fenced_leaves_one_behind_too() -> None:
    classic, _, member = upgraded()
    long = {"session_timeout_ms": 1_000_000, "rebalance_timeout_ms": 1_000_000}
    rejoin(classic, member, [], **long)
    classic.world.advance(45_000)
    assert not is_consumer_group(classic)
    assert classic.heartbeat(member, 2) == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_static_consumer_that_comes_back_as_a_classic_one() -> None:
    """Nobody else need notice: the group is classic at once, with the same assignment."""
    classic, consumers = both()
    consumers.beat("a", 0, instance_id="i")
    consumers.ask("a", -2, instance_id="i")
    joined = rejoin(classic, "", [], group_instance_id="i")
    assert code(joined) == ErrorCode.NONE
    assert not is_consumer_group(classic)
    assert classic.state == "Stable"
    synced = classic.answer(classic.sync(joined.member_id, joined.generation_id))
    assert has(synced) == ALL


def test_a_classic_static_member_that_comes_back_as_a_consumer() -> None:
    classic, consumers = both()
    token = classic.join("", group_instance_id="i")
    classic.world.settle()
    former = classic.answer(token).member_id
    classic.answer(classic.sync(former, 1, {former: assignment([0, 1, 2, 3])}))
    epoch, given = consumers.beat("a", 0, instance_id="i")
    assert given == ALL
    assert epoch >= 2
    fenced = classic.heartbeat(former, 1, group_instance_id="i")
    assert fenced == ErrorCode.FENCED_INSTANCE_ID


# ------------------------------------------------------------------ classic requests, new groups


def test_classic_members_of_a_consumer_group_are_refused_as_in_their_own() -> None:
    classic, _, member = upgraded()
    joined = rejoin(classic, member, [])
    generation = joined.generation_id
    assert classic.heartbeat(member, generation + 1) == ErrorCode.ILLEGAL_GENERATION
    assert classic.heartbeat("a", generation) == ErrorCode.UNKNOWN_MEMBER_ID
    for fields, expected in (
        ({"generation": 9}, ErrorCode.ILLEGAL_GENERATION),
        ({"protocol_name": "other"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
    ):
        given = {"generation": generation, **fields}
        assert code(classic.answer(classic.sync(member, **given))) == expected
    other = classic.answer(classic.join("", protocols=protocols("other")))
    assert code(other) == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    unclear = classic.answer(classic.join("n", protocols=protocols("range", metadata=b"?")))
    assert code(unclear) == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert classic.leave((member, None), ("x", None)) == [
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_MEMBER_ID,
    ]
