"""Backups while other processes write, roll, delete and create: each is the log at one instant."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.broker.backup_cut import Freeze
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from streamlog.types import TopicPartition
from tests.multiprocess.nursery import Child, Nursery, open_nursery

WRITERS = 3
BACKUPS = 8


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with open_nursery(roles=["tests.broker.backup_roles"]) as opened:
        yield opened


@pytest.fixture
def log(memory_path: Path) -> Iterator[streamlog.StreamLog]:
    with streamlog.open(memory_path / "log", housekeeping=False) as opened:
        settings: dict[str, Any] = {"internal_segment_bytes": 20_000, "index_interval_bytes": 500}
        opened.create_topic("deleted", retention_bytes=2000, **settings)
        for name in ("causes", "effects"):
            opened.create_topic(name, 2, **settings)
        # Slots in this order: a cause is looked at before its effect, if one after the other.
        for name in ("causes", "effects"):
            for partition in range(2):
                opened.engine().partition(name, partition)
        yield opened


def hear(child: Child) -> int:
    """The last number that it has said by now; one at least."""
    number = int(child.answer())
    while select.select([child.pipe], [], [], 0)[0]:
        number = int(child.answer())
    return number


def written(log: streamlog.StreamLog, topic: str) -> list[list[int]]:
    """The numbers of each writer in a topic, in their order."""
    found: list[list[int]] = [[] for _ in range(WRITERS)]
    for partition in range(2):
        for record in log.read(topic, partition):
            writer, number, _ = bytes(record.value).split(b"/")
            found[int(writer)].append(int(number))
    return found


def check(path: Path, least: list[int]) -> None:
    """Everything that was said before is there, a prefix of what was written, causes first."""
    assert [str(one) for one in verify_directory(OS_FILESYSTEM, str(path))] == []
    with streamlog.open(path, read_only=True) as copy:
        causes, effects = written(copy, "causes"), written(copy, "effects")
    for writer in range(WRITERS):
        assert causes[writer] == list(range(len(causes[writer])))
        assert effects[writer] == list(range(len(effects[writer])))
        assert least[writer] < len(effects[writer]), "what was acknowledged is missing"
        assert len(effects[writer]) <= len(causes[writer]), "an effect is there without its cause"


def back_up_while_written(
    nursery: Nursery, log: streamlog.StreamLog, backups: int, **how: Any
) -> None:
    path = Path(log.path)
    children = [
        nursery.start("write_causes_and_effects", path=str(path), writer=writer)
        for writer in range(WRITERS)
    ]
    try:
        for number in range(backups):
            least = [hear(child) for child in children]
            target = path.parent / f"backup-{number % 2}"  # the second time it is incremental
            log.backup(target, **how)
            check(target, least)
    finally:
        for child in children:
            child.kill()


def test_a_backup_is_one_instant_of_all_partitions(
    nursery: Nursery, log: streamlog.StreamLog
) -> None:
    back_up_while_written(nursery, log, BACKUPS)


def test_a_backup_of_copies_is_one_instant_too(nursery: Nursery, log: streamlog.StreamLog) -> None:
    back_up_while_written(nursery, log, 4, link=False)


def test_states_that_are_read_one_after_another_are_caught(
    nursery: Nursery, log: streamlog.StreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: nobody is kept from writing between one look and the next."""

    def read_states(_: Freeze, found: Any, __: float) -> list[Any]:
        states = []
        for one in found.logs:
            states.append(one.state())
            for _ in range(3000):
                os.sched_yield()
        return states

    monkeypatch.setattr(Freeze, "_read_states", read_states)
    with pytest.raises(AssertionError, match="without its cause"):
        back_up_while_written(nursery, log, 20 * BACKUPS)


def test_what_others_delete_and_create_is_no_matter(
    nursery: Nursery, log: streamlog.StreamLog
) -> None:
    path = Path(log.path)
    children = [
        nursery.start("change_everything", path=str(path)),
        nursery.start("write_causes_and_effects", path=str(path), writer=0),
    ]
    try:
        for number in range(BACKUPS):
            assert children[0].answer() >= number
            target = path.parent / "backup"
            report = log.backup(target)
            assert [str(one) for one in verify_directory(OS_FILESYSTEM, str(target))] == []
            with streamlog.open(target, read_only=True) as copy:
                passing = [name for name in copy.topics() if name.startswith("passing-")]
                assert 1 <= len(passing) <= 2
                for name in copy.topics():
                    for partition in range(copy.topics()[name].partitions):
                        place = TopicPartition(name, partition)
                        if place in report.ends:
                            check_readable(copy, place, report.ends[place])
    finally:
        for child in children:
            child.kill()
    log.backup(path.parent / "last")
    with streamlog.open(path.parent / "last") as copy:
        assert copy.engine().report.clean  # type: ignore[union-attr]


def check_readable(copy: streamlog.StreamLog, place: TopicPartition, end: int) -> None:
    """From its start to the end that was reported, every offset once."""
    log = copy.engine().partition(*place)
    offsets = [record.offset for record in copy.read(*place, start=log.log_start)]
    assert offsets == list(range(log.log_start, end))


def test_topics_that_are_created_do_not_wait_for_a_copy(
    log: streamlog.StreamLog, memory_path: Path
) -> None:
    """Once the metadata log is copied, its structure byte is let go of."""
    with log.producer() as producer:
        for number in range(40):
            producer.send("causes", b"x" * 500, partition=number % 2).result()
    created: list[str] = []

    def progress(done: int, total: int) -> None:
        if total and done > total // 2 and not created:
            created.append("new")
            log.create_topic("new")
            with contextlib.closing(log.producer()) as producer:
                producer.send("new", b"x").result()
                producer.send("causes", b"late", partition=0).result()

    log.backup(memory_path / "backup", progress=progress, link=False)
    assert created == ["new"]
    with streamlog.open(memory_path / "backup") as copy:
        assert "new" not in copy.topics()
        assert sum(1 for _ in copy.read("causes")) == 40
