"""A log directory before it is open: whether it is one, making a new one, its identity.

Nothing here needs a lock but `make_identity`, which only who is alone calls. What is found is
judged by its names: a directory that holds something else is left exactly as it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

import msgspec

from streamlog.errors import (
    CorruptDirectoryError,
    DiskFullError,
    InputOutputError,
    NotALogDirectoryError,
    UnsupportedFeatureError,
    UnsupportedFormatError,
)
from streamlog.protocol import Uuid
from streamlog.storage import file_systems, names
from streamlog.storage.folder import directory_mode
from streamlog.storage.format_number import FORMAT
from streamlog.storage.properties import (
    MetaProperties,
    format_meta_properties,
    read_meta_properties,
    read_streamlog_format,
    write_streamlog_format,
)

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem

METADATA_FOLDER = names.partition_directory_name(names.METADATA_TOPIC, 0)

_NODE_ID = 0

_OWN_FILES = frozenset(
    {
        names.LOCK,
        names.META,
        names.CLEAN,
        names.RECOVERY_POINTS,
        names.LOG_STARTS,
        names.HIGH_WATERMARKS,
        names.CLEANER_OFFSETS,
        names.BOOTSTRAP,
        names.STREAMLOG_PROPERTIES,
        names.STREAMLOG_LOCKS,
        names.STREAMLOG_SHARED,
        names.STREAMLOG_BACKUP,
        names.STREAMLOG_MEMBERS,
        "lost+found",  # the root of a file system of its own
    }
)


_REMEDIES = {
    errno.EROFS: "read_only=True opens what is there",
    errno.EACCES: "its files are another user's: open it as that one, or have them made with a "
    "mode= that lets a group in (0o660) or lets others read (0o644), for read_only=True",
}


class Place(msgspec.Struct, frozen=True):
    """Where a directory lies and what its file system can be trusted with.

    `durable`: a sync outlives the machine's power. `mappable`: segments are read through maps.
    """

    path: str
    kind: str
    durable: bool
    mappable: bool


class Listing(msgspec.Struct, frozen=True):
    """A directory's entries, by what they are."""

    files: frozenset[str]
    partitions: dict[tuple[str, int], str]
    leftovers: tuple[str, ...]
    unknown: tuple[str, ...]


def find_place(
    filesystem: Filesystem, path: str, *, create: bool, read_only: bool, mode: int
) -> Place:
    """Look at `path`, making the directory when it is absent and `create` is set.

    Raises `NotALogDirectoryError` when it is absent and must not be made or is no directory,
    `UnsupportedFeatureError` for writing to a network file system, and `OSError`.
    """
    path = os.path.realpath(path)
    is_there = filesystem.exists(path)
    if not is_there and (read_only or not create):
        raise NotALogDirectoryError(
            f"{path} does not exist" + ("" if read_only else " and create=False"),
            path=path,
            errno=errno.ENOENT,
        )
    kind = filesystem.kind(_first_that_exists(filesystem, path))
    if file_systems.is_network(kind) and not read_only:
        raise UnsupportedFeatureError(
            f"{path} is on a network file system ({kind}), where neither locks nor syncs keep "
            "what streamlog promises; use a local disk, or read_only=True",
            feature=kind,
        )
    if not is_there:
        make_directories(filesystem, path, directory_mode(mode))
    if not filesystem.is_directory(path):
        raise NotALogDirectoryError(f"{path} is not a directory", path=path, errno=errno.ENOTDIR)
    return Place(
        path=path,
        kind=kind,
        durable=kind not in file_systems.VOLATILE_KINDS,
        mappable=file_systems.is_mappable(kind),
    )


def list_directory(filesystem: Filesystem, path: str) -> Listing:
    """Sort a directory's entries into what they are. Folders are recognised by name only."""
    files, unknown, leftovers = [], [], []
    partitions: dict[tuple[str, int], str] = {}
    for name in filesystem.listdir(path):
        partition = names.parse_partition_directory(name)
        if name in _OWN_FILES or (name.endswith(".tmp") and name[:-4] in _OWN_FILES):
            files.append(name)
        elif partition is not None:
            partitions[partition] = name
        elif name.endswith(names.FOLDER_SUFFIXES):
            leftovers.append(name)
        else:
            unknown.append(name)
    return Listing(frozenset(files), partitions, tuple(leftovers), tuple(unknown))


