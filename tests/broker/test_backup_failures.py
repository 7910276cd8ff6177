"""A backup that cannot be finished: the log goes on, and the former backup is what it was."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.broker import backup_cut
from streamlog.broker.backup_place import BackupPlace
from streamlog.clients import stream_log
from streamlog.errors import (
    CorruptDirectoryError,
    DiskFullError,
    InputOutputError,
    LockTimeoutError,
    PartitionPoisonedError,
    StreamlogError,
)
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from streamlog.testing.faulty_filesystem import CALLS, FaultyFilesystem
from streamlog.types import TopicPartition
from tests.multiprocess.nursery import Nursery, open_nursery

PLACE = TopicPartition("orders", 0)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with open_nursery(roles=["tests.broker.backup_roles"]) as opened:
        yield opened


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyFilesystem:
    """The filesystem of logs that are opened from now on."""
    faulty = FaultyFilesystem()
    monkeypatch.setattr(stream_log, "OS_FILES", faulty)
    return faulty


def make_log(path: Path) -> streamlog.StreamLog:
    log = streamlog.open(path, lock_timeout_ms=100, housekeeping=False)
    log.create_topic("orders", internal_segment_bytes=600, index_interval_bytes=200)
    send(log, 6)
    return log


def send(log: streamlog.StreamLog, count: int) -> None:
    with log.producer(acks="all", enable_idempotence=True) as producer:
        for number in range(count):
            producer.send("orders", b"%d/" % number + b"x" * 200).result()


def read(path: Path) -> list[bytes | None]:
    with streamlog.open(path, read_only=True) as log:
        return [record.value for record in log.read("orders")]


def check(target: Path, *expected: list[bytes | None]) -> None:
    """The backup holds one of these, and nothing is wrong with it."""
    assert read(target) in expected
    assert [str(one) for one in verify_directory(OS_FILESYSTEM, str(target))] == []


def neighbours(target: Path) -> list[str]:
    return sorted(each.name for each in target.parent.iterdir())


CALLS_OF_BACKUP = CALLS - {"stat", "close", "lock", "map"}


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize(
    ("calls", "number", "kind"),
    [
        (CALLS_OF_BACKUP, errno.EIO, InputOutputError),
        (
            frozenset("create pwrite mkdir rename link".split()),
            errno.ENOSPC,
            DiskFullError,
        ),
    ],
)
def test_a_fault_at_every_call(
    memory_path: Path,
    disk: FaultyFilesystem,
    calls: frozenset[str],
    number: int,
    kind: type[StreamlogError],
    lasting: bool,
) -> None:
    target = memory_path / "backup"
    with make_log(memory_path / "log") as log:
        former = [record.value for record in log.read("orders")]
        log.backup(target, link=False)
        send(log, 2)
        whole = [record.value for record in log.read("orders")]
        failures, at = 0, 0
        while True:
            at += 1
            disk.strike(calls, number, at=at, times=1 << 40 if lasting else 1)
            try:
                log.backup(target)
            except kind:
                failures += 1
            except PartitionPoisonedError:  # the fault struck the sync before it
                disk.heal()
                log.admin.recover_partition(*PLACE)
            finally:
                count = disk.heal()
            check(target, former, whole)
            assert [record.value for record in log.read("orders")] == whole
            if count < at:
                break
        assert failures > 20
        send(log, 1)
        log.backup(target)
        check(target, [*whole, b"0/" + b"x" * 200])
    assert neighbours(target) == ["backup", "log"]


@pytest.mark.parametrize("names_change_places", [True, False])
def test_killed_at_every_step(
    nursery: Nursery, memory_path: Path, names_change_places: bool
) -> None:
    target = memory_path / "backup"
    role: dict[str, Any] = {
        "path": str(memory_path / "log"),
        "target": str(target),
        "names_change_places": names_change_places,
    }
    with make_log(memory_path / "log") as log:
        steps = nursery.start("back_up", **role, at=0).answer()
        send(log, 2)
        values = [[record.value for record in log.read("orders")]]
        values.insert(0, values[0][:-2])
        for at in range(1, steps + 12):
            child = nursery.start("back_up", **role, at=at)
            status = child.wait()
            child.close()
            if not target.exists():
                # Between two renames: it is beside its place, and the next one puts it back.
                assert not names_change_places
                check(memory_path / "backup.old", *values)
            else:
                check(target, *values)
            if status == 0:
                break
            assert status == -signal.SIGKILL
            if read_if_there(target) == values[1]:  # in place: the next ones have something to do
                send(log, 1)
                values.append([record.value for record in log.read("orders")])
                values.pop(0)
        assert at > 40
        log.backup(target)
        check(target, values[-1])
    assert neighbours(target) == ["backup", "log"]


def read_if_there(target: Path) -> list[bytes | None]:
    return read(target) if target.exists() else []


def test_a_former_backup_that_goes_too_early_is_caught(
    memory_path: Path, disk: FaultyFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: the former backup is removed, and then the new one gets its name."""
    genuine = BackupPlace.put_in_place

    def put_in_place(self: BackupPlace) -> None:
        from streamlog.broker.backup_place import remove_tree

        if self.former is not None:
            remove_tree(self._filesystem, self.path)
            self.former = None
        genuine(self)

    monkeypatch.setattr(BackupPlace, "put_in_place", put_in_place)
    with pytest.raises((AssertionError, StreamlogError)):
        test_a_fault_at_every_call(
            memory_path, disk, CALLS_OF_BACKUP, errno.EIO, InputOutputError, lasting=False
        )


