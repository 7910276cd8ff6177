"""The files of a backup: linked where that is safe, copied up to where they are published.

A hard link is the same file under another name: whoever writes through one name writes for both.
So only what nobody writes to again is linked: sealed segments that are followed by records on the
disk, which no recovery cuts, or makes the last segment again, on either side. Everything else is
a copy, indexes above all: a recovery rewrites them in place.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, NamedTuple

from streamlog.storage.filesystem import FileIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.broker.backup_place import Former
    from streamlog.storage.filesystem import Filesystem

#: Another file system, one without links or with enough of them, a file of somebody else's.
_CANNOT_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
)
_CHUNK = 8 << 20


class FileCut(NamedTuple):
    """A file of the log, by its name below the directory, and how much of it is in the backup.

    `is_final`: nobody writes to it any more. `tail` is what the backup has behind the copy.
    """

    name: str
    length: int
    is_final: bool = False
    tail: bytes = b""


class BackupFiles:
    """Puts files into the directory `target`. Thread-safe, where the filesystem is.

    `source` and `target` are reached through the same filesystem. `progress` is told of bytes that
    were dealt with, by one thread at a time. `failure` is what went wrong first, in any thread.
    """

    def __init__(
        self,
        filesystem: Filesystem,
        source: str,
        target: str,
        former: Former | None,
        *,
        mode: int,
        link: bool,
        progress: Callable[[int], None],
    ) -> None:
        self.filesystem = filesystem
        self.target = target
        self._source = source
        self._former = former if former is not None and former.is_untouched else None
        self._mode = mode
        self._link = link
        self._progress = progress
        self._lock = threading.Lock()
        self.failure: BaseException | None = None
        #: What each final file was in the log.
        self.identities: dict[str, FileIdentity] = {}
        self.linked = self.copied = self.bytes_linked = self.bytes_copied = 0

    def add(self, file: FileCut) -> None:
        """Link or copy one file; a copy is on the disk when this returns.

        What goes wrong is in `failure`, and nothing more is done.
        """
        if self.failure is not None:
            return
        try:
            if not (file.is_final and self._add_final(file)):
                self._copy(file)
        except BaseException as error:  # noqa: BLE001  # raised by the thread that waits for all
            self.failure = self.failure or error

    def write(self, name: str, data: bytes) -> None:
        """Write a file that is the backup's own; on the disk when this returns."""
        self.filesystem.write_file(f"{self.target}/{name}", data, mode=self._mode)
        self._count(bytes_copied=len(data))

    def _add_final(self, file: FileCut) -> bool:
        """Give a file that does not change another name; False where it has to be copied."""
        path = f"{self._source}/{file.name}"
        identity = self.filesystem.identity(path)
        with self._lock:
            self.identities[file.name] = identity
        kept = self._find_kept(file.name, identity)
        for known in [path] * self._link + [kept] * (kept is not None):
            if known is not None and self._try_link(known, file):
                return True
        return False

    def _find_kept(self, name: str, identity: FileIdentity) -> str | None:
        """The file of the former backup that is a copy of this one, as it is now."""
        former = self._former
        if former is None or former.manifest.segments.get(name) != identity:
            return None
        path = f"{former.path}/{name}"
        try:
            found = self.filesystem.identity(path)
        except FileNotFoundError:
            return None
        is_copy = (found.device, found.inode) != (identity.device, identity.inode)
        return path if found.size == identity.size and is_copy else None

    def _try_link(self, path: str, file: FileCut) -> bool:
        try:
            self.filesystem.link(path, f"{self.target}/{file.name}")
        except OSError as error:
            if error.errno in _CANNOT_LINK:
                return False
            raise
        self._count(linked=1, bytes_linked=file.length)
        self._tell(file.length)
        return True

    def _copy(self, file: FileCut) -> None:
        filesystem = self.filesystem
        source = filesystem.open(f"{self._source}/{file.name}", os.O_RDONLY | os.O_NOFOLLOW)
        try:
            # Never a file that is there: it might be linked.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            target = filesystem.open(f"{self.target}/{file.name}", flags, self._mode)
            try:
                self._copy_bytes(source, target, file)
                if file.tail:
                    filesystem.write_all(target, file.tail, file.length)
                filesystem.set_modified(target, filesystem.identity(source).mtime_ns)
                filesystem.fsync(target)
            finally:
                filesystem.close(target)
        finally:
            filesystem.close(source)
        is_segment = file.name.endswith(".log")
        self._count(copied=is_segment, bytes_copied=file.length + len(file.tail))

    def _copy_bytes(self, source: int, target: int, file: FileCut) -> None:
        position = 0
        while position < file.length and self.failure is None:
            wanted = min(_CHUNK, file.length - position)
            copied = self.filesystem.copy(source, target, wanted, position)
            if copied == 0:
                raise OSError(errno.EIO, "it is shorter than what is published", file.name)
            position += copied
            self._tell(copied)

    def _tell(self, size: int) -> None:
        with self._lock:
            self._progress(size)

    def _count(
        self, *, linked: int = 0, copied: int = 0, bytes_linked: int = 0, bytes_copied: int = 0
    ) -> None:
        with self._lock:
            self.linked += linked
            self.copied += copied
            self.bytes_linked += bytes_linked
            self.bytes_copied += bytes_copied