def is_of_a_broker(filesystem: Filesystem, path: str) -> bool:
    """Whether a Kafka broker's data lie there, and streamlog never opened it for writing.

    A directory of ours says its format before it has anything else.
    """
    if not filesystem.exists(f"{path}/{names.META}") or filesystem.exists(
        f"{path}/{names.STREAMLOG_PROPERTIES}"
    ):
        return False
    listing = list_directory(filesystem, path)
    return bool(listing.partitions) or names.BOOTSTRAP in listing.files


def identify(filesystem: Filesystem, place: Place, *, read_only: bool) -> Listing:
    """Make sure that `place` is a log directory or may become one; changes nothing.

    Raises `NotALogDirectoryError` naming what is there instead, `UnsupportedFormatError` for a
    newer format (not when only reading), `CorruptDirectoryError` for partitions whose
    directory lost its identity.
    """
    listing = list_directory(filesystem, place.path)
    ours = names.META in listing.files
    if not ours and listing.unknown:
        found = ", ".join(listing.unknown[:3])
        raise NotALogDirectoryError(
            f"{place.path} is not a log directory: it has no {names.META}, but {found}; "
            "nothing was changed",
            path=place.path,
            errno=errno.EEXIST,
        )
    if read_only and not ours:
        raise NotALogDirectoryError(
            f"{place.path} is not a log directory: it has no {names.META}",
            path=place.path,
            errno=errno.ENOENT,
        )
    if not ours and set(listing.partitions) - {(names.METADATA_TOPIC, 0)}:
        raise CorruptDirectoryError(
            f"{place.path} holds partitions but no {names.META}; restore that file from a copy",
            file=f"{place.path}/{names.META}",
        )
    try:
        read_streamlog_format(filesystem, place.path)
    except UnsupportedFormatError:
        if not read_only:
            raise
    return listing


def read_or_make_identity(
    filesystem: Filesystem, path: str, random: bytes, *, mode: int
) -> MetaProperties:
    """The directory's identity; written when there is none yet. Only for who is alone.

    A broker's is kept, `node.id` and all. What is written here is durable when the caller
    next syncs the directory, which it does before the metadata log gets its first record.
    """
    if filesystem.exists(f"{path}/{names.META}"):
        meta = read_meta_properties(filesystem, path)
    else:
        meta = MetaProperties(_draw(random[:16]), _NODE_ID, "")
    if not meta.directory_id:
        meta = MetaProperties(meta.cluster_id, meta.node_id, _draw(random[16:]))
        filesystem.write_atomically(
            f"{path}/{names.META}", format_meta_properties(meta), mode=mode, sync_parent=False
        )
    return meta


def write_format(filesystem: Filesystem, path: str, *, mode: int) -> None:
    """Say our number of the format, where none stands or an older one. Only for who is alone.

    In a new directory it is durable with its identity; where it keeps older versions out, at once.
    """
    found = read_streamlog_format(filesystem, path)
    if found != FORMAT:
        write_streamlog_format(filesystem, path, mode=mode, sync_parent=found is not None)


def translate_os_error(error: OSError, path: str) -> OSError:
    """The typed error for what the operating system refused while opening `path`."""
    text = f"{path}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"{text}; nothing was promised yet", path=path, errno=error.errno)
    if error.errno in _REMEDIES:
        text = f"{text}; {_REMEDIES[error.errno]}"
    return InputOutputError(text, path=path, errno=error.errno)


def _draw(random: bytes) -> str:
    """A UUID's text out of 16 random bytes, changed until Kafka would draw it."""
    while (drawn := Uuid.from_random(random)) is None:
        random = random[1:] + bytes([(random[0] + 1) & 0xFF])
    return str(drawn)


def _first_that_exists(filesystem: Filesystem, path: str) -> str:
    while not filesystem.exists(path):
        path = os.path.dirname(path)
    return path


def make_directories(filesystem: Filesystem, path: str, mode: int) -> None:
    """Make `path` and what is missing above it; its own name is synced by who opens it first."""
    parent = os.path.dirname(path)
    if not filesystem.exists(parent):
        make_directories(filesystem, parent, mode)
        filesystem.sync_directory(os.path.dirname(parent))
    with contextlib.suppress(FileExistsError):  # another process makes the same directory
        filesystem.mkdir(path, mode)
