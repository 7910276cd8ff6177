"""Groups as they are listed, described and deleted."""

from __future__ import annotations

from typing import Any

import pytest

from streamlog.coordinator import ErrorCode
from tests.coordinator.driver import World, code, commit_fields, topic_id
from tests.coordinator.stories import Classic, Consumers


def listed(world: World, **filters: Any) -> set[tuple[str, str, str, str]]:
    return {
        (group.group_id, group.protocol_type, group.group_state, group.group_type)
        for group in world.ask("ListGroups", **filters).groups
    }


def world_of_groups() -> World:
    world = World()
    Classic(world, "classic").stable(1)
    Classic(world, "joining").joined(1)
    Consumers(world, group_id="consumers").beat("a", 0)
    world.ask("OffsetCommit", **commit_fields({("orders", 0): 1}, group_id="offsets"))
    return world


CLASSIC = ("classic", "consumer", "Stable", "classic")
JOINING = ("joining", "consumer", "CompletingRebalance", "classic")
CONSUMERS = ("consumers", "consumer", "Stable", "consumer")
OFFSETS = ("offsets", "", "Empty", "classic")


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, {CLASSIC, JOINING, CONSUMERS, OFFSETS}),
        ({"states_filter": ["stable"]}, {CLASSIC, CONSUMERS}),
        ({"states_filter": ["Empty", "COMPLETINGREBALANCE"]}, {OFFSETS, JOINING}),
        ({"types_filter": ["Consumer"]}, {CONSUMERS}),
        ({"types_filter": ["Classic"], "states_filter": ["Stable"]}, {CLASSIC}),
        ({"states_filter": ["nonsense"]}, set()),
    ],
    ids=str,
)
def test_groups_are_listed_by_state_and_type(filters: dict[str, Any], wanted: set[Any]) -> None:
    assert listed(world_of_groups(), **filters) == wanted


def test_a_classic_group_is_described() -> None:
    world = World()
    (member,) = Classic(world).stable(1)
    (group,) = world.ask("DescribeGroups", groups=["g"]).groups
    assert (group.group_state, group.protocol_type, group.protocol_data) == (
        "Stable",
        "consumer",
        "range",
    )
    (told,) = group.members
    assert (told.member_id, told.client_id, told.client_host) == (member, "client", "/127.0.0.1")
    assert (told.member_assignment, told.member_metadata[:2]) == (member.encode(), b"\x00\x03")


def test_before_everybody_has_synced_less_is_told() -> None:
    world = World()
    Classic(world).joined(1)
    (group,) = world.ask("DescribeGroups", groups=["g"]).groups
    assert (group.group_state, group.protocol_data) == ("CompletingRebalance", "")
    assert group.members[0].member_metadata == b""


@pytest.mark.parametrize(("version", "error"), [(5, 0), (6, ErrorCode.GROUP_ID_NOT_FOUND)])
def test_a_group_that_is_not_there_is_dead(version: int, error: int) -> None:
    world = world_of_groups()
    asked = ["nobody", "consumers"]
    for group in world.ask("DescribeGroups", version=version, groups=asked).groups:
        assert (group.group_state, group.error_code) == ("Dead", error)


def test_a_consumer_group_is_described() -> None:
    group = Consumers(World({"orders": 2}))
    group.beat("a", 0, rack_id="r", server_assignor="range")
    group.beat("b", 0, instance_id="i")
    (told,) = group.world.ask("ConsumerGroupDescribe", group_ids=["g"]).groups
    assert (told.group_state, told.group_epoch, told.assignment_epoch) == ("Reconciling", 3, 3)
    first, second = told.members
    assert (first.member_id, first.rack_id, first.member_epoch) == ("a", "r", 2)
    assert (second.instance_id, second.member_type) == ("i", 1)
    (has,) = first.assignment.topic_partitions
    assert (has.topic_name, has.topic_id, has.partitions) == ("orders", topic_id("orders"), [0, 1])
    wanted = [
        partition
        for member in told.members
        for topic in member.target_assignment.topic_partitions
        for partition in topic.partitions
    ]
    assert sorted(wanted) == [0, 1]


def test_only_consumer_groups_are_described_as_such() -> None:
    world = world_of_groups()
    response = world.ask("ConsumerGroupDescribe", group_ids=["classic", "nobody", ""])
    not_found = ErrorCode.GROUP_ID_NOT_FOUND
    codes = [not_found, not_found, ErrorCode.INVALID_GROUP_ID]
    assert [code(group) for group in response.groups] == codes


def deleted(world: World, *group_ids: str) -> dict[str, ErrorCode]:
    response = world.ask("DeleteGroups", groups_names=list(group_ids))
    return {result.group_id: code(result) for result in response.results}


def test_groups_without_members_are_deleted() -> None:
    world = world_of_groups()
    for group_id in ("classic", "consumers"):
        world.ask("OffsetDelete", group_id=group_id)
    in_use = ErrorCode.NON_EMPTY_GROUP
    assert deleted(world, "classic", "joining", "consumers", "offsets", "nobody", "") == {
        "classic": in_use,
        "joining": in_use,
        "consumers": in_use,
        "offsets": ErrorCode.NONE,
        "nobody": ErrorCode.GROUP_ID_NOT_FOUND,
        "": ErrorCode.GROUP_ID_NOT_FOUND,  # a group as any other
    }
    assert listed(world) == {CLASSIC, JOINING, CONSUMERS}


def test_a_deleted_group_leaves_nothing_behind() -> None:
    world = World()
    group = Consumers(world, subscribed_topic_regex="or.*")
    group.beat("a", 0)
    group.commit("a", 2)
    group.ask("a", -1)
    assert deleted(world, "g") == {"g": ErrorCode.NONE}
    assert deleted(world, "g") == {"g": ErrorCode.GROUP_ID_NOT_FOUND}
    classic = Classic(world)
    (member,) = classic.stable(1)
    classic.commit(member, 1)
    classic.leave((member, None))
    assert deleted(world, "g") == {"g": ErrorCode.NONE}
    state = world.coordinator._state
    assert (list(state.groups), len(state.offsets), len(state.timers)) == ([], 0, 0)
    assert state.classic == {}
