"""A directory, and a few verbs for telling stories about it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlog.broker import produce
from streamlog.broker.engine import Engine
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder
from streamlog.storage.append_outcome import AppendOutcome
from streamlog.storage.partition_log import PartitionLog

OpenEngine = Callable[..., Engine]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log")


@pytest.fixture
def open_engine(path: str) -> Iterator[OpenEngine]:
    """Open the directory; what is still open at the end is closed."""
    opened: list[Engine] = []

    def open_it(**arguments: Any) -> Engine:
        engine = Engine.open(arguments.pop("path", path), **arguments)
        opened.append(engine)
        return engine

    yield open_it
    for engine in opened:
        engine.close()


@pytest.fixture
def engine(open_engine: OpenEngine) -> Engine:
    return open_engine()


def batch(
    *values: bytes | None, key: bytes | None = None, timestamp: int = 1000, **how: Any
) -> bytearray:
    builder = RecordBatchBuilder(**how)
    for value in values:
        builder.append(timestamp, key, value, ())
    return builder.build()


def append(log: PartitionLog, *values: bytes | None, acks: int = 1, **how: Any) -> AppendOutcome:
    return produce.append(log, batch(*values, **how), acks=acks, now_ms=2000)


def read(log: PartitionLog, offset: int = 0) -> list[tuple[int, bytes | None]]:
    """Every record from `offset` on, as (offset, value), each batch checked."""
    found: list[tuple[int, bytes | None]] = []
    while view := log.fetch(offset, 1 << 20).view:
        position = 0
        while position < len(view):
            one = RecordBatch(view, position)
            one.check()
            found += [
                (record.offset, record.value)
                for record in one.records(log.topic, log.partition, offset)
            ]
            position += one.size
            offset = one.next_offset
    return found


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than other tests', where there is one."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="streamlog-test-", dir="/dev/shm") as path:
        yield Path(path)
