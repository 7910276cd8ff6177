"""Members in processes: polls in slots, hanging ones, dead processes, and who waits for whom."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from streamlog.broker.engine import Engine
from streamlog.broker.groups.member_slots import MemberSlots
from streamlog.broker.groups.process_names import ProcessName, is_alive, own_name
from streamlog.coordinator import ErrorCode
from streamlog.errors import LockTimeoutError
from streamlog.protocol import Uuid
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.shared import MEMBERS_LOCK
from streamlog.testing.clock import ManualClock
from tests.broker.groups.conftest import Player

ONE, TWO, THREE = (Uuid(f"{name}-member-of-16".encode()[-16:]) for name in ("one", "two", "thr"))
PATIENCE_S = 30.0


def members(player: Player, group: str = "g") -> set[str]:
    coordinator = player.groups.coordinator_of(group)
    coordinator.settle()
    return {m for events in coordinator.members.values() for e in events for m in e.member_ids}


def test_a_process_is_known_by_a_number_that_nobody_has_again(
    player: Player, other: Player
) -> None:
    name = own_name(other.engine._opening)
    assert ProcessName.parse(name.client_host) == name
    assert name.pid == os.getpid()
    assert is_alive(player.engine._opening, name.number)
    assert is_alive(other.engine._opening, name.number)
    other.engine.close()
    assert not is_alive(player.engine._opening, name.number)
    for text in (
        "",
        "process:",
        "process:x:1",
        "process:1",
        "process:1:0",
        f"process:{1 << 40:x}:1",
    ):
        assert ProcessName.parse(text) is None


def test_a_hanging_member_is_fenced_by_whoever_looks(
    player: Player, other: Player, clock: ManualClock
) -> None:
    player.join(ONE)
    other.join(TWO)
    clock.advance(40_000)
    other.slot.polled(40_000)
    clock.advance(19_999)
    for each in (player, other):
        assert members(each) == {str(ONE), str(TWO)}
    clock.advance(1)
    assert members(other) == {str(TWO)}  # the first one polled when it joined, and no more
    assert members(player) == {str(TWO)}
    clock.advance(40_000)
    assert members(player) == set()


def test_a_member_that_polls_is_not_fenced(
    player: Player, other: Player, clock: ManualClock
) -> None:
    player.join(ONE)
    for now_ms in range(50_000, 500_000, 50_000):
        clock.advance(50_000)
        player.slot.polled(now_ms)
        assert members(player) == members(other) == {str(ONE)}


def test_members_of_a_dead_process_go_at_once(player: Player, other: Player) -> None:
    first = player.join(ONE)
    other.join(TWO)
    player.beat(str(ONE), first.member_epoch, {"orders": [0, 1, 2, 3]})
    other.engine.close()  # and its members do not leave
    player.groups.watcher.bury_the_dead(player.groups.coordinator_of("g"))
    assert members(player) == {str(ONE)}


def test_members_that_died_when_nobody_was_there_are_found_at_the_first_use(
    player: Player, other: Player
) -> None:
    player.join(ONE)
    player.engine.close()
    assert other.listed() == ["g"]
    assert members(other) == set()


def test_who_only_reads_leaves_out_members_that_are_gone(
    player: Player, other: Player, path: str, clock: ManualClock
) -> None:
    first = player.join(ONE)
    other.join(TWO)
    player.beat(str(ONE), first.member_epoch, {"orders": [0, 1, 2, 3]})
    reading = Engine.open(path, read_only=True, clock=clock)
    reader = Player(reading)
    assert members(reader) == {str(ONE), str(TWO)}
    other.engine.close()
    assert members(reader) == {str(ONE)}
    player.engine.close()
    assert members(reader) == set()
    assert members(reader) == set()
    back = Engine.open(path, filesystem=Filesystem(), clock=clock)
    Player(back).join(THREE)  # what others append is there again, and who is gone is not
    assert members(reader) == {str(THREE)}
    back.close()
    assert members(reader) == set()
    reading.close()


def test_who_only_reads_leaves_offsets_of_a_deleted_topic_to_others(
    player: Player, path: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    player.join(ONE)
    player.commit({("orders", 0): 1}, group="h")
    reading = Engine.open(path, read_only=True, clock=clock)
    reader = Player(reading)
    assert reader.committed("h") == {"h": {("orders", 0): 1}}
    monkeypatch.setattr(player.groups, "forget_topics", lambda _: None)
    player.engine.delete_topic("orders")
    assert members(reader) == {str(ONE)}
    assert members(reader, "h") == set()
    player.engine.close()
    assert members(reader) == set()
    reading.close()


def test_a_static_member_keeps_its_partitions_for_its_successor(
    player: Player, other: Player, clock: ManualClock
) -> None:
    player.join(ONE, instance_id="i")
    player.engine.close()
    assert members(other) == set()
    back = other.join(TWO, instance_id="i")
    assert other.assigned(back) == {"orders": [0, 1, 2, 3]}


def test_each_process_waits_for_the_one_behind_it(player: Player, other: Player) -> None:
    assert player.groups.watcher.successors(player.groups.loaded()) == set()
    player.join(ONE)
    other.join(TWO)
    members(player)
    own, others = own_name(player.engine._opening), own_name(other.engine._opening)
    assert player.groups.watcher.successors(player.groups.loaded()) == {others}
    assert other.groups.watcher.successors(other.groups.loaded()) == {own}


def ring(watcher: Any, *numbers: int) -> set[int]:
    coordinator = SimpleNamespace(members={ProcessName(n, 1).client_host: [] for n in numbers})
    return {name.number for name in watcher.successors([coordinator])}


def test_the_ring_is_closed(player: Player) -> None:
    number = own_name(player.engine._opening).number
    watcher = player.groups.watcher
    low, high = number // 2, number + 1
    assert ring(watcher, number, low, high, high + 1) == {high}
    assert ring(watcher, number, low) == {low}
    assert ring(watcher, low, low + 1) == {low}
    assert ring(watcher, number) == set()


def test_the_thread_hears_of_a_death_by_itself(player: Player, other: Player) -> None:
    """By the bytes here, since both are of one process, which lives on."""
    player.join(ONE)
    coordinator = player.groups.coordinator_of("g")
    other.join(TWO)
    members(player)
    gone = threading.Event()
    tell = coordinator.tell

    def and_say_so(events: Any) -> None:
        tell(events)
        gone.set()

    coordinator.tell = and_say_so
    other.engine.close()
    assert gone.wait(PATIENCE_S)
    assert members(player) == {str(ONE)}


# ---------------------------------------------------------------- slots


def test_slots_of_dead_processes_are_taken_over(player: Player, other: Player) -> None:
    slots = player.groups.member_slots
    for number in range(200):  # more than the file first has room for
        other.groups.new_member(Uuid(number.to_bytes(16, "big")))
    assert len(slots.polls()) == 200
    mine = player.groups.new_member(ONE)
    mine.polled(1234)
    assert slots.polls()[str(ONE)] == 1234
    size = player.engine.filesystem.file_size(f"{player.engine.place.path}/streamlog.members")
    other.engine.close()
    for number in range(200):
        player.groups.new_member(Uuid((1000 + number).to_bytes(16, "big")))
    assert str(ONE) in slots.polls()
    mine.release()
    assert str(ONE) not in slots.polls()
    now = player.engine.filesystem.file_size(f"{player.engine.place.path}/streamlog.members")
    assert now <= size + 4096


def test_slots_are_given_out_one_after_the_other(player: Player) -> None:
    opening, filesystem = player.engine._opening, Filesystem()
    slots = MemberSlots(opening, 20)
    locks = filesystem.open(f"{player.engine.place.path}/streamlog.locks", os.O_RDWR)
    assert filesystem.lock(locks, MEMBERS_LOCK, 1, exclusive=True)
    with pytest.raises(LockTimeoutError):
        slots.claim(ONE, 0)
    filesystem.close(locks)
    slots.claim(ONE, 5)
    assert slots.polls() == {str(ONE): 5}
    slots.close()


def test_a_member_that_was_fenced_hears_it(player: Player, clock: ManualClock) -> None:
    joined = player.join(ONE)
    clock.advance(60_000)
    assert members(player) == set()
    assert player.commit({("orders", 0): 1}, str(ONE), joined.member_epoch) == {
        ErrorCode.UNKNOWN_MEMBER_ID
    }
    assert player.committed() == {"g": {}}
