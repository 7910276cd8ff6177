"""Private directories for `:memory:` logs: in RAM where there is room, gone with their process.

Each has a lock file of the same name beside it, locked for as long as a process that uses it
lives; the kernel frees the lock of one that died. What nobody holds any more is removed when
the next one is made. The lock file is made and locked first and removed last, so that what is
being made is never taken for what was left behind.
"""

from __future__ import annotations

import errno
import os

import msgspec

from streamlog.errors import DiskFullError, InputOutputError
from streamlog.storage.filesystem import OS_FILESYSTEM, Filesystem

_SHARED_MEMORY = "/dev/shm"
#: Less room than this and a disk serves better: containers often have 64 MiB of shared memory.
_ENOUGH_BYTES = 256 << 20
_LOCK_SUFFIX = ".lock"


class MemoryFilesystem(Filesystem):
    """The operating system's files, of a place where syncing would be for nothing."""

    def fdatasync(self, descriptor: int) -> None:
        """Nothing: what is private to a process does not outlive it."""

    def fsync(self, descriptor: int) -> None:
        """Nothing, as above."""

    def sync_directory(self, path: str) -> None:
        """Nothing, as above."""

    def kind(self, path: str) -> str:  # noqa: ARG002  # all of them are alike
        """What RAM calls itself, also where a disk had to serve."""
        return "tmpfs"


OS_FILES: Filesystem = OS_FILESYSTEM
MEMORY_FILES: Filesystem = MemoryFilesystem()


class MemoryDirectory(msgspec.Struct):
    """One private directory, held by the lock on `descriptor`. `pid` made it."""

    path: str
    descriptor: int
    pid: int

    def remove(self, filesystem: Filesystem = OS_FILESYSTEM) -> None:
        """Remove the directory; in a forked child, which did not make it, only let go of it."""
        if self.descriptor < 0:
            return
        descriptor, self.descriptor = self.descriptor, -1
        if os.getpid() == self.pid:
            _remove(filesystem, self.path)
        filesystem.close(descriptor)


def make_memory_directory(
    filesystem: Filesystem = OS_FILESYSTEM, base: str | None = None
) -> MemoryDirectory:
    """A new directory that nobody else uses, after removing what dead processes left."""
    base = base or _find_base(filesystem)
    prefix = f"streamlog-memory-{os.getuid()}-"
    try:
        remove_abandoned(filesystem, base, prefix)
        while True:
            path = f"{base}/{prefix}{os.urandom(8).hex()}"
            descriptor = _lock(filesystem, path, os.O_CREAT | os.O_EXCL)
            if descriptor is not None:
                filesystem.mkdir(path, 0o700)
                return MemoryDirectory(path, descriptor, os.getpid())
    except OSError as error:
        kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else InputOutputError
        raise kind(
            f"no private directory can be made in {base}: {error.strerror}; set TMPDIR to a "
            "directory with room",
            path=base,
            errno=error.errno,
        ) from error


def remove_abandoned(filesystem: Filesystem, base: str, prefix: str) -> None:
    """Remove the directories in `base` whose lock nobody holds."""
    for name in filesystem.listdir(base):
        if not (name.startswith(prefix) and name.endswith(_LOCK_SUFFIX)):
            continue
        path = f"{base}/{name.removesuffix(_LOCK_SUFFIX)}"
        descriptor = _lock(filesystem, path, 0)
        if descriptor is not None:
            _remove(filesystem, path)
            filesystem.close(descriptor)


def _lock(filesystem: Filesystem, path: str, flags: int) -> int | None:
    """The lock of `path`, or None when it is another process's or gone."""
    lock_path = path + _LOCK_SUFFIX
    try:
        descriptor = filesystem.open(lock_path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
    except (FileNotFoundError, FileExistsError):
        return None
    try:
        if filesystem.lock(descriptor, 0, 1, exclusive=True) and (
            # Whoever held it before may have removed it between our open and our lock.
            filesystem.identity(lock_path).inode == filesystem.identity(descriptor).inode
        ):
            return descriptor
    except FileNotFoundError:
        filesystem.close(descriptor)
        return None
    except BaseException:
        filesystem.close(descriptor)
        raise
    filesystem.close(descriptor)
    return None


def _find_base(filesystem: Filesystem) -> str:
    if filesystem.is_directory(_SHARED_MEMORY) and os.access(_SHARED_MEMORY, os.W_OK | os.X_OK):
        room = os.statvfs(_SHARED_MEMORY)
        if room.f_bavail * room.f_frsize >= _ENOUGH_BYTES:
            return _SHARED_MEMORY
    return os.environ.get("TMPDIR") or "/tmp"


def _remove(filesystem: Filesystem, path: str) -> None:
    if filesystem.is_directory(path):
        _remove_tree(filesystem, path)
    filesystem.unlink(path + _LOCK_SUFFIX)


def _remove_tree(filesystem: Filesystem, path: str) -> None:
    """Symbolic links are removed, not followed."""
    for name in filesystem.listdir(path):
        entry = f"{path}/{name}"
        if filesystem.is_directory(entry):
            _remove_tree(filesystem, entry)
        else:
            filesystem.unlink(entry)
    filesystem.rmdir(path)
