"""Listeners have numbers and addresses that every process knows."""

from __future__ import annotations

from tests.broker.groups.conftest import Player, make

HERE, THERE, ELSEWHERE = ("127.0.0.1", 9092), ("127.0.0.2", 65_535), ("127.0.0.3", 1)


def test_each_listener_has_a_number(player: Player, other: Player) -> None:
    assert player.groups.listeners.known() == {}
    assert player.groups.begin_coordinating(HERE) == 0
    assert other.groups.begin_coordinating(THERE) == 1
    assert player.groups.begin_coordinating(ELSEWHERE) == 2
    for each in (player, other):
        assert each.groups.listeners.known() == {0: HERE, 1: THERE, 2: ELSEWHERE}
    player.groups.end_coordinating(HERE)
    for each in (player, other):
        assert each.groups.listeners.known() == {1: THERE, 2: ELSEWHERE}
    assert other.groups.begin_coordinating(HERE) == 0  # the first that is free


def test_a_listener_goes_with_its_process(player: Player, other: Player) -> None:
    other.groups.begin_coordinating(THERE)
    assert player.groups.begin_coordinating(HERE) == 1
    other.engine.close()
    assert player.groups.listeners.known() == {1: HERE}
    assert player.groups.begin_coordinating(ELSEWHERE) == 0


def listed(player: Player) -> list[str]:
    (answer,) = player.send(make("ListGroupsRequest"), 5)
    return [each.group_id for each in answer.groups]


def test_a_group_is_listed_by_one_listener(player: Player, other: Player) -> None:
    """So that a client that asks all of them hears of it once."""
    player.groups.begin_coordinating(HERE)
    other.groups.begin_coordinating(THERE)
    assert player.groups.coordinates("g")
    player.commit({("orders", 0): 1}, group="g")
    assert listed(other) == []
    assert listed(player) == ["g"]
    player.groups.end_coordinating(HERE)
    assert listed(other) == ["g"]  # nobody else has it
