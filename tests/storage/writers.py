"""A partition with one writer, in either kernel: the language of the append tests."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from streamlog.record.kernel import RecordBatchBuilder
from streamlog.storage import append as pure
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.folder import create_folder, open_active_files
from streamlog.storage.shared import MAPPED_SIZE, PartitionState
from streamlog.storage.slots import SharedState

if TYPE_CHECKING:
    from pathlib import Path

TOPIC_ID = bytes(range(16))


def compiled_available() -> bool:
    """Whether the extension was built, whichever kernel this process runs on."""
    return importlib.util.find_spec("streamlog.storage._append") is not None


def batch(
    count: int = 1, *, timestamp: int = 1000, size: int = 100, producer_id: int = -1
) -> bytearray:
    """One encoded batch of `count` records whose timestamps go up by 1."""
    sequence = 0 if producer_id >= 0 else -1
    builder = RecordBatchBuilder(
        producer_id=producer_id, producer_epoch=sequence, base_sequence=sequence
    )
    for number in range(count):
        builder.append(timestamp + number, b"key", b"v" * size, ())
    return builder.build()


class Partition:
    """A folder, its slot, and as many writers on it as a test wants."""

    def __init__(self, root: Path, kernel: str, filesystem: Filesystem | None = None) -> None:
        self.kernel = kernel
        self.filesystem = filesystem or Filesystem()
        self.directory = str(root / "flights-0")
        flags = os.O_RDWR | os.O_CREAT
        shared = self.filesystem.open(str(root / "streamlog.shared"), flags)
        SharedState.create(self.filesystem, shared)
        self.slots = SharedState(self.filesystem, shared)
        self.locks_path = str(root / "streamlog.locks")
        self.slot = self.slots.assign_slot(TOPIC_ID, 0, PartitionState())
        create_folder(self.filesystem, self.directory, TOPIC_ID, 0, 0o600)
        self.shared_descriptor = shared

    def writer(self, *, segment_bytes: int = 1 << 20, interval: int = 4096) -> Any:
        """A writer as another process would have one: with descriptors of its own."""
        locks = self.filesystem.open(self.locks_path, os.O_RDWR | os.O_CREAT)
        if self.kernel == "compiled":
            from streamlog.storage import _append, _system

            shared = _system.SharedMap(self.shared_descriptor, MAPPED_SIZE)
            made: Any = _append.PartitionWriter(shared, self.slot, self.directory, locks, 0o600)
        else:
            made = pure.PartitionWriter(
                self.filesystem, self.slots, self.slot, self.directory, locks
            )
        made.segment_bytes = segment_bytes
        made.index_interval_bytes = interval
        self.attach(made)
        return made

    def attach(self, writer: Any) -> None:
        """Open the active segment that is published now for `writer`."""
        state = self.state
        files = open_active_files(self.filesystem, self.directory, state.base_offset, 0o600)
        writer.attach(*files, state.base_offset, state.path_generation)

    @property
    def state(self) -> PartitionState:
        return self.slots.read_state(self.slot)

    def read(self, name: str) -> bytes:
        return self.filesystem.read_file(f"{self.directory}/{name}")

    def files(self) -> dict[str, bytes]:
        """Every segment file's content, by name."""
        return {
            name: self.read(name)
            for name in self.filesystem.listdir(self.directory)
            if name.endswith((".log", ".index", ".timeindex"))
        }
