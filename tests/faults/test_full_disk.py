"""No room: a typed error, nothing half written, and on it goes when there is room again."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import streamlog
from streamlog.errors import DiskFullError, InputOutputError, StorageError
from tests.multiprocess.nursery import Nursery

VALUE = b"x" * 1000


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond `size`: the write that crosses it is short, the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def send_until_it_fails(producer: streamlog.Producer, value: bytes) -> tuple[int, Exception]:
    """How many records were acknowledged before the first failure, and that failure."""
    for count in range(100_000):
        future = producer.send("flights", b"%d/" % count + value)
        error = future.exception()
        if error is not None:
            return count, error
    raise AssertionError("the disk never filled up")


def numbers(log: streamlog.StreamLog) -> list[int]:
    return [int(bytes(record.value).split(b"/")[0]) for record in log.read("flights")]


@pytest.mark.parametrize("acks", [1, "all"])
def test_appends_that_meet_a_limit_are_taken_back(directory: str, acks: int | str) -> None:
    with streamlog.open(directory) as log:
        log.create_topic("flights")
        producer = log.producer(acks=acks, linger_ms=0)
        with file_size_limit(400_000):
            count, error = send_until_it_fails(producer, VALUE)
            assert isinstance(error, InputOutputError)
            assert error.outcome == "not_written"
            assert numbers(log) == list(range(count))
            with pytest.raises(InputOutputError):
                producer.send("flights", VALUE).result()
        assert producer.send("flights", b"-1/").result().offset == count
        assert numbers(log) == [*range(count), -1]
        assert [str(finding) for finding in log.verify()] == []
    with streamlog.open(directory) as log:
        assert numbers(log) == [*range(count), -1]


def test_a_partly_failed_send_many_says_what_is_there(directory: str) -> None:
    with streamlog.open(directory) as log:
        log.create_topic("flights", max_message_bytes=20_000)
        producer = log.producer(acks=1)
        values = [b"%d/" % number + VALUE for number in range(10_000)]
        with file_size_limit(5_000_000):
            error = producer.send_many("flights", values).exception()
        assert error is not None
        there = sum(result.count for result in error.results if not isinstance(result, Exception))
        assert 0 < there < len(values)
        found = numbers(log)
        assert len(found) == there
        assert found == sorted(set(found)), "each batch is there or not, in the order of writing"


def in_little_room(size: int, call: Callable[[], object]) -> None:
    with file_size_limit(size), pytest.raises(StorageError):
        call()


def test_a_directory_that_could_not_be_made_whole_is_made_later(directory: str) -> None:
    for size in (0, 10, 100, 5000, 20_000):
        in_little_room(size, lambda: streamlog.open(directory))
    with streamlog.open(directory) as log:
        log.create_topic("flights")
        for number in range(300):  # the shared file has to grow
            name = f"more-{number}"
            log.create_topic(name)
        assert len(log.topics()) >= 301


def test_a_topic_that_could_not_be_made_is_not_there(directory: str) -> None:
    with streamlog.open(directory) as log:
        log.create_topic("flights")
        metadata = Path(directory, "__cluster_metadata-0", f"{0:020d}.log")
        in_little_room(
            metadata.stat().st_size + 20, lambda: log.create_topic("planes", partitions=50)
        )
        assert set(log.topics()) == {"flights"}
        log.create_topic("planes", partitions=50)
        assert len(log.admin.describe_partitions("planes")) == 50


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB. It is in memory: what is full is real, what is synced is not."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.mark.system
def test_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "log"
    with streamlog.open(path) as log:
        log.create_topic("flights", internal_segment_bytes=65_536)
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 300_000)
        producer = log.producer(acks=1, linger_ms=0)
        count, error = send_until_it_fails(producer, VALUE)
        assert isinstance(error, DiskFullError)
        assert (error.outcome, error.retriable) == ("not_written", True)
        assert numbers(log) == list(range(count))
        log.create_topic("planes")  # fits into the page that its metadata has
        with pytest.raises(DiskFullError):
            producer.send("planes", VALUE).result()
        ballast.unlink()
        producer.send("planes", VALUE).result()
        assert producer.send("flights", b"-1/").result().offset == count
        assert numbers(log) == [*range(count), -1]
        assert [str(finding) for finding in log.verify()] == []
    with streamlog.open(path) as log:
        assert numbers(log) == [*range(count), -1]


@pytest.mark.system
def test_opening_on_a_full_disk(small_disk: Path) -> None:
    """At every amount of free room: a typed error or an open log, and a store never kills."""
    ballast = small_disk / "ballast"
    refused = 0
    for room in range(0, 400_000, 4096):
        gc.collect()  # the slots' map of a closed log goes with its last handle
        usage = os.statvfs(small_disk)
        ballast.write_bytes(b"x" * (usage.f_bavail * usage.f_bsize - room))
        path = small_disk / str(room)
        try:
            with streamlog.open(path) as log:
                log.create_topic("flights")
            ballast.unlink()
        except StorageError:
            refused += 1
            ballast.unlink()
            with streamlog.open(path) as log:
                if "flights" not in log.topics():
                    log.create_topic("flights")
        shutil.rmtree(path)
    assert 0 < refused < 98, "the disk was never full, or always"


@pytest.mark.parametrize("read_only", [False, True])
def test_a_directory_that_may_only_be_read(
    nursery: Nursery, memory_path: Path, read_only: bool
) -> None:
    """As another user, who may read the files: reading works, writing is refused at the door."""
    path = memory_path / "log"
    with streamlog.open(path, mode=0o644) as log:
        log.create_topic("flights")
        log.producer(acks=1).send("flights", b"hello").result()
    for root, folders, files in os.walk(memory_path):
        os.chmod(root, 0o555)
        assert all(os.access(os.path.join(root, name), os.R_OK) for name in [*folders, *files])
    child = nursery.start("open_as_nobody", path=str(path), read_only=read_only)
    assert child.answer() == (["hello"] if read_only else "InputOutputError")
    for root, _, _ in os.walk(memory_path):
        os.chmod(root, 0o755)
