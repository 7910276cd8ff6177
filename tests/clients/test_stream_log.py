"""`streamlog.open()` and `StreamLog`: its life, private logs, forks, what importing costs."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import streamlog
from streamlog.broker.memory_directory import make_memory_directory, remove_abandoned
from streamlog.errors import (
    ClosedError,
    ConfigError,
    NotALogDirectoryError,
    ReadOnlyError,
    TopicExistsError,
    UnknownSettingError,
    UnknownTopicError,
    UnsupportedFeatureError,
)
from streamlog.storage.filesystem import OS_FILESYSTEM
from tests.clients.conftest import Story

Opener = Callable[..., Any]


def values(log: Any, topic: str) -> list[bytes | None]:
    return [record.value for record in log.read(topic)]


def test_what_was_written_is_there_after_opening_again(open_log: Opener, directory: str) -> None:
    with open_log(pathlib.Path(directory)) as log:
        log.create_topic("flights", segment_bytes=1 << 20)
        Story(log).write("flights", 0, b"a", b"b")
        assert log.path == directory
    with open_log(directory, create=False) as log:
        assert values(log, "flights") == [b"a", b"b"]
        assert log.topics()["flights"].settings == {"segment.bytes": "1048576"}


def test_two_openings_in_one_process_are_one_log(open_log: Opener, directory: str) -> None:
    with open_log(directory) as first, open_log(directory) as second:
        first.create_topic("flights")
        consumer = second.consumer("flights")
        Story(first).write("flights", 0, b"a")
        first.close()
        assert [record.value for record in consumer.poll()] == [b"a"]


def test_topics_are_created_grown_and_deleted(story: Story) -> None:
    created = story.log.create_topic("cars", partitions=2, message_timestamp_type="LogAppendTime")
    assert (created.name, created.partitions) == ("cars", 2)
    assert story.log.create_partitions("cars", 3).partitions == 3
    assert story.log.topics()["cars"].topic_id == created.topic_id
    story.log.delete_topic("cars")
    assert "cars" not in story.log.topics()
    with pytest.raises(UnknownTopicError):
        story.log.delete_topic("cars")
    with pytest.raises(TopicExistsError):
        story.log.create_topic("orders")
    with pytest.raises(UnknownSettingError, match="segment"):
        story.log.create_topic("cars", segment_byte=3)


def test_after_close_everything_raises(open_log: Opener, directory: str) -> None:
    log = open_log(directory)
    log.create_topic("flights")
    consumer = log.consumer("flights")
    log.close()
    log.close()
    assert log.closed
    assert consumer.closed
    admin = log.admin
    for call in (
        log.topics,
        log.sync,
        log.consumer,
        lambda: log.read("flights"),
        admin.list_topics,
        admin.describe,
        log.__enter__,
    ):
        with pytest.raises(ClosedError):
            call()


@pytest.mark.parametrize("beside_a_writer", [True, False])
def test_a_read_only_log_reads_and_changes_nothing(
    open_log: Opener, directory: str, beside_a_writer: bool
) -> None:
    with open_log(directory) as log:
        log.create_topic("flights")
        Story(log).write("flights", 0, b"a")
        if not beside_a_writer:
            log.close()
        before = {
            name: os.stat(f"{directory}/{name}").st_mtime_ns for name in os.listdir(directory)
        }
        with open_log(directory, read_only=True) as reading:
            assert reading.read_only
            assert values(reading, "flights") == [b"a"]
            consumer = reading.consumer("flights", auto_offset_reset="earliest")
            assert [record.value for record in consumer.poll(0)] == [b"a"]
            for call in (
                lambda: reading.create_topic("cars"),
                lambda: reading.delete_topic("flights"),
                lambda: reading.create_partitions("flights", 2),
                reading.producer,
                lambda: reading.admin.create_topics(["cars"]),
                lambda: reading.admin.recover_partition("flights", 0),
            ):
                with pytest.raises(ReadOnlyError):
                    call()
        after = {name: os.stat(f"{directory}/{name}").st_mtime_ns for name in os.listdir(directory)}
        assert after == before


def test_opening_says_what_is_wrong(open_log: Opener, tmp_path: pathlib.Path) -> None:
    with pytest.raises(NotALogDirectoryError, match="does not exist"):
        open_log(tmp_path / "absent", create=False)
    assert not (tmp_path / "absent").exists()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotALogDirectoryError, match="notes"):
        open_log(tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]
    with pytest.raises(UnknownSettingError, match="lock_timeout_ms"):
        open_log(tmp_path / "log", lock_timeout=3)
    for mode in ("rw", -1, True, 0o1777):
        with pytest.raises(ConfigError, match="mode="):
            open_log(tmp_path / "log", mode=mode)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_an_address_is_no_directory(
    open_log: Opener, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsupportedFeatureError, match="address"):
        open_log("kafka://localhost:9092")
    assert os.listdir(tmp_path) == []
    open_log("a:/b").close()
    assert os.listdir(tmp_path) == ["a:"]


def test_verify_finds_nothing_wrong_and_then_what_is(open_log: Opener, directory: str) -> None:
    with open_log(directory) as log:
        log.create_topic("flights")
        story = Story(log)
        story.write("flights", 0, b"a")
        done: list[tuple[int, int]] = []
        assert log.verify(lambda *amount: done.append(amount)) == []
        assert done[-1][0] == done[-1][1] > 0
        story.damage("flights", 0)
        findings = log.verify()
        assert [(each.topic, each.partition, each.offset) for each in findings] == [
            ("flights", 0, 0)
        ]


# Private logs


def test_a_private_log_is_gone_on_close(open_log: Opener) -> None:
    with open_log(":memory:") as log:
        log.create_topic("flights")
        Story(log).write("flights", 0, b"a")
        assert values(log, "flights") == [b"a"]
        path = log.path
        assert os.path.isdir(path)
        with open_log(":memory:") as other:
            assert other.path != path
            assert other.topics() == {}
    assert not os.path.exists(path)
    assert not os.path.exists(path + ".lock")
    with pytest.raises(ConfigError):
        open_log(":memory:", read_only=True)


def test_a_private_log_of_a_dead_process_is_removed_and_a_living_one_is_not(
    tmp_path: pathlib.Path,
) -> None:
    base = str(tmp_path)
    living = make_memory_directory(OS_FILESYSTEM, base)
    pid = os.fork()
    if pid == 0:
        dead = make_memory_directory(OS_FILESYSTEM, base)
        os.mkdir(f"{dead.path}/flights-0")
        with open(f"{dead.path}/flights-0/a.log", "wb"):
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(os.listdir(base)) == 4
    remove_abandoned(OS_FILESYSTEM, base, f"streamlog-memory-{os.getuid()}-")
    assert sorted(os.listdir(base)) == sorted(
        os.path.basename(path) for path in (living.path, living.path + ".lock")
    )
    living.remove(OS_FILESYSTEM)
    assert os.listdir(base) == []


# Across a fork, and what importing does


def test_a_forked_child_opens_the_directory_anew(open_log: Opener, directory: str) -> None:
    with open_log(directory) as log:
        log.create_topic("flights")
        story = Story(log)
        story.write("flights", 0, b"parent")
        pid = os.fork()
        if pid == 0:
            story.write("flights", 0, b"child")
            seen = values(log, "flights")
            log.close()
            os._exit(len(seen))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
        story.write("flights", 0, b"parent again")
        assert values(log, "flights") == [b"parent", b"child", b"parent again"]


def test_a_forked_child_that_only_closes_leaves_the_parents_log_alone(story: Story) -> None:
    pid = os.fork()
    if pid == 0:
        story.log.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    story.write("flights", 0, b"a")
    assert values(story.log, "flights") == [b"a"]


def run_python(code: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return finished.stdout.strip()


def test_windows_is_refused_with_the_reason() -> None:
    code = """
import sys
sys.platform = "win32"
try:
    import streamlog
except ImportError as error:
    print(error)
"""
    assert "does not run on Windows" in run_python(code)


def test_every_exported_name_is_there() -> None:
    assert all(getattr(streamlog, name) is not None for name in streamlog.__all__)
    assert set(streamlog.__all__) <= set(dir(streamlog))
    with pytest.raises(AttributeError, match="oepn"):
        streamlog.oepn  # noqa: B018


@pytest.mark.parametrize("kernel", ["pure", ""])
def test_the_kernel_says_which_one_runs(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLOG_KERNEL", kernel)
    assert run_python("import streamlog; print(streamlog.kernel)") == kernel or not kernel
