"""Members in the network: whose they are, parked requests, and another process's taking over."""

from __future__ import annotations

from typing import Any

import pytest

from streamlog.coordinator import ErrorCode
from streamlog.errors import PartitionPoisonedError
from streamlog.testing.clock import ManualClock
from tests.broker.groups.conftest import Player, make, part

HERE, THERE = ("127.0.0.1", 9092), ("127.0.0.2", 65_535)


def join(player: Player) -> Any:
    """Join as the first member of a group; the response that says so."""
    (refused,) = player.send_join()
    assert refused.error_code == ErrorCode.MEMBER_ID_REQUIRED
    (joined,) = player.send_join(refused.member_id)
    assert joined.error_code == 0
    return joined


def heartbeat(player: Player, joined: Any) -> int:
    request = make(
        "HeartbeatRequest",
        group_id="g",
        generation_id=joined.generation_id,
        member_id=joined.member_id,
    )
    (answer,) = player.send(request, 4)
    return int(answer.error_code)


def sync(player: Player, joined: Any) -> list[Any]:
    assignment = part(
        "SyncGroupRequest",
        "SyncGroupRequestAssignment",
        member_id=joined.member_id,
        assignment=b"a",
    )
    request = make(
        "SyncGroupRequest",
        group_id="g",
        generation_id=joined.generation_id,
        member_id=joined.member_id,
        protocol_type="consumer",
        protocol_name="range",
        assignments=[assignment],
    )
    return player.send(request, 5)


def test_one_process_coordinates_and_the_others_say_where(player: Player, other: Player) -> None:
    assert not player.groups.coordinates("g")  # it does not listen
    assert player.groups.coordinator_address("g") is None
    player.groups.begin_coordinating(HERE)
    other.groups.begin_coordinating(THERE)
    assert player.groups.coordinates("g")
    assert not other.groups.coordinates("g")
    assert player.groups.coordinator_address("g") == HERE
    assert other.groups.coordinator_address("g") == HERE
    (refused,) = other.send_join()
    assert refused.error_code == ErrorCode.NOT_COORDINATOR
    # Another group may be of the other process.
    assert other.groups.coordinator_address("another") == THERE
    assert player.groups.coordinator_address("another") == THERE


def test_who_resigns_sends_its_members_to_the_next(player: Player, other: Player) -> None:
    player.groups.begin_coordinating(HERE)
    other.groups.begin_coordinating(THERE)
    assert player.groups.coordinates("g")
    joined = join(player)
    assert [each.error_code for each in sync(player, joined)] == [0]
    (refused,) = player.send_join()
    parked = player.send_join(refused.member_id)
    assert parked == []  # until the first one joins again
    player.groups.end_coordinating(HERE)
    assert [each.error_code for each in parked] == [ErrorCode.NOT_COORDINATOR]
    assert heartbeat(player, joined) == ErrorCode.NOT_COORDINATOR
    assert other.groups.coordinator_address("g") == THERE
    assert heartbeat(other, joined) == 0  # it goes on where the log says the group is


def test_a_process_that_is_gone_is_followed_by_who_asks(player: Player, other: Player) -> None:
    other.groups.begin_coordinating(THERE)
    assert other.groups.coordinates("g")
    joined = join(other)
    sync(other, joined)
    player.groups.begin_coordinating(HERE)
    assert not player.groups.coordinates("g")
    other.engine.close()
    assert player.groups.coordinates("g")
    assert player.groups.coordinator_address("g") == HERE
    assert heartbeat(player, joined) == 0


def test_two_listeners_of_one_process_are_one_coordinator(player: Player) -> None:
    player.groups.begin_coordinating(HERE)
    player.groups.begin_coordinating(THERE)
    assert player.groups.coordinator_address("g") == HERE
    joined = join(player)
    player.groups.end_coordinating(HERE)
    assert player.groups.coordinator_address("g") == THERE
    assert heartbeat(player, joined) == 0


def test_parked_requests_are_answered_when_it_is_time(player: Player, clock: ManualClock) -> None:
    player.groups.begin_coordinating(HERE)
    assert player.groups.coordinates("g")
    first = join(player)
    sync(player, first)
    (refused,) = player.send_join()
    parked = player.send_join(refused.member_id)
    clock.advance(9_999)
    player.groups.coordinator_of("g").settle()
    assert parked == []
    clock.advance(1)  # the first one's session is over
    player.groups.coordinator_of("g").settle()
    (answer,) = parked
    assert (answer.error_code, answer.leader) == (0, refused.member_id)


def test_nothing_is_said_that_the_disk_refused(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    player.groups.begin_coordinating(HERE)
    assert player.groups.coordinates("g")
    log = player.groups.coordinator_of("g").log

    def refuse(_: int) -> int:
        raise PartitionPoisonedError("a sync failed", outcome="unknown")

    monkeypatch.setattr(log, "sync", refuse)
    (answer,) = player.send_join()
    assert answer.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
