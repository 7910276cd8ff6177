"""A backup is the log as it was: what is in it, what it shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.storage.filesystem import Filesystem
from streamlog.types import TopicPartition
from tests.broker.backup_stage import PLACE, SMALL, contents, errors, fill, inode, open_orders


@pytest.fixture
def log(tmp_path: Path) -> Iterator[streamlog.StreamLog]:
    with open_orders(tmp_path / "log") as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup"


# -------------------------------------------------------------------- what is in it


def test_a_backup_is_a_log_that_was_closed_cleanly(log: streamlog.StreamLog, target: Path) -> None:
    report = log.backup(target)
    expected = contents(log)
    topics = log.topics()
    assert errors(target) == []
    assert report.path == str(target)
    assert report.ends == {
        TopicPartition("orders", 0): 15,
        TopicPartition("orders", 1): 15,
        TopicPartition("plain", 0): 1,
    }
    with streamlog.open(target, read_only=True) as copy:
        assert contents(copy) == expected
    with streamlog.open(target) as copy:
        opened = copy.engine().report
        assert opened is not None
        assert (opened.clean, opened.lost, opened.problems) == (True, [], [])
        assert contents(copy) == expected
        assert copy.topics() == topics
        assert copy.admin.describe_producers([PLACE]) == log.admin.describe_producers([PLACE])
        fill(copy, 10)
    assert errors(target) == []
    assert contents(log) == expected


def test_nothing_has_to_be_recovered(
    log: streamlog.StreamLog, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamlog.storage import recovery

    log.backup(target)
    monkeypatch.setattr(recovery, "UncleanRecovery", None)
    with streamlog.open(target) as copy:
        assert contents(copy) == contents(log)


def test_what_was_deleted_stays_deleted(log: streamlog.StreamLog, target: Path) -> None:
    log.admin.delete_records({PLACE: 11})
    log.delete_topic("plain")
    log.backup(target)
    with streamlog.open(target) as copy:
        assert "plain" not in copy.topics()
        assert [offset for offset, _ in contents(copy)["orders-0"]] == [11, 12, 13, 14]
    assert errors(target) == []
    log.admin.delete_records({PLACE: 15})  # and a log that has an empty segment only
    log.backup(target.with_name("other"))
    with streamlog.open(target.with_name("other")) as copy:
        assert contents(copy) == contents(log)
        with copy.producer() as producer:
            assert producer.send("orders", b"x", partition=0).result().offset == 15
    assert errors(target.with_name("other")) == []


def test_a_trimmed_metadata_log_is_backed_up(log: streamlog.StreamLog, target: Path) -> None:
    metadata = log.engine().metadata
    metadata.log.roll(now_ms=0)
    log.create_topic("last")
    assert metadata.log.log_start > 0
    log.backup(target)
    with streamlog.open(target) as copy:
        assert copy.topics() == log.topics()
    assert errors(target) == []


def test_a_log_in_memory_is_backed_up_with_syncs(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    genuine = Filesystem.sync_directory
    monkeypatch.setattr(
        Filesystem, "sync_directory", lambda self, path: (synced.append(path), genuine(self, path))
    )
    with streamlog.open(":memory:") as log:
        log.create_topic("orders", partitions=2, **SMALL)
        log.create_topic("plain")
        fill(log, 30)
        log.backup(target)
        expected = contents(log)
    assert {str(target.parent), f"{target}.new", f"{target}.new/orders-0"} <= set(synced)
    with streamlog.open(target) as copy:
        assert contents(copy) == expected


def test_what_was_compacted_has_its_gaps(log: streamlog.StreamLog, target: Path) -> None:
    """In the backup as in the log, also when the topic is not compacted any more."""
    log.create_topic("keyed", cleanup_policy="compact", **SMALL)
    with log.producer() as producer:
        for number in range(60):
            producer.send("keyed", b"%d" % number * 20, key=b"%d" % (number % 7)).result()
    log.backup(target)
    before = {file.name: inode(file) for file in target.glob("keyed-0/*.log")}
    log.admin.compact("keyed")
    log.alter_topic("keyed", cleanup_policy="delete")
    log.backup(target)
    expected = contents(log)
    assert len(expected["keyed-0"]) == 7
    assert {file.name: inode(file) for file in target.glob("keyed-0/*.log")} != before
    assert errors(target) == []
    with streamlog.open(target) as copy:
        opened = copy.engine().report
        assert opened is not None
        assert (opened.clean, opened.lost, opened.problems) == (True, [], [])
        assert contents(copy) == expected
    assert contents(log) == expected


# -------------------------------------------------------------------- what it shares


def test_sealed_segments_are_linked_and_nothing_else(
    log: streamlog.StreamLog, target: Path
) -> None:
    report = log.backup(target)
    linked = set()
    for file in target.rglob("*"):
        original = Path(log.path) / file.relative_to(target)
        if file.is_file() and original.exists() and inode(file) == inode(original):
            linked.add(str(file.relative_to(target)))
    logs = sorted(Path(log.path).glob("orders-*/*.log"))
    sealed = {
        str(each.relative_to(log.path))
        for each, following in pairwise(logs)
        if each.parent == following.parent
    }
    assert linked == sealed
    assert report.segments_linked == len(sealed) > 4


@pytest.mark.parametrize("link", [True, False])
def test_a_second_backup_copies_what_is_new(
    log: streamlog.StreamLog, target: Path, link: bool
) -> None:
    first = log.backup(target, link=link)
    fill(log, 10, partition=0)
    inodes = {file.relative_to(target): inode(file) for file in target.glob("orders-*/*.log")}
    second = log.backup(target, link=link)
    kept = [
        each
        for each, number in inodes.items()
        if (target / each).exists() and inode(target / each) == number
    ]
    assert len(kept) > 4
    if not link:
        assert second.segments_linked == len(kept)
        assert first.segments_linked == 0
        # The segments that were the active ones, those since, and the metadata log's.
        new = [each for each in target.glob("*/*.log") if each.relative_to(target) not in kept]
        assert second.segments_copied == len(new)
        assert second.bytes_copied < first.bytes_copied
    with streamlog.open(target) as copy:
        assert contents(copy) == contents(log)
    assert errors(target) == []


def test_on_another_file_system_everything_is_copied_once(
    log: streamlog.StreamLog, memory_path: Path
) -> None:
    target = memory_path / "backup"
    first = log.backup(target)
    if os.stat(memory_path).st_dev != os.stat(log.path).st_dev:
        assert first.segments_linked == 0
    second = log.backup(target)
    assert second.segments_linked >= first.segments_linked
    assert second.segments_linked + second.segments_copied == first.segments_copied + (
        first.segments_linked
    )
    assert errors(target) == []
    with streamlog.open(target) as copy:
        assert contents(copy) == contents(log)
    third = log.backup(target)  # it was opened for writing: what it has is believed no more
    assert third.segments_linked == first.segments_linked
    assert errors(target) == []


def test_where_nothing_can_be_linked_everything_is_copied(
    log: streamlog.StreamLog, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(self: Filesystem, source: str, destination: str) -> None:
        raise PermissionError(1, "Operation not permitted", destination)

    def copy_file_range(*_: Any) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Filesystem, "link", link)
    monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    for _ in range(2):
        report = log.backup(target)
        assert (report.segments_linked, report.bytes_linked) == (0, 0)
    assert errors(target) == []
    with streamlog.open(target) as copy:
        assert contents(copy) == contents(log)


def test_what_went_from_the_log_goes_from_the_backup(
    log: streamlog.StreamLog, target: Path
) -> None:
    log.backup(target)
    before = len(list(target.glob("orders-0/*.log")))
    log.admin.delete_records({PLACE: 11})
    log.delete_topic("plain")
    log.backup(target)
    assert len(list(target.glob("orders-0/*.log"))) < before
    assert not (target / "plain-0").exists()
    assert sorted(each.name for each in target.parent.iterdir()) == ["backup", "log"]


def test_without_an_exchange_of_names_two_renames_serve(
    log: streamlog.StreamLog, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Filesystem, "exchange", lambda *_: False)
    log.backup(target)
    fill(log, 4)
    log.backup(target)
    with streamlog.open(target, read_only=True) as copy:
        assert contents(copy) == contents(log)
    assert sorted(each.name for each in target.parent.iterdir()) == ["backup", "log"]
    # Whoever did it died between the two: the former one is put back, and replaced.
    target.rename(f"{target}.old")
    (target.parent / "backup.new").mkdir()
    (target.parent / "backup.new" / "half").write_text("x")
    report = log.backup(target)
    assert report.segments_linked > 4
    assert sorted(each.name for each in target.parent.iterdir()) == ["backup", "log"]
