"""Records in `__consumer_offsets` that do not fit: at most the group that they are of suffers."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from streamlog.coordinator import ExpireOffsets, GroupSettings
from streamlog.protocol import Uuid
from streamlog.protocol.coordinator_records import OFFSETS
from streamlog.record.kernel import RecordBatchBuilder
from streamlog.testing.clock import ManualClock
from tests.broker.conftest import OpenEngine
from tests.broker.groups.conftest import Player, make

MEMBER = Uuid(b"one-member-of-16")
NONSENSE = b"\x00\x63nonsense"
NEIGHBOUR, SICK = "g", "sick"


def key(name: str, **fields: Any) -> bytes:
    return OFFSETS.encode_key(make(name, **fields))


def offset_key(partition: int) -> bytes:
    return key("OffsetCommitKey", group=SICK, topic="orders", partition=partition)


CONSUMER = {"group_id": SICK, "member_id": "m"}

UNREADABLE: dict[str, tuple[bytes, bytes]] = {
    "an offset": (offset_key(1), NONSENSE),
    "an offset without a version": (offset_key(1), b""),
    "an offset that is cut off": (offset_key(1), b"\x00\x03\x00"),
    "an offset's key that is cut off": (offset_key(1)[:-1], NONSENSE),
    "an offset's key that goes on": (offset_key(1) + b"x", NONSENSE),
    "an offset of a group whose name is cut off": (b"\x00\x01\x7f\xffg", NONSENSE),
    "an offset of a group whose name is no text": (b"\x00\x01\x00\x01\xff\x00\x01t\0\0\0\0", b""),
    "an offset of nobody": (b"\x00\x01", NONSENSE),
    "no key's type": (b"", NONSENSE),
    "half a key's type": (b"\x00", NONSENSE),
    "a classic group": (key("GroupMetadataKey", group=SICK), NONSENSE),
    "a classic group's key": (b"\x00\x02\x00\x09g", NONSENSE),
    "a consumer group": (key("ConsumerGroupMetadataKey", group_id=SICK), NONSENSE),
    "a member": (key("ConsumerGroupMemberMetadataKey", **CONSUMER), NONSENSE),
    "an assignment": (key("ConsumerGroupCurrentMemberAssignmentKey", **CONSUMER), b"\x00\x00"),
    "a target": (key("ConsumerGroupTargetAssignmentMemberKey", **CONSUMER), NONSENSE),
    "a share group": (key("ShareGroupMetadataKey", group_id=SICK), NONSENSE),
}


def append(player: Player, *pairs: tuple[bytes, bytes]) -> None:
    builder = RecordBatchBuilder()
    for name, value in pairs:
        builder.append(7, name, value, ())
    log = player.groups.coordinator_of(NEIGHBOUR).log
    log.append(builder.build(), now_ms=7)


def described(player: Player, *groups: str) -> dict[str, str]:
    request = make("ConsumerGroupDescribeRequest", group_ids=list(groups))
    return {each.group_id: each.group_state for each in player.groups.ask(request, 1).groups}


def check_all_that_is_asked(player: Player, state: str = "Stable") -> None:
    """Groups are listed and described, their offsets read, committed and looked at for expiry."""
    assert NEIGHBOUR in player.listed()
    assert described(player, NEIGHBOUR, SICK)[NEIGHBOUR] == state
    classic = make("DescribeGroupsRequest", groups=[NEIGHBOUR, SICK])
    assert len(player.groups.ask(classic, 5).groups) == 2
    assert player.committed(NEIGHBOUR, SICK)[NEIGHBOUR] == {("orders", 0): 5}
    assert player.commit({("orders", 2): 3}, group=SICK) == {0}
    assert player.committed(SICK)[SICK]["orders", 2] == 3
    coordinator = player.groups.coordinator_of(NEIGHBOUR)
    coordinator.take_settings(GroupSettings(offsets_retention_ms=1 << 40))
    coordinator.tell([ExpireOffsets()])


@pytest.fixture
def neighbour(open_engine: OpenEngine, clock: ManualClock) -> Player:
    """A group with a member and a committed offset, in the same partition as what comes."""
    player = Player(open_engine(clock=clock, settings={"offsets_topic_num_partitions": 1}))
    player.engine.create_topic("orders", 4)
    epoch = player.join(MEMBER).member_epoch
    assert player.commit({("orders", 0): 5}, str(MEMBER), epoch) == {0}
    return player


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("asked_before", [True, False])
def test_one_record_that_does_not_fit_is_passed_over(
    neighbour: Player, what: str, asked_before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if asked_before:  # then what is known of groups is brought up to date
        check_all_that_is_asked(neighbour)
    append(neighbour, UNREADABLE[what])
    with caplog.at_level(logging.WARNING, "streamlog"):
        check_all_that_is_asked(neighbour)
    assert "a coordinator's record is passed over" in caplog.text


def test_all_of_them_and_a_restart(
    open_engine: OpenEngine, neighbour: Player, clock: ManualClock
) -> None:
    append(neighbour, *UNREADABLE.values())
    check_all_that_is_asked(neighbour)
    neighbour.engine.close()
    again = Player(open_engine(clock=clock))
    check_all_that_is_asked(again, "Empty")  # the member's process is gone


def test_a_group_is_deleted_with_what_cannot_be_read_of_it(neighbour: Player) -> None:
    append(neighbour, UNREADABLE["an offset"])
    assert neighbour.committed(SICK)[SICK] == {("orders", 1): -1}
    request = make("DeleteGroupsRequest", groups_names=[SICK])
    (result,) = neighbour.groups.ask(request, 2).results
    assert result.error_code == 0
    assert neighbour.committed(SICK)[SICK] == {}


def test_what_is_committed_later_counts(neighbour: Player) -> None:
    append(neighbour, UNREADABLE["an offset"])
    assert neighbour.commit({("orders", 1): 9}, group=SICK) == {0}
    assert neighbour.committed(SICK)[SICK] == {("orders", 1): 9}
