"""Coordinators on their log: made at first use, shared by processes, loaded again, forgotten."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from streamlog.broker.engine import Engine
from streamlog.broker.groups import partition_coordinator
from streamlog.broker.groups.offsets_topic import java_hash, partition_of
from streamlog.coordinator import ErrorCode
from streamlog.errors import DiskFullError, ReadOnlyError
from streamlog.protocol import Uuid
from streamlog.storage.filesystem import Filesystem
from streamlog.testing.clock import ManualClock
from tests.broker.conftest import OpenEngine
from tests.broker.groups.conftest import Player

ONE, TWO = Uuid(b"one-member-of-16"), Uuid(b"two-member-of-16")
OFFSETS = "__consumer_offsets"
OK = {0}


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        ("", 0),
        ("hello", 99162322),
        ("polygenelubricants", -(1 << 31)),  # famous for it
        ("\N{GRINNING FACE}", 1772899),  # two UTF-16 units, 0xD83D and 0xDE00
    ],
)
def test_groups_are_hashed_as_java_does(text: str, hashed: int) -> None:
    assert java_hash(text) == hashed


def test_the_smallest_hash_is_no_negative_partition() -> None:
    assert partition_of("polygenelubricants", 50) == 0
    assert partition_of("hello", 50) == 22


def test_the_offsets_topic_is_made_at_first_use_and_its_folders_as_they_are_written(
    player: Player, path: str
) -> None:
    assert player.listed() == []
    assert player.committed("g") == {"g": {}}
    assert OFFSETS not in player.engine.topics()
    assert player.commit({("orders", 0): 7}) == OK
    topic = player.engine.topic(OFFSETS)
    assert (topic.partitions, topic.internal) == (50, True)
    assert topic.settings["cleanup.policy"] == "compact"
    assert len(list(Path(path).glob(f"{OFFSETS}-*"))) == 1
    assert player.committed("g", "h") == {"g": {("orders", 0): 7}, "h": {}}
    assert player.listed() == ["g"]


def test_the_number_of_its_partitions_is_a_setting(open_engine: OpenEngine) -> None:
    player = Player(open_engine(settings={"offsets_topic_num_partitions": 3}))
    for group in "abcdef":
        assert player.commit({("orders", 0): ord(group)}, group=group) == OK
    assert player.engine.topic(OFFSETS).partitions == 3
    assert player.listed() == list("abcdef")
    assert player.committed(*"fa") == {"f": {("orders", 0): 102}, "a": {("orders", 0): 97}}


def test_what_was_committed_is_there_after_a_restart(
    open_engine: OpenEngine, player: Player
) -> None:
    player.join(ONE)
    for offset in range(100):
        player.commit({("orders", 1): offset}, group="h")
    player.engine.close()
    again = Player(open_engine())
    assert again.committed("h") == {"h": {("orders", 1): 99}}
    assert again.listed() == ["g", "h"]


def test_processes_see_what_each_other_decided(player: Player, other: Player) -> None:
    first = player.join(ONE)
    assert player.assigned(first) == {"orders": [0, 1, 2, 3]}
    second = other.join(TWO)
    assert other.assigned(second) == {}
    # The first has to give up half before the second can have it.
    assert player.groups.coordinator_of("g").has_news("g", str(ONE), first.member_epoch)
    told = player.beat(str(ONE), first.member_epoch, {"orders": [0, 1, 2, 3]})
    kept = player.assigned(told)
    assert kept is not None
    assert len(kept["orders"]) == 2
    done = player.beat(str(ONE), told.member_epoch, kept)
    given = other.assigned(other.beat(str(TWO), second.member_epoch, {}))
    assert given is not None
    assert sorted(kept["orders"] + given["orders"]) == [0, 1, 2, 3]
    assert player.commit({("orders", kept["orders"][0]): 5}, str(ONE), done.member_epoch) == OK
    assert other.committed("g")["g"] == {("orders", kept["orders"][0]): 5}


def test_something_that_comes_between_has_it_decided_again(
    player: Player, other: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    player.commit({("orders", 0): 1})
    other.commit({("orders", 0): 2})
    coordinator = player.groups.coordinator_of("g")
    catch_up = coordinator._catch_up_locked
    calls: list[int] = []

    def and_then_another_commits() -> None:
        catch_up()
        calls.append(coordinator._machine.next_offset)
        if len(calls) == 1:
            other.commit({("orders", 1): 3})

    monkeypatch.setattr(coordinator, "_catch_up_locked", and_then_another_commits)
    assert player.commit({("orders", 0): 4}) == OK
    assert calls[:2] == [2, 3]
    assert other.committed()["g"] == {("orders", 0): 4, ("orders", 1): 3}


def test_racing_processes_agree_on_the_topic_and_lose_no_commit(
    player: Player, path: str, clock: ManualClock
) -> None:
    engines = [Engine.open(path, filesystem=Filesystem(), clock=clock) for _ in range(3)]
    players = [player, *map(Player, engines)]
    start = threading.Barrier(len(players))

    def commit_many(number: int) -> None:
        start.wait()
        for offset in range(50):
            assert players[number].commit({("orders", number): offset}) == OK

    threads = [threading.Thread(target=commit_many, args=(n,)) for n in range(len(players))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in players:
        assert each.committed()["g"] == {("orders", n): 49 for n in range(4)}
    for engine in engines:
        engine.close()


def test_offsets_of_a_deleted_topic_are_forgotten_by_every_process(
    player: Player, other: Player
) -> None:
    player.commit({("orders", 0): 7}, group="a")
    player.commit({("orders", 0): 8}, group="b")
    assert other.committed("a") == {"a": {("orders", 0): 7}}
    player.engine.delete_topic("orders")
    for each in (player, other):
        assert each.listed() == []
    player.engine.create_topic("orders", 1)
    assert other.commit({("orders", 0): 1}, group="a") == OK
    assert player.committed("a", "b") == {"a": {("orders", 0): 1}, "b": {}}


def test_a_topic_made_again_keeps_what_was_committed_for_it(player: Player, other: Player) -> None:
    """A process that sees a topic go and come at once forgets only what was for the former."""
    player.commit({("orders", 0): 7})
    assert other.committed()["g"] == {("orders", 0): 7}
    player.engine.delete_topic("orders")
    player.engine.create_topic("orders", 4)
    player.commit({("orders", 1): 3})
    assert other.committed()["g"] == {("orders", 1): 3}
    assert player.committed()["g"] == {("orders", 1): 3}


def test_offsets_that_nobody_uses_expire_where_that_is_asked_for(
    open_engine: OpenEngine, clock: ManualClock
) -> None:
    settings = {"offsets_retention_minutes": 10, "housekeeping": False}
    player = Player(open_engine(clock=clock, settings=settings))
    player.commit({("orders", 0): 1}, group="old")
    clock.advance(6 * 60_000)
    player.commit({("orders", 0): 2}, group="new")
    clock.advance(5 * 60_000)
    player.engine.housekeeper.run_once(clock.now_ms())
    assert player.listed() == ["new"]


def test_compaction_keeps_the_last_word(player: Player, other: Player, clock: ManualClock) -> None:
    for offset in range(50):
        player.commit({("orders", 0): offset, ("orders", 1): 100 - offset})
    player.engine.compact(OFFSETS)
    log = player.groups.coordinator_of("g").log
    player.commit({("orders", 2): 9})
    expected = {("orders", 0): 49, ("orders", 1): 51, ("orders", 2): 9}
    assert other.committed()["g"] == expected  # which loads what is left
    assert player.committed()["g"] == expected
    assert log.log_end == 101


def test_an_append_that_fails_leaves_nothing_behind(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    player.commit({("orders", 0): 1})
    log = player.groups.coordinator_of("g").log

    def full(*_: Any, **__: Any) -> None:
        raise DiskFullError("no space", path=log.directory)

    with monkeypatch.context() as patch:
        patch.setattr(log, "append", full)
        with pytest.raises(DiskFullError):
            player.commit({("orders", 0): 2})
        player.groups.begin_coordinating(("127.0.0.1", 9092))
        assert player.groups.coordinates("g")
        (answer,) = player.send(player.beat_request(str(ONE), 0), 1)
        assert answer.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
        assert player.listed() == ["g"]  # what only looks is answered
    assert player.committed()["g"] == {("orders", 0): 1}
    assert player.commit({("orders", 0): 3}) == OK


def test_what_is_told_with_acks_all_is_on_the_disk(player: Player) -> None:
    player.commit({("orders", 0): 1})
    log = player.groups.coordinator_of("g").log
    assert log.synced_end == 0
    player.commit({("orders", 0): 2}, acks=-1)
    assert log.synced_end == log.log_end == 2


def test_who_only_reads_sees_groups_and_changes_none(
    player: Player, path: str, clock: ManualClock
) -> None:
    player.join(ONE)
    player.commit({("orders", 0): 1}, group="h")
    reading = Engine.open(path, read_only=True, clock=clock)
    reader = Player(reading)
    assert reader.listed() == ["g", "h"]
    assert reader.committed("h") == {"h": {("orders", 0): 1}}
    player.commit({("orders", 0): 2}, group="h")
    assert reader.committed("h") == {"h": {("orders", 0): 2}}
    with pytest.raises(ReadOnlyError):
        reader.commit({("orders", 0): 3}, group="h")
    with pytest.raises(ReadOnlyError):
        reader.join(TWO)
    reading.close()


def test_an_interrupted_decision_is_there_or_is_not(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    player.commit({("orders", 0): 1})
    coordinator = player.groups.coordinator_of("g")

    class Interrupted(BaseException):
        pass

    def strike(*_: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(coordinator._machine, "replay", strike)
        with pytest.raises(Interrupted):
            player.commit({("orders", 0): 2, ("orders", 1): 3})
    assert player.committed()["g"] == {("orders", 0): 2, ("orders", 1): 3}
    with monkeypatch.context() as patch:
        patch.setattr(partition_coordinator, "RecordBatchBuilder", strike)
        with pytest.raises(Interrupted):
            player.commit({("orders", 0): 4})
    assert player.committed()["g"] == {("orders", 0): 2, ("orders", 1): 3}
