"""A log that is backed up, where its backup goes, and how the two are compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlog
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from streamlog.types import TopicPartition

SMALL: dict[str, Any] = {"internal_segment_bytes": 1000, "index_interval_bytes": 300}
PLACE = TopicPartition("orders", 0)


@contextmanager
def open_orders(path: Path) -> Iterator[streamlog.StreamLog]:
    """Some segments in `orders-0` and `orders-1`, one record in `plain`, none in `empty`."""
    with streamlog.open(path) as opened:
        opened.create_topic("orders", partitions=2, **SMALL)
        opened.create_topic("plain", compression_type="zstd")
        opened.create_topic("empty")
        fill(opened, 30)
        yield opened


def fill(log: streamlog.StreamLog, count: int, partition: int | None = None) -> None:
    with log.producer(enable_idempotence=True) as producer:
        for number in range(count):
            place = number % 2 if partition is None else partition
            producer.send("orders", b"%d/" % number + b"x" * 200, partition=place)
            if number % 4 == 3:
                producer.flush()
        producer.send("plain", b"one").result()


def contents(log: streamlog.StreamLog) -> dict[str, list[tuple[int, bytes | None]]]:
    found: dict[str, list[tuple[int, bytes | None]]] = {}
    for name, topic in log.topics().items():
        for partition in range(topic.partitions):
            records = log.read(
                name,
                partition,
                log.admin.list_offsets(
                    {TopicPartition(name, partition): streamlog.OffsetSpec.EARLIEST}
                )[TopicPartition(name, partition)].offset,
            )
            found[f"{name}-{partition}"] = [(one.offset, one.value) for one in records]
    return found


def errors(path: Path) -> list[str]:
    return [str(found) for found in verify_directory(OS_FILESYSTEM, str(path))]


def inode(path: Path) -> int:
    return path.stat().st_ino
