"""A backup that shares files with its log: whatever is done to one of them, the other is as it was.

Each story does something to the backup, or to the log, that changes files; afterwards not a byte of
the other one may be another.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.storage import recovery, tearing
from streamlog.storage.filesystem import OS_FILESYSTEM, Filesystem
from streamlog.storage.names import CLEAN, RECOVERY_POINTS, STREAMLOG_SHARED
from streamlog.storage.verification import verify_directory
from streamlog.types import TopicPartition

COUNT = 24


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A log that was closed, with some segments."""
    path = tmp_path / "log"
    with streamlog.open(path) as log:
        log.create_topic("orders", internal_segment_bytes=1000, index_interval_bytes=300)
        send(log, COUNT)
    return path


@pytest.fixture
def backup(source: Path) -> Path:
    path = source.with_name("backup")
    with streamlog.open(source) as log:
        assert log.backup(path).segments_linked > 4
    return path


def send(log: streamlog.StreamLog, count: int) -> None:
    with log.producer() as producer:
        for number in range(count):
            producer.send("orders", b"%d/" % number + b"x" * 200).result()


def read(path: Path) -> list[bytes | None]:
    with streamlog.open(path, read_only=True) as log:
        return [record.value for record in log.read("orders")]


def records_of(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in (path / "orders-0").glob("*.log")}


def errors(path: Path) -> list[str]:
    findings = verify_directory(OS_FILESYSTEM, str(path))
    return [str(found) for found in findings if found.severity == "error"]


def logs(path: Path) -> list[Path]:
    return sorted((path / "orders-0").glob("*.log"))


def forget_marks(path: Path) -> None:
    """As a machine crash leaves it, and nothing tells what was on the disk."""
    for name in (CLEAN, RECOVERY_POINTS, STREAMLOG_SHARED):
        (path / name).unlink(missing_ok=True)


# -------------------------------------------------------------------- what is done


def append(path: Path) -> None:
    with streamlog.open(path) as log:
        with log.producer() as producer:  # for which a full segment has room
            producer.send("orders", b"small").result()
        send(log, 10)


def delete_records(path: Path) -> None:
    with streamlog.open(path) as log:
        log.admin.delete_records({TopicPartition("orders", 0): 20})


def delete_topic(path: Path) -> None:
    with streamlog.open(path) as log:
        log.delete_topic("orders")


def recover_everything(path: Path) -> None:
    """Everything is scanned, every index is rebuilt."""
    forget_marks(path)
    for each in (path / "orders-0").glob("*index"):
        each.unlink()
    append(path)


def lose_the_last_segment(path: Path) -> None:
    """The segment before it, which is shared, is the one that is appended to."""
    forget_marks(path)
    for each in (path / "orders-0").glob(f"{logs(path)[-1].stem}.*"):
        each.unlink()
    append(path)


def lose_all_but_the_first(path: Path) -> None:
    forget_marks(path)
    for each in logs(path)[1:]:
        each.unlink()
    append(path)


def tear_in_the_middle(path: Path) -> None:
    """A sealed segment, torn where no mark says that it is not: it is cut, and appended to."""
    forget_marks(path)
    victim = logs(path)[2]
    data = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(data)
    os.link(victim, path.parent / "other name")
    with victim.open("r+b") as file:
        file.seek(len(data) // 2)
        file.write(b"\xff" * 8)
    torn = victim.read_bytes()
    append(path)
    assert (path.parent / "other name").read_bytes() == torn


STORIES: list[Callable[[Path], None]] = [
    append,
    delete_records,
    delete_topic,
    recover_everything,
    lose_the_last_segment,
    lose_all_but_the_first,
    tear_in_the_middle,
]


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("changed", ["backup", "log"])
def test_what_is_done_to_one_is_not_done_to_the_other(
    source: Path, backup: Path, changed: str, story: Callable[[Path], None]
) -> None:
    one, other = (backup, source) if changed == "backup" else (source, backup)
    before, values = records_of(other), read(other)
    story(one)
    assert records_of(other) == before
    assert read(other) == values
    assert errors(other) == []
    with streamlog.open(one) as log:
        if "orders" in log.topics():
            send(log, 3)
    assert errors(one) == []
    assert records_of(other) == before


@pytest.mark.parametrize("story", [lose_the_last_segment, lose_all_but_the_first])
def test_without_a_copy_of_what_is_appended_to_the_log_would_change(
    source: Path,
    backup: Path,
    story: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The planted bug: what the stories above catch."""
    monkeypatch.setattr(recovery, "unshare", lambda *_: None)
    monkeypatch.setattr(tearing, "unshare", lambda *_: None)
    before = records_of(source)
    story(backup)
    assert records_of(source) != before


def test_the_last_segment_with_records_is_never_shared(source: Path, tmp_path: Path) -> None:
    """Behind it there is only an empty one, that a crash may take."""
    path = tmp_path / "backup"
    with streamlog.open(source) as log:
        log.engine().partition("orders", 0).roll(now_ms=0)
        log.backup(path)
    last = [each for each in logs(path) if each.stat().st_size][-1]
    assert logs(path)[-1].stat().st_size == 0
    assert last.stat().st_nlink == 1
    assert logs(path)[0].stat().st_nlink == 2


def test_a_copy_that_finds_no_room_changes_nothing(
    source: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is not opened then, and can be once there is."""
    forget_marks(backup)
    logs(backup)[-1].unlink()
    before = records_of(source)

    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Filesystem, "pwrite", refuse)
        with pytest.raises(streamlog.StreamlogError):
            streamlog.open(backup)
    append(backup)
    assert records_of(source) == before
    assert errors(backup) == []
