"""A partition's log, opened by as many processes as a test wants, all of them in this one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlog.config import TopicConfig
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder
from streamlog.storage.append_outcome import AppendOutcome
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.log_settings import LogSettings
from streamlog.storage.partition_log import PartitionLog
from streamlog.storage.shared import PartitionState
from streamlog.storage.slots import SharedState

TOPIC_ID = bytes(range(16))
NOW = 1_700_000_000_000


class Machine:
    """A directory with one partition and its metadata log; `open` is another process."""

    def __init__(self, root: Path, filesystem: Filesystem | None = None) -> None:
        self.filesystem = filesystem or Filesystem()
        self.root = root
        self._shared = self._open("streamlog.shared")
        SharedState.create(self.filesystem, self._shared)
        slots = SharedState(self.filesystem, self._shared)
        slots.assign_slot(bytes(16), 0, PartitionState())
        slots.assign_slot(TOPIC_ID, 0, PartitionState())
        self._locks: dict[PartitionLog, int] = {}

    def _open(self, name: str) -> int:
        return self.filesystem.open(str(self.root / name), os.O_RDWR | os.O_CREAT)

    def open(self, *, lock_timeout_ms: int = 10_000, **settings: Any) -> PartitionLog:
        """The partition `orders-0`, as another process has it."""
        return self._make("orders", 1, TOPIC_ID, lock_timeout_ms, settings)

    def metadata_log(self) -> PartitionLog:
        """The log whose structure byte guards the checkpoints."""
        return self._make("__cluster_metadata", 0, bytes(16), 10_000, {})

    def _make(
        self, topic: str, slot: int, topic_id: bytes, timeout: int, settings: dict[str, Any]
    ) -> PartitionLog:
        locks = self._open("streamlog.locks")
        overrides = {"internal.segment.bytes": "1000", "index.interval.bytes": "200"}
        overrides |= {name.replace("_", "."): str(value) for name, value in settings.items()}
        log = PartitionLog(
            self.filesystem,
            SharedState(self.filesystem, self._shared),
            slot,
            str(self.root / f"{topic}-0"),
            locks,
            topic=topic,
            partition=0,
            topic_id=topic_id,
            config=TopicConfig.from_overrides(overrides),
            settings=LogSettings(lock_timeout_ms=timeout),
        )
        self._locks[log] = locks
        return log

    def kill(self, log: PartitionLog) -> None:
        """End the process that has `log`: the kernel frees its locks."""
        self.filesystem.close(self._locks.pop(log))


def append(
    log: PartitionLog, *values: bytes, timestamp: int = NOW, **producer: int
) -> AppendOutcome:
    """One batch."""
    builder = RecordBatchBuilder(**producer)
    for value in values:
        builder.append(timestamp, b"k", value, ())
    outcome = log.append(builder.build(), now_ms=NOW, check_producers=bool(producer))
    assert outcome is not None
    return outcome


def fill(
    log: PartitionLog, segments: int, *, timestamp: Callable[[int], int] = lambda _: NOW
) -> None:
    """Append until there are so many segments; each record's value is its offset."""
    while len(bases(log)) < segments:
        end = log.log_end
        append(log, b"%d" % end + b"." * 200, timestamp=timestamp(end))


def bases(log: PartitionLog) -> list[int]:
    """Where the segments begin whose files are there."""
    found = Path(log.directory).glob("*.log")
    return sorted(int(path.stem) for path in found)


def read(log: PartitionLog, offset: int | None = None, max_bytes: int = 1 << 20) -> list[int]:
    """The offsets of all records from `offset` on, each of which says the same by its value."""
    offset = log.log_start if offset is None else offset
    found: list[int] = []
    cursor = None
    while True:
        fetched = log.fetch(offset, max_bytes, cursor)
        if not fetched.view:
            return found
        position = 0
        while position < len(fetched.view):
            batch = RecordBatch(fetched.view, position)
            batch.check()
            for record in batch.records("orders", 0, offset):
                assert record.value is not None
                assert int(bytes(record.value).split(b".")[0]) == record.offset
                found.append(record.offset)
            position += batch.size
        offset, cursor = fetched.next_offset, fetched.cursor
