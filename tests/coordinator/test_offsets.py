"""Committed offsets: who may commit and read them, what is kept, and when it is forgotten."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamlog.coordinator import (
    ErrorCode,
    ExpireOffsets,
    GroupSettings,
    Topic,
    TopicsDeleted,
    TopicsImage,
    records,
)
from streamlog.protocol import Uuid
from tests.coordinator.driver import (
    SETTINGS,
    World,
    code,
    commit_codes,
    commit_fields,
    fetch_fields,
    fetched,
    make,
    part,
    protocols,
    subscription,
    topic_id,
)
from tests.coordinator.stories import Classic, Consumers

DAY = 86_400_000


def keeping(retention_ms: int | None) -> World:
    settings: GroupSettings = msgspec.structs.replace(SETTINGS, offsets_retention_ms=retention_ms)
    return World({"orders": 6, "other": 2}, settings)


def commit(world: World, **fields: Any) -> ErrorCode:
    given = {**commit_fields({("orders", 0): 7}), **fields}
    return commit_codes(world.ask("OffsetCommit", **given))["orders", 0]


def offsets(world: World, **fields: Any) -> dict[tuple[str, int], int]:
    return fetched(world.ask("OffsetFetch", **fetch_fields(None, **fields)))


def delete(world: World, *topics: str) -> tuple[ErrorCode, dict[str, ErrorCode]]:
    name = "OffsetDeleteRequest"
    partition = part(name, "OffsetDeleteRequestPartition", partition_index=0)
    asked = [
        part(name, "OffsetDeleteRequestTopic", name=topic, partitions=[partition])
        for topic in topics
    ]
    response = world.ask("OffsetDelete", group_id="g", topics=asked)
    return code(response), {topic.name: code(topic.partitions[0]) for topic in response.topics}


# ---------------------------------------------------------------------------------- what is kept


def test_metadata_and_leader_epoch_are_kept() -> None:
    world = World()
    name = "OffsetCommitRequest"
    partition = part(
        name,
        "OffsetCommitRequestPartition",
        partition_index=2,
        committed_offset=9,
        committed_leader_epoch=4,
        committed_metadata="mine",
    )
    topics = [part(name, "OffsetCommitRequestTopic", name="orders", partitions=[partition])]
    world.ask("OffsetCommit", group_id="g", topics=topics)
    response = world.ask("OffsetFetch", **fetch_fields({"orders": [2, 1]}))
    (told, nothing) = response.groups[0].topics[0].partitions
    assert (told.committed_offset, told.committed_leader_epoch, told.metadata) == (9, 4, "mine")
    assert (nothing.committed_offset, nothing.committed_leader_epoch) == (-1, -1)
    assert (nothing.metadata, code(nothing)) == ("", ErrorCode.NONE)


def test_metadata_has_a_limit() -> None:
    world = World()
    assert (
        commit(world, **commit_fields({("orders", 0): 1}, metadata="x" * 4_096)) == ErrorCode.NONE
    )
    answer = commit(world, **commit_fields({("orders", 0): 2}, metadata="x" * 4_097))
    assert answer == ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert offsets(world) == {("orders", 0): 1}


def test_the_last_commit_counts() -> None:
    world = World()
    for offset in (5, 3):
        commit(world, **commit_fields({("orders", 0): offset, ("other", 1): offset}))
    assert offsets(world) == {("orders", 0): 3, ("other", 1): 3}


def test_a_group_that_nobody_knows_has_committed_nothing() -> None:
    world = World()
    assert offsets(world) == {}
    response = world.ask("OffsetFetch", **fetch_fields({"orders": [0]}))
    assert fetched(response) == {("orders", 0): -1}
    for version in (1, 7):
        fields = {"group_id": "g", "topics": None if version == 7 else [], "version": version}
        assert world.ask("OffsetFetch", **fields).topics == []


def test_an_old_fetch_is_for_one_group() -> None:
    world = World()
    commit(world)
    name = "OffsetFetchRequest"
    topic = part(name, "OffsetFetchRequestTopic", name="orders", partition_indexes=[0])
    response = world.ask("OffsetFetch", version=5, group_id="g", topics=[topic])
    assert response.topics[0].partitions[0].committed_offset == 7


def test_an_offset_belongs_to_its_topic_not_to_its_name() -> None:
    world = World()
    commit(world)
    again = Topic("orders", Uuid(b"another topic id"), 3)
    world.coordinator.take_image(TopicsImage([again]))
    assert offsets(world) == {("orders", 0): -1}
    commit(world)
    assert offsets(world) == {("orders", 0): 7}


def test_a_topic_may_be_named_by_its_id() -> None:
    world = World()
    name = "OffsetCommitRequest"
    partition = part(name, "OffsetCommitRequestPartition", partition_index=0, committed_offset=3)
    topic = part(
        name,
        "OffsetCommitRequestTopic",
        name="orders",
        topic_id=topic_id("orders"),
        partitions=[partition],
    )
    response = world.ask("OffsetCommit", version=10, group_id="g", topics=[topic])
    assert response.topics[0].topic_id == topic_id("orders")
    response = world.ask("OffsetFetch", version=10, **fetch_fields(None))
    assert response.groups[0].topics[0].topic_id == topic_id("orders")


@pytest.mark.parametrize(
    ("retention_ms", "version"), [(-1, 4), (1_000, 1)], ids=["without", "with a time"]
)
def test_records_are_in_the_version_that_says_everything(retention_ms: int, version: int) -> None:
    world = World()
    fields = commit_fields({("orders", 0): 7}, retention_time_ms=retention_ms)
    world.ask("OffsetCommit", version=4, **fields)
    encoded = world.coordinator._state.offsets.get("g", "orders", 0)
    assert encoded is not None
    assert int.from_bytes(encoded.encoded[:2], "big") == version
    assert encoded.value.expire_timestamp == (
        -1 if retention_ms == -1 else encoded.value.commit_timestamp + retention_ms
    )


# --------------------------------------------------------------------------------- who may commit


def test_nobody_in_particular_commits_where_nobody_is() -> None:
    classic = Classic()
    assert classic.commit() == ErrorCode.NONE
    (member,) = classic.stable(1)
    assert classic.commit() == ErrorCode.UNKNOWN_MEMBER_ID
    classic.leave((member, None))
    assert classic.commit() == ErrorCode.NONE


@pytest.mark.parametrize(
    ("version", "error"),
    [(8, ErrorCode.ILLEGAL_GENERATION), (9, ErrorCode.GROUP_ID_NOT_FOUND)],
)
def test_a_generation_of_no_group(version: int, error: ErrorCode) -> None:
    assert commit(World(), version=version, generation_id_or_member_epoch=1) == error


def test_a_generation_of_a_group_that_only_holds_offsets() -> None:
    world = World()
    commit(world)
    assert commit(world, generation_id_or_member_epoch=1) == ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize(
    ("member", "generation", "error"),
    [
        ("?", 1, ErrorCode.UNKNOWN_MEMBER_ID),
        (None, 2, ErrorCode.ILLEGAL_GENERATION),
        (None, 0, ErrorCode.ILLEGAL_GENERATION),
        (None, 1, ErrorCode.NONE),
    ],
)
def test_members_of_a_classic_group(member: str, generation: int, error: ErrorCode) -> None:
    classic = Classic()
    (known,) = classic.stable(1)
    assert classic.commit(member or known, generation) == error


def test_a_member_commits_what_it_has_had_since_its_epoch() -> None:
    """KIP-1251: one that has not heard of its newest epoch is still the owner."""
    group = Consumers(World({"orders": 6}))
    group.beat("a", 0)
    group.beat("b", 0)
    group.beat("a", 2, {"orders": [0, 1, 2, 3, 4, 5]})
    group.beat("a", 2, {"orders": [0, 1, 2]})
    group.beat("b", 3, {})
    stale = ErrorCode.STALE_MEMBER_EPOCH
    assert [group.commit("a", 2, p) for p in (0, 5)] == [ErrorCode.NONE, stale]
    assert [group.commit("b", 3, p) for p in (0, 5)] == [ErrorCode.NONE] * 2
    assert group.commit("b", 2, 5) == stale
    assert group.commit("a", 4) == stale
    assert group.commit("x", 3) == ErrorCode.UNKNOWN_MEMBER_ID
    assert group.commit("", -1) == ErrorCode.UNKNOWN_MEMBER_ID
    assert group.commit("a", 3, version=8) == ErrorCode.UNSUPPORTED_VERSION


def test_a_fenced_member_commits_nothing() -> None:
    group = Consumers(World({"orders": 6}))
    group.beat("a", 0)
    group.world.advance(45_000)
    assert group.commit("a", 2) == ErrorCode.UNKNOWN_MEMBER_ID
    assert group.commit("", -1) == ErrorCode.NONE, "the group is empty"


def test_a_member_reads_in_its_epoch() -> None:
    group = Consumers(World({"orders": 6}))
    group.beat("a", 0)
    for member, epoch, expected in (
        ("a", 2, ErrorCode.NONE),
        (None, -1, ErrorCode.NONE),
        ("a", 3, ErrorCode.STALE_MEMBER_EPOCH),
        ("a", 1, ErrorCode.STALE_MEMBER_EPOCH),
        ("x", 2, ErrorCode.UNKNOWN_MEMBER_ID),
    ):
        fields = fetch_fields({"orders": [0]}, member_id=member, member_epoch=epoch)
        assert code(group.world.ask("OffsetFetch", **fields).groups[0]) == expected


# --------------------------------------------------------------------------------------- deletion


def test_offsets_of_a_topic_that_is_read_are_not_deleted() -> None:
    group = Consumers(World({"orders": 1, "other": 1}))
    group.beat("a", 0)
    assert delete(group.world, "orders", "other") == (
        ErrorCode.NONE,
        {"orders": ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, "other": ErrorCode.NONE},
    )


def test_classic_consumers_keep_what_they_read() -> None:
    classic = Classic()
    (member,) = classic.stable(1)
    classic.commit(member, 1)
    assert delete(classic.world, "orders")[1] == {"orders": ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC}
    classic.leave((member, None))
    assert delete(classic.world, "orders")[1] == {"orders": ErrorCode.NONE}
    assert offsets(classic.world) == {}


def test_others_than_consumers_keep_everything_while_they_are_there() -> None:
    classic = Classic()
    connect = {"protocol_type": "connect", "protocols": protocols("range")}
    classic.join("", version=3, **connect)
    classic.world.settle()
    assert delete(classic.world, "orders")[0] == ErrorCode.NON_EMPTY_GROUP


def test_nothing_is_deleted_of_a_group_that_is_not_there() -> None:
    assert delete(World(), "orders")[0] == ErrorCode.GROUP_ID_NOT_FOUND


def test_offsets_go_with_their_topic() -> None:
    world = World()
    for group_id in ("g", "h"):
        fields = commit_fields({("orders", 0): 1, ("orders", 1): 1, ("other", 0): 1})
        world.ask("OffsetCommit", **{**fields, "group_id": group_id})
    result = world.tell(TopicsDeleted(frozenset({"orders"}), limit=3))
    assert (len(result.records), result.more) == (3, True)
    result = world.tell(TopicsDeleted(frozenset({"orders"}), limit=3))
    assert (len(result.records), result.more) == (1, False)
    assert offsets(world) == offsets(world, group_id="h") == {("other", 0): 1}


# ----------------------------------------------------------------------------------------- expiry


def test_nothing_expires_unless_that_was_asked_for() -> None:
    world = keeping(None)
    commit(world)
    world.advance(1_000 * DAY)
    assert world.tell(ExpireOffsets()).records == []


def test_offsets_of_nobody_expire_after_their_commit() -> None:
    world = keeping(DAY)
    commit(world)
    world.advance(DAY - 1)
    assert world.tell(ExpireOffsets()).records == []
    world.advance(1)
    world.tell(ExpireOffsets())
    assert offsets(world) == {}
    assert world.ask("ListGroups").groups == []


def test_an_empty_groups_offsets_age_from_when_it_became_empty() -> None:
    classic = Classic(keeping(DAY))
    (member,) = classic.stable(1)
    classic.commit(member, 1)
    classic.world.advance(9_000)
    classic.leave((member, None))
    classic.world.advance(DAY - 1)
    assert classic.world.tell(ExpireOffsets()).records == []
    classic.world.advance(1)
    classic.world.tell(ExpireOffsets())
    assert classic.world.ask("ListGroups").groups == [], "the group went with its last offset"


def test_what_is_read_never_expires() -> None:
    world = keeping(1_000)
    group = Consumers(world)
    group.beat("a", 0)
    fields = commit_fields({("orders", 0): 1, ("other", 0): 1}, "a", 2)
    world.ask("OffsetCommit", **fields)
    world.advance(2_000)
    world.tell(ExpireOffsets())
    assert offsets(world) == {("orders", 0): 1}


def test_what_classic_consumers_read_never_expires() -> None:
    classic = Classic(keeping(1_000))
    said = protocols("range", metadata=subscription(["orders"]))
    (member,) = classic.stable(1, protocols=said)
    fields = commit_fields({("orders", 0): 1, ("other", 0): 1}, member, 1)
    classic.world.ask("OffsetCommit", **fields)
    classic.world.advance(2_000)
    classic.world.tell(ExpireOffsets())
    assert offsets(classic.world) == {("orders", 0): 1}


def test_a_commit_with_its_own_time_goes_by_that() -> None:
    world = keeping(DAY)
    commit(world, version=4, retention_time_ms=5_000)
    world.advance(4_999)
    assert world.tell(ExpireOffsets()).records == []
    world.advance(1)
    assert len(world.tell(ExpireOffsets()).records) == 1


def test_expiry_takes_no_more_than_its_limit_at_once() -> None:
    world = keeping(1_000)
    world.ask("OffsetCommit", **commit_fields({("orders", p): 1 for p in range(5)}))
    world.advance(1_000)
    taken = []
    while True:
        result = world.tell(ExpireOffsets(limit=2))
        taken.append(len(result.records))
        if not result.more:
            break
    assert taken == [2, 2, 1]


# ------------------------------------------------------------------------------------ transactions


def transactional(world: World, producer_id: int, offset: int, log_offset: int) -> None:
    """A commit in a producer's transaction; -1: in none."""
    value = make("OffsetCommitValue", offset=offset, metadata="")
    key_and_value = records.offset_commit("g", "orders", 0, value).encode()
    world.coordinator._state.offsets.replay(*key_and_value, log_offset, producer_id)


