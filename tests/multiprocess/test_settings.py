"""Settings, partitions and topics that change under producers and consumers of other processes."""

from __future__ import annotations

import itertools
import select
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from tests.multiprocess.nursery import Nursery

NUMBERS = 20_000

# What a topic goes through while numbers are sent to it: none of it concerns a small record.
CHANGES: list[dict[str, Any]] = [
    {"max_message_bytes": 2000},
    {"compression_type": "zstd", "internal_segment_bytes": 20_000},
    {"max_message_bytes": 300, "index_interval_bytes": 0},
    {"message_timestamp_type": "LogAppendTime"},
    {"internal_segment_bytes": None, "segment_bytes": 1 << 20, "max_message_bytes": None},
    {"compression_type": "gzip", "compression_gzip_level": 1},
    {"internal_segment_bytes": 5000, "segment_ms": 1000, "segment_jitter_ms": 900},
    {"compression_type": None, "message_timestamp_type": None, "flush_messages": 50},
    {"internal_segment_bytes": 1 << 22, "flush_messages": None, "flush_ms": 1},
    {"segment_ms": None, "segment_jitter_ms": None, "flush_ms": None},
]


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "log")
    with streamlog.open(path) as log:
        log.create_topic("flights")
    return path


def test_a_producer_obeys_what_another_process_sets(nursery: Nursery, path: str) -> None:
    child = nursery.start("send_what_is_allowed", path=path, size=600)
    assert child.answer() == "accepted"
    with streamlog.open(path) as log:
        for _ in range(5):
            log.alter_topic("flights", max_message_bytes=500)
            assert child.answer() == "refused"
            log.alter_topic("flights", max_message_bytes=None)
            assert child.answer() == "accepted"
    child.kill()


def test_a_topic_deleted_under_a_producer_is_gone_and_another_is_another(
    nursery: Nursery, path: str
) -> None:
    children = [nursery.start("send_what_is_allowed", path=path, size=10) for _ in range(3)]
    for child in children:
        assert child.answer() == "accepted"
    with streamlog.open(path) as log:
        log.delete_topic("flights")
        for child in children:
            assert child.answer() == "gone"
            assert child.answer() == "stopped"
        assert sorted(entry.name for entry in Path(path).iterdir() if entry.is_dir()) == [
            "__cluster_metadata-0"
        ]
        log.create_topic("flights")
        for number, child in enumerate(children):
            child.go_on()
            assert child.answer() == number
            assert child.wait() == 0
        assert [record.value for record in log.read("flights")] == [b"x"] * 3


def test_a_producer_uses_the_partitions_that_another_process_adds(
    nursery: Nursery, path: str
) -> None:
    child = nursery.start("send_everywhere", path=path, partitions=5)
    assert child.answer() == 0
    with streamlog.open(path) as log:
        log.create_partitions("flights", 5)
        assert sorted(child.answer() for _ in range(4)) == [1, 2, 3, 4]
        assert child.wait() == 0
        ends = [each.log_end for each in log.admin.describe_partitions("flights")]
    assert all(ends)


def test_nothing_fails_that_need_not_and_everything_is_read(nursery: Nursery, path: str) -> None:
    reader = nursery.start("follow_numbers", path=path, count=NUMBERS)
    assert reader.answer() == "listening"
    writer = nursery.start("send_numbers", path=path, count=NUMBERS)
    assert writer.answer() == "begun"
    changes = 0
    with streamlog.open(path) as log:
        for settings in itertools.cycle(CHANGES):
            log.alter_topic("flights", **settings)
            changes += 1
            if select.select([writer], [], [], 0)[0]:
                break
    assert writer.answer() == []
    assert reader.answer() == NUMBERS
    assert (writer.wait(), reader.wait()) == (0, 0)
    assert changes > len(CHANGES)
    assert [str(each) for each in verify_directory(OS_FILESYSTEM, path)] == []
