"""The first append of an idempotent producer reads what others of its kind left: it may fail.

Every call that it makes is struck in turn.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

import streamlog
from streamlog.clients import stream_log
from streamlog.errors import InputOutputError
from streamlog.testing.faulty_filesystem import CALLS, FaultyFilesystem

_BEFORE = [b"before 0", b"before 1"]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyFilesystem:
    faulty = FaultyFilesystem()
    monkeypatch.setattr(stream_log, "OS_FILES", faulty)
    return faulty


def append(log: streamlog.StreamLog, value: bytes) -> None:
    with log.producer(acks="all", enable_idempotence=True) as producer:
        producer.send("flights", value, partition=0).result()


def append_struck(disk: FaultyFilesystem, path: Path, at: int) -> int:
    """Append to a log that was just opened, one call failing; how many calls there were."""
    with streamlog.open(path, housekeeping=False) as log:
        disk.strike(CALLS - {"fdatasync", "fsync"}, errno.EIO, at=at)
        outcome = "written"
        try:
            append(log, b"after")
        except InputOutputError as error:
            outcome = error.outcome
        calls = disk.heal()
        found = [record.value for record in log.read("flights")]
        if outcome != "written" and found == _BEFORE:
            append(log, b"after")
            found = [record.value for record in log.read("flights")]
        else:
            assert outcome != "not_written"
        assert found == [*_BEFORE, b"after"]
    return calls


def test_each_call_of_an_idempotent_producers_first_append_may_fail(
    tmp_path: Path, disk: FaultyFilesystem
) -> None:
    with streamlog.open(tmp_path / "log", housekeeping=False) as log:
        log.create_topic("flights")
        for number in range(2):
            append(log, b"before %d" % number)
    copies = (shutil.copytree(tmp_path / "log", tmp_path / f"{at}") for at in range(1000))
    calls = append_struck(disk, next(copies), 0)
    assert calls > 5
    for at in range(1, calls + 1):
        append_struck(disk, next(copies), at)
