"""Descriptors that are taken away: synced before they are closed, several files at a time."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from streamlog.broker.engine import Engine
from streamlog.broker.parallel import in_parallel
from streamlog.errors import InputOutputError, PartitionPoisonedError
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.settling import settle_indexes
from tests.broker.conftest import append, read
from tests.broker.test_lock_failures import locks_refused

_PATIENCE_S = 10.0
PARTITIONS = 40
BUDGET = 16  # five partitions' files


class Meeting:
    """Nobody gets on before three have come, or the patience of the first is at its end."""

    def __init__(self) -> None:
        self.took_place = threading.Event()
        self._arrived = 0
        self._lock = threading.Lock()

    def arrive(self) -> None:
        with self._lock:
            self._arrived += 1
            if self._arrived == 3:
                self.took_place.set()
        self.took_place.wait(_PATIENCE_S)


class Disk(Filesystem):
    """The operating system's files; it sees what is closed unsynced, and who syncs beside whom.

    Not called the operating system's, it gets the pure twins, whose every call comes through here.
    """

    def __init__(self, *, pure: bool = True) -> None:
        self.is_operating_system = not pure
        self.unsynced_closes: list[str] = []
        self.failing = ""
        self.meeting: Meeting | None = None
        self._dirty: dict[int, int] = {}  # the inode behind each descriptor

    def pwrite(self, descriptor: int, data: bytes, position: int) -> int:
        self._dirty[descriptor] = os.fstat(descriptor).st_ino
        return super().pwrite(descriptor, data, position)

    def fdatasync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if self.failing and self.failing in path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.meeting is not None and path.endswith(".log"):
            self.meeting.arrive()
        super().fdatasync(descriptor)
        # A sync of the file by another descriptor counts: this one is open, and hears of errors.
        synced = os.fstat(descriptor).st_ino
        for dirty, inode in list(self._dirty.items()):
            if inode == synced:
                self._dirty.pop(dirty, None)

    def close(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if descriptor in self._dirty and path.endswith(".log"):
            self.unsynced_closes.append(path)
        self._dirty.pop(descriptor, None)
        super().close(descriptor)

    def kind(self, path: str) -> str:
        return "ext4"


def open_with(disk: Disk, path: str) -> Engine:
    engine = Engine.open(path, filesystem=disk, settings={"max_open_files": BUDGET})
    engine.create_topic("a", PARTITIONS)
    return engine


def test_what_is_unsynced_is_synced_before_it_is_closed(path: str) -> None:
    disk = Disk()
    engine = open_with(disk, path)
    for turn in range(2):
        for number in range(PARTITIONS):
            append(engine.partition("a", number), b"%d" % turn)
            assert sum(log.open_descriptors for log in engine.partitions.logs()) <= BUDGET + 3
    engine.close()
    assert disk.unsynced_closes == []


def test_the_harness_sees_an_unsynced_close(path: str) -> None:
    disk = Disk()
    engine = open_with(disk, path)
    log = engine.partition("a", 0)
    append(log, b"x")
    log.abandon()
    assert [Path(each).parent.name for each in disk.unsynced_closes] == ["a-0"]
    engine.close()


def test_several_partitions_are_synced_at_a_time_when_room_is_made(path: str) -> None:
    disk = Disk(pure=False)
    engine = Engine.open(path, filesystem=disk, settings={"max_open_files": 48})
    engine.create_topic("a", 20)
    disk.meeting = Meeting()
    for number in range(16):
        append(engine.partition("a", number), b"x")
    assert disk.meeting.took_place.is_set()
    engine.close()


def test_the_last_one_out_syncs_several_partitions_at_a_time(path: str) -> None:
    disk = Disk(pure=False)
    engine = Engine.open(path, filesystem=disk)
    engine.create_topic("a", 6)
    logs = [engine.partition("a", number) for number in range(6)]
    for log in logs:
        append(log, b"x")
        log.abandon()  # as another process, that died, would leave it
    disk.meeting = Meeting()
    engine.close()
    assert disk.meeting.took_place.is_set()
    assert (Path(path) / ".kafka_cleanshutdown").exists()


def test_a_partition_that_cannot_be_synced_fails_nobody_elses_append(path: str) -> None:
    disk = Disk()
    engine = open_with(disk, path)
    append(engine.partition("a", 0), b"doubtful")
    disk.failing = "/a-0/"
    for number in range(1, PARTITIONS):
        append(engine.partition("a", number), b"x")
    assert engine.partition("a", 0).state().poisoned == errno.EIO
    with pytest.raises(PartitionPoisonedError):
        append(engine.partition("a", 0), b"refused")
    engine.close()
    assert not (Path(path) / ".kafka_cleanshutdown").exists()


def test_a_partition_whose_sync_could_not_be_tried_stays_open(path: str) -> None:
    disk = Disk()
    engine = open_with(disk, path)
    log = engine.partition("a", 0)
    append(log, b"written")
    with locks_refused(engine):
        engine.partitions._evict(log)
        assert log.open_descriptors > 0
        with pytest.raises(InputOutputError):
            log.close()
    append(log, b"more")
    assert read(log) == [(0, b"written"), (1, b"more")]
    engine.close()
    assert disk.unsynced_closes == []


def test_indexes_are_settled_of_files_that_another_thread_closes_meanwhile(path: str) -> None:
    """A descriptor's number is another file's as soon as it is closed."""
    engine = Engine.open(path)
    engine.create_topic("a")
    log = engine.partition("a", 0)
    append(log, b"x")
    ensure_open = log._ensure_open
    closings = [1, 2, 3]

    def opened_and_closed() -> None:
        ensure_open()
        if closings:
            closings.pop()
            log.close()

    log._ensure_open = opened_and_closed  # type: ignore[method-assign]
    settle_indexes(log)
    assert (Path(path) / "a-0" / f"{0:020d}.timeindex").stat().st_size == 12
    engine.close()


class TestInParallel:
    def test_every_item_is_worked_on_once_and_the_first_error_is_raised_at_the_end(self) -> None:
        done: list[int] = []

        def work(item: int) -> None:
            done.append(item)
            if item in {3, 5}:
                raise ValueError(item)

        with pytest.raises(ValueError, match=r"3|5"):
            in_parallel(work, range(40), threads=4)
        assert sorted(done) == list(range(40))

    def test_threads_work_at_the_same_time(self) -> None:
        meeting = threading.Barrier(4)
        in_parallel(lambda _: meeting.wait(_PATIENCE_S), range(8), threads=4)

    def test_one_thread_is_the_callers(self) -> None:
        seen: list[int] = []
        in_parallel(lambda _: seen.append(threading.get_ident()), range(3), threads=1)
        assert set(seen) == {threading.get_ident()}

    def test_an_interrupt_leaves_no_thread_at_work(self) -> None:
        done: list[int] = []
        began = threading.Barrier(2)

        def work(item: int) -> None:
            if item < 2:
                began.wait(_PATIENCE_S)
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt
            done.append(item)

        before = threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            in_parallel(work, range(100), threads=2)
        assert threading.active_count() == before
        assert len(done) < 100
