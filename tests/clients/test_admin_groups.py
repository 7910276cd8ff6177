"""Groups as an administrator sees and changes them."""

from __future__ import annotations

from typing import Any

import pytest

from streamlog import OffsetReset, TopicPartition
from streamlog.coordinator import ErrorCode
from streamlog.errors import (
    ConfigError,
    GroupError,
    GroupNotEmptyError,
    ReadOnlyError,
    UnknownGroupError,
    UnknownTopicError,
)
from streamlog.protocol import message
from streamlog.protocol.consumer_protocol import encode_consumer_protocol
from tests.clients.conftest import NOON_MS, Story
from tests.clients.members import BY_HAND, FLIGHTS, ORDERS_0, ORDERS_1


def commit(story: Story, offsets: dict[TopicPartition, int], group_id: str = "billing") -> None:
    """What a consumer of a group without members leaves behind."""
    consumer = story.log.consumer(group_id=group_id, enable_auto_commit=False)
    consumer.commit(offsets)
    consumer.close()


def test_groups_are_listed_and_described(story: Story) -> None:
    assert story.log.admin.list_groups() == []
    story.write("orders", 0, b"a", b"b", b"c")
    commit(story, {FLIGHTS: 0}, "shipping")
    consumer = story.log.consumer("orders", **BY_HAND, client_id="me")
    consumer.commit({ORDERS_0: 1})
    assert [each[:4] for each in story.log.admin.list_groups()] == [
        ("billing", "consumer", "consumer", "Stable"),
        ("shipping", "classic", "", "Empty"),
    ]
    assert [each.group_id for each in story.log.admin.list_groups(states=["empty"])] == ["shipping"]
    described = story.log.admin.describe_groups()
    assert list(described) == ["billing", "shipping"]
    group = described["billing"]
    assert (group.type, group.state, group.assignor) == ("consumer", "Stable", "uniform")
    (member,) = group.members
    assert member.client_id == "me"
    assert member.host.startswith("process:")
    assert member.assignment == (ORDERS_0, ORDERS_1)
    assert group.offsets == {ORDERS_0: (1, "", 3, 2), ORDERS_1: (None, "", 0, None)}
    shipping = described["shipping"]
    assert (shipping.members, shipping.offsets) == ((), {FLIGHTS: (0, "", 0, 0)})
    with pytest.raises(UnknownGroupError, match="nobody"):
        story.log.admin.describe_groups(["nobody"])
    for wrong in ("billing", ["x" * 32_768], [5]):
        with pytest.raises(ConfigError):
            story.log.admin.describe_groups(wrong)
    for states in (["empty", "foo"], [5]):
        with pytest.raises(ConfigError, match="one of Assigning, CompletingRebalance, Dead, Empty"):
            story.log.admin.list_groups(states=states)
    with pytest.raises(ConfigError, match="a list of states"):
        story.log.admin.list_groups(states="Stable")


def test_members_of_the_classic_protocol_are_described(blocking_story: Story) -> None:
    engine = blocking_story.log.engine()
    engine.groups.begin_coordinating(("127.0.0.1", 9092))
    assert engine.groups.coordinates("old")
    join, sync = message("JoinGroupRequest"), message("SyncGroupRequest")
    answers: list[Any] = []

    def ask(request: Any, version: int) -> Any:
        engine.groups.submit(
            request, version, answers.append, client_id="c", client_host="/127.0.0.1"
        )
        return answers.pop()

    protocol = join.structs["JoinGroupRequestProtocol"](name="range", metadata=b"\0\0\0\0\0\0")
    request = join.Value(
        group_id="old",
        session_timeout_ms=10_000,
        rebalance_timeout_ms=10_000,
        protocol_type="consumer",
        protocols=[protocol],
    )
    request.member_id = ask(request, 4).member_id
    joined = ask(request, 4)
    assert joined.error_code == ErrorCode.NONE
    kind = message("ConsumerProtocolAssignment")
    assignment = encode_consumer_protocol(
        kind.Value(
            assigned_partitions=[kind.structs["TopicPartition"](topic="orders", partitions=[1])]
        )
    )
    share = sync.structs["SyncGroupRequestAssignment"]
    ask(
        sync.Value(
            group_id="old",
            generation_id=1,
            member_id=joined.member_id,
            assignments=[share(member_id=joined.member_id, assignment=assignment)],
        ),
        4,
    )
    group = blocking_story.log.admin.describe_groups(["old"])["old"]
    assert (group.type, group.protocol_type, group.state) == ("classic", "consumer", "Stable")
    assert [each.assignment for each in group.members] == [(ORDERS_1,)]
    assert group.offsets[ORDERS_1].lag is None


