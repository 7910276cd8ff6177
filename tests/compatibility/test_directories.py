"""Directories of every number that the format ever had: read, verified, continued, kept apart.

They were made once, by `make_directory.py` with the last version of their number, and what must be
read from each lies beside it as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.errors import CorruptRecordError, DirectoryInUseError, UnsupportedFormatError
from streamlog.record.kernel import RecordBatch
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.format_number import FORMAT
from tests.broker.test_read_only import fingerprint
from tests.compatibility.make_directory import contents, fill
from tests.multiprocess.nursery import Nursery, open_nursery

DIRECTORIES = Path(__file__).parent / "directories"
NAMES = sorted(path.name.partition(".")[0] for path in DIRECTORIES.glob("*.tar.xz"))
NEWER = FORMAT + 1

# Where streamlog.shared has what is looked at and changed here, in 8-byte words.
FORMAT_WORD, BOOT_ID_WORD, DEVICE_WORD, SLOT_COUNT_WORD, SLOTS_WORD = 1, 2, 4, 7, 512
SLOT_WORDS, STATES_WORD, STATES_WORDS = 72, 8, 48


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """One of the directories."""
    return str(request.param)


@pytest.fixture
def path(name: str, tmp_path: Path) -> str:
    """A copy of it."""
    return unpack(name, tmp_path)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with open_nursery() as opened:
        yield opened


def unpack(name: str, folder: Path) -> str:
    path = folder / "log"
    with tarfile.open(DIRECTORIES / f"{name}.tar.xz") as archive:
        archive.extractall(path, filter="data")
    return str(path)


def expected(name: str) -> Any:
    return json.loads((DIRECTORIES / f"{name}.json").read_text())


def plain(log: streamlog.StreamLog) -> Any:
    return json.loads(json.dumps(contents(log)))


def stay_in_place(path: str, boot_id: bytes = bytes(16)) -> None:
    """Let `streamlog.shared` say that it is about this very copy, and was left by that boot."""
    shared = Path(path, "streamlog.shared")
    found = shared.stat()
    write_words(path, DEVICE_WORD, found.st_dev, found.st_ino)
    write_words(path, BOOT_ID_WORD, *struct.unpack("=2q", boot_id))


def write_words(path: str, word: int, *values: int) -> None:
    with Path(path, "streamlog.shared").open("r+b") as file:
        file.seek(word * 8)
        file.write(struct.pack(f"={len(values)}q", *values))


def forget_states(path: str) -> None:
    """Zeros where the slots have what is published."""
    words = struct.unpack("=8q", Path(path, "streamlog.shared").read_bytes()[:64])
    for slot in range(words[SLOT_COUNT_WORD]):
        write_words(path, SLOTS_WORD + SLOT_WORDS * slot + STATES_WORD, *[0] * STATES_WORDS)


def say_format(path: str, number: int) -> None:
    Path(path, "streamlog.properties").write_text(f"format={number}\n")
    write_words(path, FORMAT_WORD, number)


def test_there_is_a_directory_of_every_number() -> None:
    assert [
        f"{number}-{how}" for number in range(1, FORMAT + 1) for how in ("closed", "killed")
    ] == NAMES


def test_what_is_made_today_has_what_the_newest_of_them_has(tmp_path: Path) -> None:
    """The script that makes the next one works, and says the same as it did."""
    with streamlog.open(tmp_path / "log") as log:
        fill(log)
        found, before = plain(log), expected(f"{FORMAT}-closed")
    for topic in ("stamped", "compacted"):  # their timestamps are the clock's
        del found[topic], before[topic]
    assert found == before


def test_each_is_read_as_it_was_written(name: str, path: str) -> None:
    before = fingerprint(path)
    with streamlog.open(path, read_only=True) as log:
        assert plain(log) == expected(name)
        assert [each for each in log.verify() if each.severity == "error"] == []
    assert fingerprint(path) == before


@pytest.mark.parametrize("where", ["copied", "in place", "after a reboot"])
def test_each_is_continued(name: str, path: str, where: str) -> None:
    if where != "copied":
        stay_in_place(path, OS_FILESYSTEM.boot_id() if where == "in place" else b"another boot id!")
    with streamlog.open(path) as log:
        report = log.engine().report
        assert report is not None
        assert (report.clean, report.lost, report.problems) == (name.endswith("closed"), [], [])
        assert plain(log) == expected(name)
        with log.producer(acks=1) as producer:
            for topic, found in log.topics().items():
                for partition in range(found.partitions):
                    producer.send(topic, b"later", b"key", partition=partition, timestamp_ms=5)
        assert [str(each) for each in log.verify()] == []
    assert Path(path, "streamlog.properties").read_text() == f"format={FORMAT}\n"
    with streamlog.open(path) as log:
        assert [str(each) for each in log.verify()] == []
        grown = plain(log)
    for topic, before in expected(name).items():
        for records, known in zip(grown[topic]["records"], before["records"], strict=True):
            assert records[:-1] == known
            assert records[-1][5] == "bGF0ZXI="  # b"later"


def test_deleted_topics_stay_deleted(name: str, path: str) -> None:
    with streamlog.open(path) as log:
        assert "deleted" not in log.topics()
        assert not any(entry.startswith("deleted") for entry in os.listdir(path))
        assert log.create_topic("deleted").partitions == 1
        assert list(log.read("deleted")) == []


def test_idempotent_producers_are_remembered(name: str, path: str) -> None:
    with streamlog.open(path) as log:
        partition = log.engine().partition("segments", 0)
        sent = [batch for batch in batches(path, "segments") if batch.producer_id >= 0]
        last = sent[-1]
        outcome = partition.append(bytearray(last.view), check_producers=True, now_ms=0)
        assert outcome is not None
        assert (outcome.duplicate, outcome.base_offset) == (True, last.base_offset)


def batches(path: str, topic: str) -> Iterator[RecordBatch]:
    for segment in sorted(Path(path, f"{topic}-0").glob("*.log")):
        data, position = segment.read_bytes(), 0
        while position < len(data):
            batch = RecordBatch(memoryview(data), position)
            yield batch
            position += batch.size


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_how_far_the_disk_had_it_is_still_known(number: int, stays: bool, tmp_path: Path) -> None:
    """After a reboot the slots say what was synced: damage there is no torn tail, and stays.

    A copy's slots say nothing of it: what is damaged there is taken for torn.
    """
    path = unpack(f"{number}-killed", tmp_path)
    if stays:
        stay_in_place(path, b"another boot id!")
    segment = Path(path, "codec-none-0", f"{0:020}.log")
    data = bytearray(segment.read_bytes())
    data[-10] ^= 1
    segment.write_bytes(data)
    with streamlog.open(path) as log:
        report = log.engine().report
        assert report is not None
        assert [loss.state.log_end for loss in report.lost] == ([] if stays else [23])
        if stays:
            with pytest.raises(CorruptRecordError):
                list(log.read("codec-none"))
    assert (segment.read_bytes() == data) == stays


def test_a_newer_number_is_refused_and_may_be_read(name: str, path: str) -> None:
    stay_in_place(path, OS_FILESYSTEM.boot_id())
    say_format(path, NEWER)
    forget_states(path)  # as in a layout that has them elsewhere
    before = fingerprint(path)
    with pytest.raises(UnsupportedFormatError, match=rf"format {NEWER}, .* {FORMAT}") as caught:
        streamlog.open(path)
    assert (caught.value.found, caught.value.known) == (NEWER, FORMAT)
    with streamlog.open(path, read_only=True) as log:
        assert plain(log) == expected(name)
    assert fingerprint(path) == before


@pytest.mark.parametrize("number", [FORMAT - 1, NEWER])
def test_versions_of_two_numbers_do_not_write_side_by_side(
    number: int, nursery: Nursery, directory: str
) -> None:
    """A process of another number has it open: its shared file says so, whatever else does."""
    other = nursery.start("open_when_continued", path=directory)
    with streamlog.open(directory) as log:
        log.create_topic("flights")
    assert other.answer() == "ready"
    other.go_on()
    assert other.answer() == [0, True]
    assert other.answer() == "open"
    other.wait_until_stopped()
    write_words(directory, FORMAT_WORD, number)
    before = fingerprint(directory)
    with pytest.raises(DirectoryInUseError, match=f"format {number}, .* {FORMAT}") as caught:
        streamlog.open(directory)
    assert (caught.value.found, caught.value.known) == (number, FORMAT)
    with streamlog.open(directory, read_only=True) as log:
        assert list(log.topics()) == ["flights"]
    assert fingerprint(directory) == before
    write_words(directory, FORMAT_WORD, FORMAT)
    with streamlog.open(directory):
        other.signal(signal.SIGCONT)
        assert other.wait() == 0
