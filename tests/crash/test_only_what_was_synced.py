"""What is promised to be on the disk is there when a power cut leaves nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streamlog.broker.backup import back_up
from streamlog.broker.engine import Engine
from streamlog.clients.producer import Producer
from streamlog.clients.sender import Sender
from streamlog.config import ProducerConfig, TopicConfig
from streamlog.storage.names import CLEAN
from streamlog.testing.clock import ManualClock
from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.broker.conftest import append, read
from tests.crash.power import RecordedDisk
from tests.crash.world import PATH, open_engine


class _DeathError(BaseException):
    """The process is killed here."""


def dies_before(door: MemoryFilesystem, operation: str) -> None:
    """Let a process be killed before the next such operation."""

    def before(asked: str, _: str | int) -> None:
        if asked == operation:
            raise _DeathError

    door.before = before


def values(engine: Engine, topic: str = "a") -> list[bytes | None]:
    return [value for _, value in read(engine.partition(topic, 0))]


@pytest.fixture
def disk() -> RecordedDisk:
    """A log with a topic, made by a process that closed it."""
    disk = RecordedDisk()
    engine = open_engine(disk.door)
    engine.create_topic("a", 1)
    engine.close_now()
    return disk


def test_records_that_a_producer_was_told_are_synced(disk: RecordedDisk) -> None:
    engine = open_engine(disk.door)
    producer = Producer(
        engine,
        ProducerConfig.from_settings({"acks": "all"}),
        clock=ManualClock(),
        process_sender=Sender(threaded=False),
    )
    assert producer.send("a", b"x").result().durability == "synced"
    assert values(open_engine(disk.after_power_cut().door)) == [b"x"]


def test_records_that_were_there_for_flush_ms(disk: RecordedDisk) -> None:
    engine = open_engine(disk.door)
    log = engine.partition("a", 0)
    append(log, b"x")
    engine._factory.flush_timer._sync(log)
    assert values(open_engine(disk.after_power_cut().door)) == [b"x"]


def test_the_last_to_close_syncs_what_the_dead_left(disk: RecordedDisk) -> None:
    writer = open_engine(disk.door)
    other = open_engine(disk.door.another_process())
    append(writer.partition("a", 0), b"x")
    disk.door.kill()
    other.close_now()
    engine = open_engine(disk.after_power_cut().door)
    assert engine.report is not None
    assert engine.report.clean
    assert engine.report.problems == []
    assert values(engine) == [b"x"]


def test_leader_epochs_when_the_synced_end_leaves_the_first_segment(disk: RecordedDisk) -> None:
    engine = open_engine(disk.door)
    engine.create_topic("b", 1, {"internal_segment_bytes": 200})
    for _ in range(2):
        append(engine.partition("b", 0), b"x" * 100, acks=-1)
    epochs = f"{PATH}/b-0/leader-epoch-checkpoint"
    assert disk.after_power_cut().door.read_file(epochs) == disk.door.read_file(epochs) != b""


# -------------------------------------------------------------------- metadata of the dead


def die_changing(disk: RecordedDisk, change: Callable[[Engine], object]) -> Engine:
    """A process is killed with a change published and not synced; another one goes on."""
    dying = open_engine(disk.door)
    door = disk.door.another_process()
    other = open_engine(door)
    dies_before(disk.door, "fdatasync")
    with pytest.raises(_DeathError):
        change(dying)
    disk.door.before = None
    disk.door.kill()
    disk.door = door
    return other


def test_a_topic_is_on_the_disk_before_its_records(disk: RecordedDisk) -> None:
    other = die_changing(disk, lambda dying: dying.create_topic("b", 1))
    append(other.partition("b", 0), b"x", acks=-1)
    assert values(open_engine(disk.after_power_cut().door), "b") == [b"x"]


def test_a_sync_is_one_of_topics_and_settings_too(disk: RecordedDisk) -> None:
    other = die_changing(disk, lambda dying: dying.create_topic("b", 1))
    other.sync()
    assert set(open_engine(disk.after_power_cut().door).topics()) == {"a", "b"}


def test_a_deletion_is_on_the_disk_before_the_next_opening_removes_files(
    disk: RecordedDisk,
) -> None:
    engine = open_engine(disk.door)
    append(engine.partition("a", 0), b"x", acks=-1)
    engine.close_now()
    other = die_changing(disk, lambda dying: dying.delete_topic("a"))
    other.filesystem.kill()  # type: ignore[attr-defined]
    open_engine(disk.door.another_process())
    engine = open_engine(disk.after_power_cut().door)
    assert engine.report is not None
    assert engine.report.problems == []
    assert not engine.topics()


def test_a_trimmed_metadata_log_has_its_snapshot_wherever_it_is_cut(disk: RecordedDisk) -> None:
    engine = open_engine(disk.door)
    log = engine.metadata.log
    log.configure(TopicConfig.from_overrides({"internal.segment.bytes": "1500"}))
    since = 0
    while not log.log_start:
        since = len(disk.journal)
        engine.create_topic(f"t{log.log_end}", 5)
    for cut in disk.after_each_cut(since):
        assert "a" in open_engine(cut.door).topics()


# -------------------------------------------------------------------- opening, closing, backing up


def test_no_clean_mark_stands_over_a_log_that_is_open(disk: RecordedDisk) -> None:
    """A broker believes it, and would serve what a crash tore."""
    assert disk.door.exists(f"{PATH}/{CLEAN}")
    append(open_engine(disk.door).partition("a", 0), b"x")
    assert not disk.after_power_cut().door.exists(f"{PATH}/{CLEAN}")


def test_a_roll_that_was_given_up_does_not_come_back_behind_a_clean_mark(
    disk: RecordedDisk,
) -> None:
    """A broker would take the empty segment for the log's end."""
    dying = open_engine(disk.door)
    append(dying.partition("a", 0), b"x", acks=-1)
    for suffix in (".log", ".index", ".timeindex"):
        disk.door.write_file(f"{PATH}/a-0/{1:020d}{suffix}", b"")
    disk.door.sync_directory(f"{PATH}/a-0")
    disk.door.kill()
    engine = open_engine(disk.door.another_process())
    append(engine.partition("a", 0), b"y", acks=-1)
    engine.close_now()
    left = disk.after_power_cut().door
    assert left.exists(f"{PATH}/{CLEAN}")
    assert left.listdir(f"{PATH}/a-0") == disk.door.listdir(f"{PATH}/a-0")


def test_a_backup_is_where_it_was_made_with_all_directories_above(disk: RecordedDisk) -> None:
    engine = open_engine(disk.door)
    append(engine.partition("a", 0), b"x")
    back_up(engine, "/far/away/backup")
    door = disk.after_power_cut().door
    assert door.exists("/far/away/backup/meta.properties")