@pytest.mark.parametrize(
    ("to", "after"),
    [
        ({"to": "earliest"}, [2, 0]),
        ({"to": "latest"}, [10, 0]),
        ({"to_offset": 5}, [5, 0]),
        ({"to_offset": 1}, [2, 0]),
        ({"to_offset": 99}, [10, 0]),
        ({"to_time_ms": NOON_MS + 6}, [6, 0]),
        ({"to_time_ms": NOON_MS + 60}, [10, 0]),
    ],
)
def test_offsets_are_reset_within_what_is_there(
    story: Story, to: dict[str, Any], after: list[int]
) -> None:
    story.write("orders", 0, *(b"%d" % n for n in range(10)))
    story.log.admin.delete_records({ORDERS_0: 2})
    commit(story, {ORDERS_0: 4})
    planned = {ORDERS_0: OffsetReset(4, after[0]), ORDERS_1: OffsetReset(None, after[1])}
    assert story.log.admin.reset_offsets("billing", **to, dry_run=True) == planned
    assert story.log.admin.list_group_offsets("billing")[ORDERS_0].offset == 4
    assert story.log.admin.reset_offsets("billing", **to) == planned
    found = story.log.admin.list_group_offsets("billing")
    assert [found[each].offset for each in (ORDERS_0, ORDERS_1)] == after


def test_offsets_are_shifted_from_where_they_are(story: Story) -> None:
    story.write("orders", 0, *(b"%d" % n for n in range(10)))
    commit(story, {ORDERS_0: 4})
    shift = story.log.admin.reset_offsets
    assert shift("billing", shift_by=3) == {ORDERS_0: (4, 7)}
    assert shift("billing", shift_by=-20) == {ORDERS_0: (7, 0)}
    with pytest.raises(ConfigError, match="nothing to shift"):
        shift("billing", [ORDERS_1], shift_by=1)


def test_a_group_may_begin_where_it_never_was(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    reset = story.log.admin.reset_offsets
    with pytest.raises(UnknownGroupError):
        reset("new", to="latest")
    assert reset("new", [FLIGHTS], to="latest") == {FLIGHTS: (None, 2)}
    assert reset("new", offsets={FLIGHTS: 1}) == {FLIGHTS: (2, 1)}
    with pytest.raises(UnknownTopicError):
        reset("new", offsets={TopicPartition("flights", 1): 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"to": "earliest", "shift_by": 1},
        {"to": "middle"},
        {"to_offset": -1},
        {"to_offset": True},
        {"shift_by": 1.5},
        {"offsets": {ORDERS_0: "1"}},
        {"offsets": {ORDERS_0: 1}, "partitions": [ORDERS_0]},
    ],
)
def test_where_to_is_one_thing(story: Story, wrong: dict[str, Any]) -> None:
    commit(story, {ORDERS_0: 0})
    with pytest.raises(ConfigError):
        story.log.admin.reset_offsets("billing", **wrong)


def test_groups_with_members_are_left_alone(story: Story) -> None:
    consumer = story.log.consumer("orders", **BY_HAND)
    consumer.commit({ORDERS_0: 0, FLIGHTS: 0})
    admin = story.log.admin
    for dry_run in (True, False):
        with pytest.raises(GroupNotEmptyError):
            admin.reset_offsets("billing", to="latest", dry_run=dry_run)
    with pytest.raises(GroupNotEmptyError):
        admin.delete_groups(["billing"])
    with pytest.raises(GroupError) as caught:
        admin.delete_group_offsets("billing", [ORDERS_0])
    assert caught.value.code_name == "GROUP_SUBSCRIBED_TO_TOPIC"
    admin.delete_group_offsets("billing", [FLIGHTS])
    assert list(admin.list_group_offsets("billing")) == [ORDERS_0]


def test_groups_are_deleted_with_what_they_committed(story: Story) -> None:
    for group_id in ("a", "b", "c"):
        commit(story, {ORDERS_0: 0}, group_id)
    admin = story.log.admin
    with pytest.raises(UnknownGroupError):
        admin.delete_groups(["a", "nobody"])
    assert len(admin.list_groups()) == 3
    admin.delete_groups(["a", "c"])
    assert [each.group_id for each in admin.list_groups()] == ["b"]
    assert admin.list_group_offsets("a") == {}
    with pytest.raises(UnknownGroupError):
        admin.delete_group_offsets("a", [ORDERS_0])


def test_who_only_reads_changes_nothing(tmp_path: Any, open_log: Any) -> None:
    path = str(tmp_path / "log")
    with open_log(path) as log:
        log.create_topic("orders", 2)
        commit(Story(log), {ORDERS_0: 0})
    with open_log(path, read_only=True) as log:
        assert [each.group_id for each in log.admin.list_groups()] == ["billing"]
        assert log.admin.describe_groups()["billing"].offsets == {ORDERS_0: (0, "", 0, 0)}
        assert log.admin.reset_offsets("billing", to="latest", dry_run=True)
        with pytest.raises(ReadOnlyError):
            log.admin.reset_offsets("billing", to="latest")
        with pytest.raises(ReadOnlyError):
            log.admin.delete_groups(["billing"])
        with pytest.raises(ReadOnlyError):
            log.consumer("orders", **BY_HAND).poll(0)
