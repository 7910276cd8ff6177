"""Cutting a torn tail off, and keeping what was cut.

The order makes every step safe to be the last one before the next crash:

1. later segments, highest first, are renamed to `<segment>.0.torn`; the directory is synced.
   While one of them is left, the tail before it is still torn, so recovery comes here again.
2. the tail is copied to `<segment>.<position>.torn`, which is synced, and so is the directory.
3. only then is the segment cut, and synced.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

import msgspec

from streamlog.record.kernel import count_good_batches
from streamlog.storage.names import (
    LOG,
    SEGMENT_SUFFIXES,
    parse_segment_name,
    segment_name,
    torn_name,
)
from streamlog.storage.segment_scan import open_mapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.storage.filesystem import Filesystem

_COPY_CHUNK: Final = 1 << 20
_BLOCK: Final = 4096  # of a file system, at most


class TornTail(msgspec.Struct):
    """What was cut: bytes, whole good batches among them, and the files that keep it."""

    lost_bytes: int = 0
    good_batches: int = 0
    files: list[str] = msgspec.field(default_factory=list)


def cut_segments(filesystem: Filesystem, directory: str, bases: Iterable[int]) -> TornTail:
    """Take whole segments out of the log, highest first; empty ones are simply removed."""
    torn = TornTail()
    names = frozenset(filesystem.listdir(directory))
    for base_offset in sorted(bases, reverse=True):
        path = f"{directory}/{segment_name(base_offset, LOG)}"
        size = filesystem.file_size(path)
        if size == 0 or _is_zero(filesystem, path, 0, size):
            filesystem.unlink(path)
        else:
            torn.good_batches += _good_batches(filesystem, path, 0, size)
            kept = _free_name(filesystem, directory, base_offset)
            filesystem.rename(path, f"{directory}/{kept}")
            torn.files.append(kept)
        torn.lost_bytes += size
        for suffix in SEGMENT_SUFFIXES:
            name = segment_name(base_offset, suffix)
            if suffix != LOG and name in names:
                filesystem.unlink(f"{directory}/{name}")
    filesystem.sync_directory(directory)
    return torn


def cut_tail(filesystem: Filesystem, directory: str, base_offset: int, position: int) -> TornTail:
    """Cut a segment at `position`, keeping what was behind it unless that is only zeros."""
    path = f"{directory}/{segment_name(base_offset, LOG)}"
    size = filesystem.file_size(path)
    torn = TornTail(lost_bytes=size - position)
    if size <= position:
        return torn
    if not _is_zero(filesystem, path, position, size):
        torn.good_batches = _good_batches(filesystem, path, position, size)
        torn.files.append(_keep_tail(filesystem, directory, base_offset, position, size))
    truncate_file(filesystem, path, position, sync=True)
    return torn


def truncate_file(filesystem: Filesystem, path: str, length: int, *, sync: bool) -> None:
    """Cut a file to `length` bytes: this one, and none that has the same bytes elsewhere."""
    if filesystem.link_count(path) > 1:
        _replace_by_copy(filesystem, path, length)
        return
    descriptor = filesystem.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        filesystem.truncate(descriptor, length)
        if sync:
            filesystem.fdatasync(descriptor)
    finally:
        filesystem.close(descriptor)


def clear_behind(filesystem: Filesystem, path: str, end: int) -> None:
    """Have zeros on the disk behind the file's end, in the block that the end lies in.

    ext4 keeps there what a crash left without a length. The next append lengthens the file over
    it, and if only that reaches the disk before another crash, a batch that was lost once is
    back, good in every respect. The file is not synced.
    """
    unshare(filesystem, path)
    missing = -end % _BLOCK
    if missing:
        descriptor = filesystem.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            filesystem.write_all(descriptor, bytes(missing), end)
        except OSError as error:
            # There is no block there, and so nothing that could come back.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        finally:
            try:
                filesystem.truncate(descriptor, end)
            finally:
                filesystem.close(descriptor)


def unshare(filesystem: Filesystem, path: str) -> None:
    """Have a file that has another name, in a backup say, be one of its own: it is written to."""
    if filesystem.link_count(path) > 1:
        _replace_by_copy(filesystem, path, filesystem.file_size(path))


def _replace_by_copy(filesystem: Filesystem, path: str, length: int) -> None:
    """Put a synced copy of the first `length` bytes in the place of a file."""
    copy = path + ".tmp"  # loading removes what a crash leaves of it
    copy_range(filesystem, path, 0, length, copy)
    filesystem.rename(copy, path)
    filesystem.sync_directory(os.path.dirname(path))


def copy_range(
    filesystem: Filesystem, source_path: str, start: int, end: int, target_path: str
) -> None:
    """Copy bytes of one file to a new one from its start, synced; the directory is not."""
    source = filesystem.open(source_path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        target = filesystem.open(target_path, flags, 0o600)
        try:
            position = start
            while position < end:
                data = filesystem.pread(source, min(_COPY_CHUNK, end - position), position)
                if not data:
                    break
                filesystem.write_all(target, data, position - start)
                position += len(data)
            filesystem.fsync(target)
        finally:
            filesystem.close(target)
    finally:
        filesystem.close(source)


def remove_snapshots_behind(filesystem: Filesystem, directory: str, log_end: int) -> int:
    """Remove producer snapshots of what is no longer there; how many."""
    doomed = [
        name
        for name in filesystem.listdir(directory)
        if (parsed := parse_segment_name(name)) is not None
        and parsed.suffix == ".snapshot"
        and parsed.base_offset > log_end
    ]
    for name in doomed:
        filesystem.unlink(f"{directory}/{name}")
    if doomed:
        filesystem.sync_directory(directory)
    return len(doomed)


def _keep_tail(
    filesystem: Filesystem, directory: str, base_offset: int, position: int, size: int
) -> str:
    source = f"{directory}/{segment_name(base_offset, LOG)}"
    attempt = 0
    while True:
        name = torn_name(base_offset, position, attempt)
        path = f"{directory}/{name}"
        # An unfinished copy of an earlier attempt is made again; another crash's tail is kept.
        if not filesystem.exists(path) or _is_prefix(filesystem, path, source, position):
            break
        attempt += 1
    copy_range(filesystem, source, position, size, path)
    filesystem.sync_directory(directory)
    return name


def _free_name(filesystem: Filesystem, directory: str, base_offset: int) -> str:
    attempt = 0
    while filesystem.exists(f"{directory}/{torn_name(base_offset, 0, attempt)}"):
        attempt += 1
    return torn_name(base_offset, 0, attempt)


def _good_batches(filesystem: Filesystem, path: str, position: int, size: int) -> int:
    source = open_mapped(filesystem, path)
    try:
        return count_good_batches(source.view(position, size - position), 0)
    finally:
        source.close()


def _is_zero(filesystem: Filesystem, path: str, position: int, size: int) -> bool:
    descriptor = filesystem.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        while position < size:
            data = filesystem.pread(descriptor, min(_COPY_CHUNK, size - position), position)
            if not data:
                break
            if data.count(0) != len(data):
                return False
            position += len(data)
        return True
    finally:
        filesystem.close(descriptor)


def _is_prefix(filesystem: Filesystem, path: str, source_path: str, position: int) -> bool:
    """Whether `path` holds the beginning of what `source_path` holds from `position` on."""
    part = filesystem.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        whole = filesystem.open(source_path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            at = 0
            while data := filesystem.pread(part, _COPY_CHUNK, at):
                if filesystem.pread(whole, len(data), position + at) != data:
                    return False
                at += len(data)
            return True
        finally:
            filesystem.close(whole)
    finally:
        filesystem.close(part)
