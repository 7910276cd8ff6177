"""Which kernel runs the calls of storage: the compiled one, or its pure twin.

The compiled calls go to the operating system directly, so a filesystem that is not the
operating system's (a test's) always gets the twin, which comes back through its door.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from streamlog.record.kernel import KERNEL

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem, ReadMap

COMPILED = False
if KERNEL == "compiled":
    try:
        from streamlog.storage import _append, _fetch, _system

        COMPILED = True
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("streamlog.storage._"):
            raise

if COMPILED:
    appended = _fetch.appended
    whole_batches = _fetch.whole_batches
else:
    from streamlog.storage.whole_batches import appended, whole_batches

__all__ = [
    "COMPILED",
    "appended",
    "can_share",
    "file_system_magic",
    "map_slots",
    "open_read_map",
    "open_writer",
    "whole_batches",
]


def can_share() -> bool:
    """Whether several processes may have a directory open.

    They need locks that belong to an open file (Linux), and either the compiled kernel, which
    says its memory barriers, or a processor that shows stores to others in their order.
    """
    return sys.platform == "linux" and (COMPILED or os.uname().machine == "x86_64")


def file_system_magic(path: str) -> int | None:
    """The number of the file system's type that `statfs(2)` answers; None but on Linux.

    Raises `OSError`.
    """
    if sys.platform != "linux":
        return None
    if COMPILED:
        magic: int = _system.file_system_magic(os.fsencode(path))
        return magic
    from streamlog.storage.statfs import file_system_magic

    return file_system_magic(path)


def map_slots(filesystem: Filesystem, descriptor: int) -> Any:
    """The mapped `streamlog.shared`: a compiled `SharedMap`, or its twin."""
    if COMPILED and filesystem.is_operating_system:
        from streamlog.storage.shared import MAPPED_SIZE

        return _system.SharedMap(descriptor, MAPPED_SIZE)
    from streamlog.storage.shared_map import SharedMap

    return SharedMap(filesystem, descriptor)


def open_writer(
    filesystem: Filesystem, slots: Any, slot: int, directory: str, locks_descriptor: int, mode: int
) -> Any:
    """The handle that appends to and syncs one partition."""
    if COMPILED and filesystem.is_operating_system:
        return _append.PartitionWriter(slots.map, slot, directory, locks_descriptor, mode)
    from streamlog.storage.append import PartitionWriter

    return PartitionWriter(filesystem, slots, slot, directory, locks_descriptor, mode)


def open_read_map(descriptor: int, length: int) -> ReadMap | None:
    """A map for reading ahead of the file's end; None without the compiled kernel."""
    if not COMPILED:
        return None
    mapped: ReadMap | None = _system.open_read_map(descriptor, length)
    return mapped