def test_a_poisoned_partition_is_recovered_first(memory_path: Path, disk: FaultyFilesystem) -> None:
    target = memory_path / "backup"
    with make_log(memory_path / "log") as log:
        log.backup(target)
        disk.strike({"fdatasync"}, errno.EIO)
        with pytest.raises(PartitionPoisonedError):
            send(log, 1)
        disk.heal()
        with pytest.raises(PartitionPoisonedError, match="recover_partition"):
            log.backup(target)
        assert neighbours(target) == ["backup", "log"]
        log.admin.recover_partition(*PLACE)
        log.backup(target)
        check(target, [record.value for record in log.read("orders")])


def test_a_slow_machine_is_nobody_who_holds_a_partition(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with streamlog.open(memory_path / "log", lock_timeout_ms=1, housekeeping=False) as log:
        log.create_topic("orders")
        send(log, 1)
        # As if the machine had stood still while it took the locks: longer holds do.
        monkeypatch.setattr(backup_cut, "_FIRST_HOLD_S", 1e-9)
        log.backup(memory_path / "backup")
        check(memory_path / "backup", [record.value for record in log.read("orders")])
        monkeypatch.setattr(backup_cut, "_LONGEST_HOLD_S", 1e-9)
        with pytest.raises(LockTimeoutError, match="while less is written"):
            log.backup(memory_path / "backup")


def test_what_is_left_of_a_backup_is_told(
    memory_path: Path, disk: FaultyFilesystem, caplog: pytest.LogCaptureFixture
) -> None:
    target = memory_path / "backup"
    with make_log(memory_path / "log") as log:
        log.backup(target)
        disk.strike({"rmdir"}, errno.EIO)
        log.backup(target)  # in place, whatever becomes of the former one
        disk.heal()
        assert "backup.new is left over" in caplog.text
        log.backup(target)
    assert neighbours(target) == ["backup", "log"]


def test_a_missing_segment_is_told(memory_path: Path) -> None:
    log = make_log(memory_path / "log")
    send(log, 1)
    for each in (memory_path / "log" / "orders-0").glob("*.log"):
        each.unlink()
    with pytest.raises(CorruptDirectoryError, match="missing"):
        log.backup(memory_path / "backup")
    assert neighbours(memory_path / "log") == ["log"]
    log.close()
