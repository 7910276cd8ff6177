"""A failed sync: sticky, seen by everybody, and recovered without trusting the page cache."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from streamlog.broker.engine import Engine
from streamlog.errors import CorruptRecordError, PartitionPoisonedError
from streamlog.storage.filesystem import Filesystem
from tests.broker.conftest import append, read


class FailingDisk(Filesystem):
    """The operating system's files, whose syncs of one path fail when told to.

    Not called the operating system's, so that the pure twins come through this door.
    """

    is_operating_system = False

    def __init__(self) -> None:
        self.failing = ""
        self._paths: dict[int, str] = {}

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        descriptor = super().open(path, flags, mode)
        self._paths[descriptor] = path
        return descriptor

    def fdatasync(self, descriptor: int) -> None:
        if self.failing and self.failing in self._paths.get(descriptor, ""):
            raise OSError(errno.EIO, "Input/output error")
        super().fdatasync(descriptor)

    def kind(self, path: str) -> str:
        return "ext4"


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def poisoned(disk: FailingDisk, path: str) -> Engine:
    engine = Engine.open(path, filesystem=disk)
    engine.create_topic("a")
    log = engine.partition("a", 0)
    append(log, b"safe", acks=-1)
    disk.failing = "/a-0/"
    with pytest.raises(PartitionPoisonedError) as caught:
        append(log, b"doubtful", acks=-1)
    assert caught.value.outcome == "unknown"
    with pytest.raises(PartitionPoisonedError) as caught:
        append(log, b"refused")
    assert caught.value.outcome == "not_written"
    return engine


def test_a_recovered_partition_takes_writes_under_the_next_epoch(
    poisoned: Engine, disk: FailingDisk, path: str
) -> None:
    log = poisoned.partition("a", 0)
    held = log.fetch(0, 1 << 16).view
    disk.failing = ""
    inode = (Path(path) / "a-0" / f"{0:020d}.log").stat().st_ino
    assert poisoned.recover_partition("a", 0)
    assert not poisoned.recover_partition("a", 0)
    assert (Path(path) / "a-0" / f"{0:020d}.log").stat().st_ino != inode
    append(log, b"new", acks=-1)
    assert read(log) == [(0, b"safe"), (1, b"doubtful"), (2, b"new")]
    assert b"doubtful" in bytes(held)
    assert poisoned.describe_partition("a", 0).leader_epoch == 1
    assert log.leader_epochs().entries == ((0, 0), (1, 2))
    poisoned.close()
    engine = Engine.open(path, filesystem=disk)
    assert engine.report is not None
    assert engine.report.clean
    assert read(engine.partition("a", 0)) == [(0, b"safe"), (1, b"doubtful"), (2, b"new")]
    engine.close()


def test_the_next_lone_opening_recovers_it(poisoned: Engine, disk: FailingDisk, path: str) -> None:
    with pytest.raises(PartitionPoisonedError):
        poisoned.close()
    assert not (Path(path) / ".kafka_cleanshutdown").exists()
    disk.failing = ""
    engine = Engine.open(path, filesystem=disk)
    log = engine.partition("a", 0)
    append(log, b"new", acks=-1)
    assert read(log) == [(0, b"safe"), (1, b"doubtful"), (2, b"new")]
    assert engine.describe_partition("a", 0).leader_epoch == 1
    engine.close()


def test_what_the_disk_lost_is_not_taken_for_recovered(
    poisoned: Engine, disk: FailingDisk, path: str
) -> None:
    disk.failing = ""
    segment = Path(path) / "a-0" / f"{0:020d}.log"
    data = bytearray(segment.read_bytes())
    data[-3] ^= 1
    with segment.open("r+b") as file:
        file.write(data)
    with pytest.raises(CorruptRecordError, match="lost by the disk"):
        poisoned.recover_partition("a", 0)
    with pytest.raises(PartitionPoisonedError):
        append(poisoned.partition("a", 0), b"refused")
    with pytest.raises(PartitionPoisonedError):
        poisoned.close()
    engine = Engine.open(path, filesystem=disk)
    assert read(engine.partition("a", 0)) == [(0, b"safe")]
    assert engine.report is not None
    assert engine.report.lost[0].torn_files
    engine.close()


@pytest.mark.parametrize("first_failure", ["active segment", "folder"])
def test_a_second_thread_does_not_sync_what_the_first_could_not(
    disk: FailingDisk, path: str, first_failure: str
) -> None:
    """The kernel reports an error once: whoever syncs the file next is told that all is well."""
    engine = Engine.open(path, filesystem=disk)
    engine.create_topic("a")
    log = engine.partition("a", 0)
    append(log, b"safe", acks=-1 if first_failure == "active segment" else 1)
    append(log, b"doubtful")
    disk.failing = "a-0"
    outcomes: list[object] = []
    poison = log._syncing._poison

    def sync_again() -> None:
        try:
            outcomes.append(log.sync(log.log_end))
        except PartitionPoisonedError:
            outcomes.append("poisoned")

    second = threading.Thread(target=sync_again)

    def slow_poison() -> None:
        log._syncing._poison = poison  # type: ignore[method-assign]
        disk.failing = ""
        second.start()
        second.join(0.2)  # it ends here only if nothing keeps it from syncing
        poison()

    log._syncing._poison = slow_poison  # type: ignore[method-assign]
    with pytest.raises(PartitionPoisonedError):
        log.sync(log.log_end)
    second.join(10)
    assert outcomes == ["poisoned"]
    with pytest.raises(PartitionPoisonedError):
        engine.close()
