"""What the processes that have a directory open publish, for who only looks at it from outside."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Self

from streamlog.broker.opening import is_same_file
from streamlog.errors import CorruptDirectoryError
from streamlog.protocol import Uuid
from streamlog.storage import names, shared
from streamlog.storage.partition_metadata import read_partition_metadata
from streamlog.storage.shared import PartitionState

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem

_SLOT = struct.Struct(f"={shared.SLOT_WORDS}q")
_HEADER = struct.Struct("=8q")
_TRIES = 100


class LiveFile:
    """`streamlog.shared` of a directory that is in use, read and not mapped, for one look at it."""

    def __init__(self, filesystem: Filesystem, path: str) -> None:
        self._filesystem = filesystem
        self._path = f"{path}/{names.STREAMLOG_SHARED}"
        self._clean = f"{path}/{names.CLEAN}"
        self._descriptor = -1
        self._count = 0

    def __enter__(self) -> Self:
        try:
            self._descriptor = self._filesystem.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return self  # never opened for writing, or a copy that may not be read
        words = self._words(_HEADER, 0)
        boot_id = struct.pack("=2q", *words[shared.HEADER_BOOT_ID : shared.HEADER_BOOT_ID + 2])
        live = (
            words[shared.HEADER_STATE] == shared.STATE_LIVE
            and boot_id == self._filesystem.boot_id()
            and is_same_file(self._filesystem, self._descriptor)
            and not self._filesystem.exists(self._clean)
        )
        self._count = words[shared.HEADER_SLOT_COUNT] if live else 0
        return self

    def __exit__(self, *exception: object) -> None:
        if self._descriptor >= 0:
            self._filesystem.close(self._descriptor)

    def state(
        self, key: tuple[bytes, int], known: dict[tuple[bytes, int], int]
    ) -> PartitionState | None:
        """The published state of a partition; None when nobody publishes one."""
        slot = known.get(key)
        if slot is None or slot >= self._count or self._slot_key(self._slot(slot)) != key:
            known.update((self._slot_key(self._slot(at)), at) for at in range(self._count))
            slot = known.get(key)
        if slot is None or slot >= self._count:
            return None
        for _ in range(_TRIES):
            words = self._slot(slot)
            if self._slot(slot)[shared.SLOT_SEQUENCE] == words[shared.SLOT_SEQUENCE]:
                copy = words[shared.SLOT_SEQUENCE] & 1
                first = shared.SLOT_STATE + shared.STATE_WORDS * copy
                return PartitionState(*words[first : first + len(PartitionState._fields)])
        return None

    def _slot(self, slot: int) -> tuple[int, ...]:
        return self._words(_SLOT, shared.HEADER_SIZE + slot * shared.SLOT_SIZE)

    def _words(self, layout: struct.Struct, position: int) -> tuple[int, ...]:
        data = self._filesystem.pread(self._descriptor, layout.size, position)
        return layout.unpack(data.ljust(layout.size, b"\0"))

    @staticmethod
    def _slot_key(words: tuple[int, ...]) -> tuple[bytes, int]:
        return struct.pack("=2q", *words[:2]), words[shared.SLOT_PARTITION]


class LiveStates(Mapping[tuple[str, int], PartitionState]):
    """By (topic, partition), what is published now; nothing for a directory that is not in use.

    Each look reads the file anew: a directory may be opened and closed meanwhile.
    """

    def __init__(self, filesystem: Filesystem, path: str) -> None:
        self._filesystem = filesystem
        self._path = path

    def __getitem__(self, key: tuple[str, int]) -> PartitionState:
        topic, partition = key
        folder = f"{self._path}/{names.partition_directory_name(topic, partition)}"
        topic_id: bytes | None = Uuid.ONE
        if topic != names.METADATA_TOPIC:
            try:
                topic_id = read_partition_metadata(self._filesystem, folder)
            except (CorruptDirectoryError, FileNotFoundError):
                topic_id = None
        if topic_id is None:
            raise KeyError(key)
        with LiveFile(self._filesystem, self._path) as live:
            state = live.state((bytes(topic_id), partition), {})
        if state is None:
            raise KeyError(key)
        return state

    def __iter__(self) -> Iterator[tuple[str, int]]:
        found = map(names.parse_partition_directory, self._filesystem.listdir(self._path))
        return (key for key in found if key is not None and key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
