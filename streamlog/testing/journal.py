"""What was done to a disk, in order: the operations that `crash_states` takes apart again.

Files and directories are inode numbers here, since a name may come to mean another file. A
store through a shared map is a `Write` as well: the page cache makes no difference.
"""

from __future__ import annotations

from typing import NamedTuple


class Write(NamedTuple):
    """Bytes that went into the page cache: by `pwrite`, or by a store through a map."""

    file: int
    position: int
    data: bytes
    is_store: bool = False


class Resize(NamedTuple):
    """A file was cut or made longer, without data."""

    file: int
    size: int


class Sync(NamedTuple):
    """`fsync` or `fdatasync` said that the file's bytes and its size are on the disk."""

    file: int


class SyncFailed(NamedTuple):
    """A sync reported an error: what was unsynced is now called clean, and may not be there."""

    file: int


class Link(NamedTuple):
    """A name was created in a directory, or given to another file."""

    directory: int
    name: str
    node: int
    is_directory: bool


class Unlink(NamedTuple):
    """A name was removed from a directory."""

    directory: int
    name: str


class Rename(NamedTuple):
    """A name was changed within its directory, replacing what had the new one. Atomic."""

    directory: int
    source: str
    destination: str
    node: int


class Exchange(NamedTuple):
    """Two names of a directory changed places. Atomic."""

    directory: int
    one: str
    other: str


class SyncDirectory(NamedTuple):
    """The directory's names are on the disk."""

    directory: int


EntryChange = Link | Unlink | Rename | Exchange
Operation = Write | Resize | Sync | SyncFailed | EntryChange | SyncDirectory


class Image(NamedTuple):
    """A whole file system: every path with its inode and its bytes (None for a directory).

    Parents come before their children; "/" is the first.
    """

    entries: dict[str, tuple[int, bytes | None]]


EMPTY_IMAGE = Image({"/": (1, None)})