def test_an_offset_in_an_open_transaction_is_not_there_yet() -> None:
    world = World(check_restarts=False)
    transactional(world, 9, 5, 0)
    assert offsets(world) == {}
    response = world.ask("OffsetFetch", **fetch_fields({"orders": [0]}, require_stable=True))
    unstable = response.groups[0].topics[0].partitions[0]
    assert (code(unstable), unstable.committed_offset) == (ErrorCode.UNSTABLE_OFFSET_COMMIT, -1)
    world.coordinator._state.offsets.replay_marker(9, committed=True)
    assert offsets(world, require_stable=True) == {("orders", 0): 5}


def test_an_aborted_transaction_has_committed_nothing() -> None:
    world = World(check_restarts=False)
    transactional(world, 9, 5, 0)
    world.coordinator._state.offsets.replay_marker(9, committed=False)
    assert offsets(world, require_stable=True) == {}


def test_of_a_transaction_and_a_later_commit_the_later_one_counts() -> None:
    world = World(check_restarts=False)
    transactional(world, 9, 5, log_offset=0)
    transactional(world, -1, 6, log_offset=1)
    world.coordinator._state.offsets.replay_marker(9, committed=True)
    assert offsets(world) == {("orders", 0): 6}


def test_a_group_with_an_open_transaction_does_not_expire() -> None:
    world = keeping(1_000)
    world.check_restarts = False
    commit(world)
    transactional(world, 9, 5, log_offset=1)
    world.advance(2_000)
    assert world.tell(ExpireOffsets()).records == []
