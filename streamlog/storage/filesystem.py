"""The door to the machine's files: everything that storage does to a disk goes through here.

`Filesystem` is `os` with the shapes that storage needs and nothing else, so that a test can
put a fake of one page in its place: one that records what was written and synced and then
shows every state that a power cut may leave behind. No other module of `storage` or `broker`
touches `os` for files.

Paths are `str`, absolute. Descriptors are small integers. Every failure is an `OSError`;
who calls turns it into one of `streamlog.errors` with the values that belong to it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

from streamlog.storage import file_systems

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

# struct flock, and the commands of locks that belong to an open file; elsewhere those of the
# process, which serve where one process at a time has a directory open (`system.can_share`).
if sys.platform == "darwin":
    _FLOCK = struct.Struct("qqihh")
    _FLOCK_ORDER = (3, 4, 0, 1, 2)  # where type, whence, start, length, pid stand
else:
    _FLOCK = struct.Struct("hhqqi4x")
    _FLOCK_ORDER = (0, 1, 2, 3, 4)
_SET_LOCK = getattr(fcntl, "F_OFD_SETLK", fcntl.F_SETLK)
_GET_LOCK = getattr(fcntl, "F_OFD_GETLK", fcntl.F_GETLK)

_AT_CWD = -100
_RENAME_EXCHANGE = 2
_NOT_OFFERED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV})
_COPY_CHUNK = 1 << 20


class FileIdentity(NamedTuple):
    """What tells one file from another, and one state of it from another."""

    device: int
    inode: int
    mtime_ns: int
    size: int


class Space(NamedTuple):
    """The bytes of the file system that holds a path: all, and those that this user may take."""

    total: int
    usable: int


class ReadMap(Protocol):
    """A read-only map of a file, longer than the file may be now.

    `view(position, length)` makes the range resident and returns it; `OSError` when the range
    cannot be read (a bad sector, a file cut by a stranger). The view keeps the map alive.
    """

    def view(self, position: int, length: int) -> memoryview: ...


class Filesystem:
    """The operating system's files. One instance serves everybody: `OS_FILESYSTEM`."""

    #: The compiled calls of `_system.pyx` go to the operating system by themselves; a fake
    #: says False here and gets their pure twins, which come back through this door.
    is_operating_system = True

    # ---------------------------------------------------------------- descriptors

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        return os.open(path, flags | os.O_CLOEXEC, mode)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def pread(self, descriptor: int, size: int, position: int) -> bytes:
        return os.pread(descriptor, size, position)

    def pwrite(self, descriptor: int, data: Buffer, position: int) -> int:
        return os.pwrite(descriptor, data, position)

    def write_all(self, descriptor: int, data: Buffer, position: int) -> None:
        """Write all of `data`, in as many calls as a short write makes necessary."""
        view = memoryview(data).cast("B")
        while view:
            written = self.pwrite(descriptor, view, position)
            view = view[written:]
            position += written

    def copy(self, source: int, target: int, length: int, position: int) -> int:
        """Copy up to `length` bytes to the same place of another file; how many were copied.

        0 at the end of the source. The kernel copies where it can, or shares the blocks.
        """
        if self.is_operating_system and hasattr(os, "copy_file_range"):
            try:
                copied = os.copy_file_range(source, target, length, position, position)
            except OSError as error:
                if error.errno not in _NOT_OFFERED:
                    raise
            else:
                if copied:  # some file systems say 0 for what they cannot do
                    return copied
        data = self.pread(source, min(length, _COPY_CHUNK), position)
        self.write_all(target, data, position)
        return len(data)

    def truncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)

    def fdatasync(self, descriptor: int) -> None:
        if hasattr(os, "fdatasync"):
            os.fdatasync(descriptor)
        else:
            self.fsync(descriptor)

    def fsync(self, descriptor: int) -> None:
        full_sync = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone stops at the drive
        if full_sync is not None:
            fcntl.fcntl(descriptor, full_sync)
        else:
            os.fsync(descriptor)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def set_modified(self, descriptor: int, mtime_ns: int) -> None:
        """Give the file a modification time, in ns since 1970."""
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))

    def allocate(self, descriptor: int, position: int, length: int) -> None:
        """Reserve blocks, so that a store through a map cannot meet a full disk.

        On failure the file is put back to its length: ext4 leaves it extended.
        """
        before = self.size(descriptor)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, position, length)
            else:  # macOS: zeros that were written have their blocks too
                self.write_all(descriptor, bytes(length), position)
        except OSError:
            if self.size(descriptor) > before:
                os.ftruncate(descriptor, before)
            raise

    # ---------------------------------------------------------------- names

    def exists(self, path: str) -> bool:
        """Whether there is anything of that name; a disk that does not answer is an `OSError`."""
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def is_directory(self, path: str) -> bool:
        """Whether `path` is a directory itself; a symbolic link is not followed."""
        try:
            return stat.S_ISDIR(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def file_size(self, path: str) -> int:
        return os.lstat(path).st_size

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def mkdir(self, path: str, mode: int = 0o700) -> None:
        os.mkdir(path, mode)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def rename(self, source: str, destination: str) -> None:
        os.rename(source, destination)

    def exchange(self, one: str, other: str) -> bool:
        """Let two names change places, at once; False where the file system does not offer it."""
        import ctypes

        call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if call is None:
            return False
        paths = os.fsencode(one), os.fsencode(other)
        if call(_AT_CWD, paths[0], _AT_CWD, paths[1], _RENAME_EXCHANGE) == 0:
            return True
        number = ctypes.get_errno()
        if number in _NOT_OFFERED:
            return False
        raise OSError(number, os.strerror(number), one)

    def link(self, source: str, destination: str) -> None:
        """Give a file another name, which counts as much as the first (a hard link)."""
        os.link(source, destination, follow_symlinks=False)

    def link_count(self, path: str) -> int:
        """How many names a file has."""
        return os.lstat(path).st_nlink

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def identity(self, target: str | int) -> FileIdentity:
        found = os.lstat(target) if isinstance(target, str) else os.fstat(target)
        return FileIdentity(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)

    def sync_directory(self, path: str) -> None:
        """Make creations, renames and removals in `path` survive a power cut."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # ---------------------------------------------------------------- whole files

    def read_file(self, path: str) -> bytes:
        descriptor = self.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            chunks = []
            position = 0
            while chunk := self.pread(descriptor, 1 << 20, position):
                chunks.append(chunk)
                position += len(chunk)
            return b"".join(chunks)
        finally:
            self.close(descriptor)

    def write_file(self, path: str, data: Buffer, *, mode: int = 0o600, sync: bool = True) -> None:
        """Create or replace a file in place; not atomic, for files nobody reads yet."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = self.open(path, flags, mode)
        try:
            self.write_all(descriptor, data, 0)
            if sync:
                self.fsync(descriptor)
        finally:
            self.close(descriptor)

    def write_atomically(
        self, path: str, data: Buffer, *, mode: int = 0o600, sync_parent: bool = True
    ) -> None:
        """Replace a file so that a crash leaves the old content or the new, never neither.

        The order is the promise: content synced before the rename (XFS would leave an empty
        file), the directory synced after it (or the rename is undone).
        """
        temporary = path + ".tmp"
        self.write_file(temporary, data, mode=mode)
        self.rename(temporary, path)
        if sync_parent:
            self.sync_directory(os.path.dirname(path))

    # ---------------------------------------------------------------- maps

    def map_shared(self, descriptor: int, length: int) -> memoryview:
        """A writable view of the file's first `length` bytes, shared with other processes.

        The blocks must have been allocated: a store that finds no room kills the process.
        """
        return memoryview(mmap.mmap(descriptor, length))

    def map_readonly(self, descriptor: int, length: int) -> ReadMap | None:
        """A map for reading `length` bytes ahead, or None where `pread` has to serve."""
        from streamlog.storage.system import open_read_map

        return open_read_map(descriptor, length)

    # ---------------------------------------------------------------- locks

    def lock(self, descriptor: int, position: int, length: int, *, exclusive: bool) -> bool:
        """Try an open-file-description lock on a byte range; False when another holds it."""
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        try:
            fcntl.fcntl(descriptor, _SET_LOCK, _flock(kind, position, length))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(self, descriptor: int, position: int, length: int) -> None:
        fcntl.fcntl(descriptor, _SET_LOCK, _flock(fcntl.F_UNLCK, position, length))

    def lock_holder(
        self, descriptor: int, position: int, length: int, *, exclusive: bool
    ) -> int | None:
        """Who stands in the way: a process id, 0 for an unnamed one (OFD), None for nobody."""
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        answer = fcntl.fcntl(descriptor, _GET_LOCK, _flock(kind, position, length))
        fields = _FLOCK.unpack(answer)
        found, pid = fields[_FLOCK_ORDER[0]], fields[_FLOCK_ORDER[4]]
        return None if found == fcntl.F_UNLCK else max(pid, 0)

    # ---------------------------------------------------------------- what kind of place

    def kind(self, path: str) -> str:
        """The kind of file system that holds `path`, e.g. "ext4", "tmpfs", "nfs", "fuse.sshfs".

        "" where the system does not tell.
        """
        from streamlog.storage.system import file_system_magic

        magic = file_system_magic(path)
        if magic is None:  # not Linux
            return ""
        kind = file_systems.name_of(magic)
        if not file_systems.needs_mounts(kind):
            return kind
        try:
            mounts = self.read_file("/proc/self/mountinfo").decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return kind
        return file_systems.refine(kind, mounts, os.path.realpath(path))

    def space(self, path: str) -> Space:
        """How large the file system that holds `path` is, and how much of it is free."""
        found = os.statvfs(path)
        return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

    def boot_id(self) -> bytes:
        """16 bytes that change with every boot; zeros where the system does not tell."""
        try:
            text = self.read_file("/proc/sys/kernel/random/boot_id")
        except FileNotFoundError:
            return bytes(16)
        return bytes.fromhex(text.decode("ascii").strip().replace("-", ""))


def _flock(kind: int, position: int, length: int) -> bytes:
    fields = [0] * len(_FLOCK_ORDER)
    values = (kind, os.SEEK_SET, position, length, 0)
    for place, value in zip(_FLOCK_ORDER, values, strict=True):
        fields[place] = value
    return _FLOCK.pack(*fields)


OS_FILESYSTEM = Filesystem()
