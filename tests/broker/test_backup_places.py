"""Where a backup may go, and whom it waits for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.errors import (
    BackupDestinationError,
    ClosedError,
    ConfigError,
    DirectoryInUseError,
    LockTimeoutError,
    ReadOnlyError,
)
from streamlog.storage.names import STREAMLOG_LOCKS
from streamlog.storage.structure import structure_lock
from tests.broker.backup_stage import contents, errors, fill, open_orders


@pytest.fixture
def log(tmp_path: Path) -> Iterator[streamlog.StreamLog]:
    with open_orders(tmp_path / "log") as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.mark.parametrize("where", [".", "inside", "orders-0/inside", ".."])
def test_a_backup_and_its_log_lie_apart(log: streamlog.StreamLog, where: str) -> None:
    before = sorted(Path(log.path).parent.rglob("*"))
    with pytest.raises(BackupDestinationError):
        log.backup(Path(log.path) / where)
    assert sorted(Path(log.path).parent.rglob("*")) == before


def make_file(target: Path) -> None:
    target.write_text("x")


def make_other_directory(target: Path) -> None:
    target.mkdir()
    (target / "letter.txt").write_text("x")


def make_other_log(target: Path) -> None:
    streamlog.open(target).close()


def make_other_backup(target: Path) -> None:
    with streamlog.open(":memory:") as other:
        other.backup(target)


def make_copy(target: Path) -> None:
    shutil.copytree(target.parent / "log", target)


@pytest.mark.parametrize(
    "make", [make_file, make_other_directory, make_other_log, make_other_backup, make_copy]
)
def test_what_is_something_else_is_left_alone(
    log: streamlog.StreamLog, target: Path, make: Any
) -> None:
    make(target)
    before = files_of(target)
    with pytest.raises(BackupDestinationError) as raised:
        log.backup(target)
    assert raised.value.path == str(target)
    assert files_of(target) == before
    assert not target.with_name("backup.new").exists()


def files_of(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(each): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_a_backup_that_has_records_of_its_own_is_left_alone(
    log: streamlog.StreamLog, target: Path
) -> None:
    log.backup(target)
    with streamlog.open(target) as copy:
        fill(copy, 1)
    with pytest.raises(BackupDestinationError, match="opened and changed"):
        log.backup(target)
    (target / STREAMLOG_LOCKS).unlink()
    with pytest.raises(BackupDestinationError, match="opened and changed"):
        log.backup(target)


def test_a_backup_to_which_something_was_added_is_left_alone(
    log: streamlog.StreamLog, target: Path
) -> None:
    log.backup(target)
    (target / "notes.txt").write_text("x")
    with pytest.raises(BackupDestinationError, match=r"notes\.txt"):
        log.backup(target)
    assert (target / "notes.txt").read_text() == "x"


@pytest.mark.parametrize("manifest", [b"", b"{}", b'{"format": 2}', b"\xff"])
def test_a_manifest_that_makes_no_sense_is_not_believed(
    log: streamlog.StreamLog, target: Path, manifest: bytes
) -> None:
    log.backup(target)
    (target / "streamlog.backup").write_bytes(manifest)
    with pytest.raises(BackupDestinationError, match=r"streamlog\.backup"):
        log.backup(target)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_backup_that_is_open_is_left_alone(
    log: streamlog.StreamLog, target: Path, read_only: bool
) -> None:
    log.backup(target)
    with streamlog.open(target, read_only=read_only) as copy:
        with pytest.raises(DirectoryInUseError):
            log.backup(target)
        assert contents(copy) == contents(log)
    log.backup(target)


def test_an_empty_directory_is_a_place(log: streamlog.StreamLog, target: Path) -> None:
    target.mkdir()
    log.backup(target)
    log.backup(target.parent / "new" / "deep" / "backup")
    assert errors(target) == []
    assert errors(target.parent / "new" / "deep" / "backup") == []


def test_memory_is_no_place(
    log: streamlog.StreamLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError, match="gone on close"):
        log.backup(":memory:")
    assert list((tmp_path / "here").iterdir()) == []


def test_who_may_not_back_up(log: streamlog.StreamLog, target: Path) -> None:
    with pytest.raises(ConfigError):
        log.backup("")
    path = log.path
    log.close()
    with pytest.raises(ClosedError):
        log.backup(target)
    with streamlog.open(path, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.backup(target)
    assert not target.exists()


def test_whoever_holds_a_partition_is_waited_for(log: streamlog.StreamLog, target: Path) -> None:
    log.close()
    log = streamlog.open(log.path, lock_timeout_ms=200)
    held = log.engine().partition("orders", 1)
    for hold in (structure_lock(held), held.locked()):
        with hold, pytest.raises(LockTimeoutError) as raised:
            log.backup(target)
        assert (raised.value.topic, raised.value.partition) == ("orders", 1)
        assert raised.value.pid == os.getpid()
    assert sorted(each.name for each in target.parent.iterdir()) == ["log"]
    log.backup(target)
    log.close()


def test_progress_ends_at_the_whole(log: streamlog.StreamLog, target: Path) -> None:
    told: list[tuple[int, int]] = []
    report = log.backup(target, progress=lambda *now: told.append(now))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] >= report.bytes_linked

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log.backup(target, progress=interrupt)
    assert sorted(each.name for each in target.parent.iterdir()) == ["backup", "log"]
    assert errors(target) == []
