"""Compaction between processes: who dies over it, who reads and writes meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import streamlog
from streamlog.storage import log_reader
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from tests.multiprocess.compacting import TOPIC, check, compact, create, fill
from tests.multiprocess.nursery import Child, Nursery
from tests.multiprocess.values import ENDED, split_reports

MOST_STEPS = 600
ROUNDS = 12
FOR_EVER = 3000  # so many records are never replaced, but for the first 400


def die(nursery: Nursery, path: str, step: int) -> bool:
    """Let a process that compacts die at a step; whether it had done all before."""
    child = nursery.start("dying_compactor", path=path, step=step)
    ended = False
    while data := child.read():
        ended = ended or any(report.kind == ENDED for report in split_reports(data))
    child.wait()
    return ended


def no_findings(path: str) -> None:
    assert [str(each) for each in verify_directory(OS_FILESYSTEM, path)] == []


def test_a_process_that_dies_at_any_step_of_compaction_leaves_it_to_another(
    pure_nursery: Nursery, memory_path: Path
) -> None:
    """Who was there beside it reads all that counts, and then compacts itself."""
    for step in range(1, MOST_STEPS):
        path = str(memory_path / str(step))
        with streamlog.open(path, housekeeping=False) as log:
            create(log, 500)
            fill(log, 30, 4)
            log.alter_topic(TOPIC, internal_segment_bytes=1500)
            assert len(check(log.read(TOPIC))) == 4
            ended = die(pure_nursery, path, step)
            assert check(log.read(TOPIC)) == {2: 26, 3: 27, 0: 28, 1: 29}
            fill(log, 4, 4)
            compact(log)
            assert [record.offset for record in log.read(TOPIC)] == [30, 31, 32, 33]
        no_findings(path)
        if ended:
            assert step > 60, "few steps were seen: the harness counts the wrong ones"
            return
    pytest.fail("the process never got to its end")


def test_housekeeping_is_handed_over_when_its_process_dies(
    nursery: Nursery, memory_path: Path
) -> None:
    path = str(memory_path / "log")
    with streamlog.open(path, log_cleaner_backoff_ms=5) as log:
        create(log, 1000)
        fill(log, 100, 4)
        for _ in range(5):
            child = nursery.start("compacting_housekeeper", path=path)
            assert child.read()
            fill(log, 300, 4)
            child.kill()
            fill(log, 300, 4)
            wait_until(lambda: len(list(log.read(TOPIC))) < 100)
            assert len(check(log.read(TOPIC))) == 4
    no_findings(path)


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(10_000):
        if condition():
            return
        pause.wait(0.003)
    raise AssertionError("it never comes about")


@contextmanager
def compacted_meanwhile(nursery: Nursery, path: str) -> Iterator[tuple[streamlog.StreamLog, Child]]:
    """A log, and another process that compacts it over and over; in the end everything is."""
    with streamlog.open(path, housekeeping=False) as log:
        create(log, 20_000)  # few enough for readers to have all of them open
        fill(log, FOR_EVER, FOR_EVER)
        child = nursery.start("endless_compactor", path=path)
        assert child.read()
        try:
            yield log, child
        finally:
            child.kill()
        compact(log)
        assert len(list(log.read(TOPIC))) == FOR_EVER
    no_findings(path)


def wait_for_compaction(child: Child, end: int) -> None:
    """Until the other process has compacted all that is before `end`."""
    while not any(report.offset >= end for report in split_reports(child.read())):
        pass


def wait_and_count(log: streamlog.StreamLog, child: Child, end: int) -> None:
    """What is read behind the other process's compaction is what that left."""
    wait_for_compaction(child, end)
    assert len(list(log.read(TOPIC))) == FOR_EVER


def read_and_write(
    log: streamlog.StreamLog, rounds: int = ROUNDS, then: Callable[[int], None] = lambda _: None
) -> None:
    """What survives is read, once and in order, by whoever comes and by who was there.

    `then` is called with the log's end when there is more to read.
    """
    with log.consumer(TOPIC, auto_offset_reset="earliest") as consumer:
        latest: dict[int, int] = {}
        for number in range(1, rounds + 1):
            end = FOR_EVER + 700 * number
            fill(log, 700, 400)
            then(end)
            expected = {key: key for key in range(FOR_EVER)}
            expected |= {offset % 400: offset for offset in range(end - 400, end)}
            assert check(log.read(TOPIC)) == expected
            position = -1
            while position < end - 1:
                records = consumer.poll(timeout_ms=1000, max_records=150)
                assert records, f"nothing follows {position}"
                latest |= check(records)
                assert records[0].offset > position
                position = records[-1].offset
            assert latest == expected


def test_readers_and_writers_do_not_notice_another_process_that_compacts(
    nursery: Nursery, memory_path: Path
) -> None:
    with compacted_meanwhile(nursery, str(memory_path / "log")) as (log, _):
        read_and_write(log)


def test_what_another_process_compacted_is_read_as_it_is_left(
    nursery: Nursery, memory_path: Path
) -> None:
    with compacted_meanwhile(nursery, str(memory_path / "log")) as (log, child):
        read_and_write(log, rounds=4, then=lambda end: wait_and_count(log, child, end))


def test_a_reader_that_takes_former_files_for_the_new_ones_is_caught(
    nursery: Nursery, memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with compacted_meanwhile(nursery, str(memory_path / "log")) as (log, child):
        monkeypatch.setattr(log_reader, "files_of", lambda _: (0, 0))
        with pytest.raises((AssertionError, streamlog.StreamlogError)):
            read_and_write(log, then=lambda end: wait_and_count(log, child, end))
        monkeypatch.undo()
        log.engine().partition(TOPIC, 0)._reader.close()
