"""A call that fails for itself: no lock, no descriptor. The partition is as healthy as before."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streamlog.broker.engine import Engine
from streamlog.errors import InputOutputError, PartitionPoisonedError
from streamlog.storage.filesystem import Filesystem
from tests.broker.conftest import append, read


class Door(Filesystem):
    """The operating system's files; opening and syncing fail when told to."""

    def __init__(self, kernel: str) -> None:
        self.is_operating_system = kernel == "process's"  # else it gets the pure twins
        self.refused_opens = ""
        self.fails_syncs = False

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        if self.refused_opens and self.refused_opens in path:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
        return super().open(path, flags, mode)

    def fdatasync(self, descriptor: int) -> None:
        if self.fails_syncs:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().fdatasync(descriptor)

    def kind(self, path: str) -> str:
        return "ext4"


@pytest.fixture(params=["pure", "process's"])
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


@pytest.fixture
def engine(path: str, door: Door) -> Iterator[Engine]:
    engine = Engine.open(path, filesystem=door)
    engine.create_topic("a")
    append(engine.partition("a", 0), b"synced", acks=-1)
    yield engine
    engine.close()


@contextmanager
def locks_refused(engine: Engine) -> Iterator[None]:
    """The descriptor of `streamlog.locks` cannot be locked for writing: EBADF, every time."""
    descriptor = engine._opening.locks_descriptor
    kept = os.dup(descriptor)  # the locks that are held belong to the open file, and stay
    unlockable = os.open(f"{engine.place.path}/streamlog.locks", os.O_RDONLY)
    os.dup2(unlockable, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(unlockable)
        os.close(kept)


def test_a_sync_whose_lock_is_refused_leaves_the_partition_healthy(engine: Engine) -> None:
    log = engine.partition("a", 0)
    append(log, b"written")
    with locks_refused(engine), pytest.raises(InputOutputError, match="nothing is wrong") as raised:
        log.sync(log.log_end)
    assert raised.value.outcome == "unknown"
    assert raised.value.errno == errno.EBADF
    assert log.state().poisoned == 0
    append(log, b"more", acks=-1)
    assert log.synced_end == log.log_end == 3


def test_an_append_whose_lock_is_refused_is_not_written(engine: Engine) -> None:
    log = engine.partition("a", 0)
    with locks_refused(engine), pytest.raises(InputOutputError) as raised:
        append(log, b"refused", acks=-1)
    assert raised.value.outcome == "not_written"
    append(log, b"next", acks=-1)
    assert read(log) == [(0, b"synced"), (1, b"next")]


def test_a_structural_change_whose_lock_is_refused_says_so_at_once(engine: Engine) -> None:
    log = engine.partition("a", 0)
    with locks_refused(engine), pytest.raises(InputOutputError, match="lock"), log.locked():
        raise AssertionError("nothing was locked")
    with log.locked():
        pass


def test_a_thread_that_waited_gets_the_lock_that_another_was_refused(engine: Engine) -> None:
    log = engine.partition("a", 0)
    with locks_refused(engine), pytest.raises(InputOutputError):
        append(log, b"refused")
    other = threading.Thread(target=append, args=(log, b"other"))
    other.start()
    other.join(10)
    assert read(log) == [(0, b"synced"), (1, b"other")]


def test_a_sync_without_a_descriptor_left_is_no_failed_sync(engine: Engine, door: Door) -> None:
    engine.create_topic("b")
    log = engine.partition("b", 0)
    append(log, b"written")
    door.refused_opens = "b-0"  # the folder's first sync opens its files
    with pytest.raises(InputOutputError, match="not synced") as raised:
        log.sync(log.log_end)
    assert raised.value.outcome == "unknown"
    door.refused_opens = ""
    assert log.state().poisoned == 0
    assert log.sync(log.log_end) == 1


def test_a_failed_sync_that_cannot_be_written_down_keeps_others_from_syncing(path: str) -> None:
    door = Door("pure")
    engine = Engine.open(path, filesystem=door)
    engine.create_topic("a")
    log = engine.partition("a", 0)
    append(log, b"synced", acks=-1)
    append(log, b"doubtful")
    door.fails_syncs = True
    lock = log.writer.lock

    def refuse() -> tuple[int, int]:
        door.fails_syncs = False
        with locks_refused(engine):
            found: tuple[int, int] = lock()
        return found

    log.writer.lock = refuse
    with pytest.raises(InputOutputError, match="tries again") as raised:
        log.sync(log.log_end)
    assert raised.value.outcome == "unknown"
    assert log.state().poisoned == 0
    held = door.open(f"{path}/streamlog.locks", os.O_RDWR)
    assert not door.lock(held, (1 << 40) + log.slot, 1, exclusive=True)
    log.writer.lock = lock
    with pytest.raises(PartitionPoisonedError):
        log.sync(log.log_end)
    assert log.state().poisoned == errno.EIO
    assert door.lock(held, (1 << 40) + log.slot, 1, exclusive=True)
    door.close(held)
    with pytest.raises(PartitionPoisonedError):
        engine.close()
