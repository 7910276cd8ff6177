"""The filesystem door with no machine behind it: files in memory, locks, maps, several processes.

`MemoryFilesystem` is one process's door. `another_process()` is a second door to the same disk,
whose locks exclude the first one's; `kill()` drops what a dead process held. With a journal
every change is recorded, stores through the shared map included, so that
`crash_states` can tell what a power cut at any point may leave.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, cast

from streamlog.storage.filesystem import FileIdentity, Filesystem, ReadMap, Space
from streamlog.testing.journal import (
    EMPTY_IMAGE,
    Exchange,
    Image,
    Link,
    Operation,
    Rename,
    Resize,
    Sync,
    SyncDirectory,
    SyncFailed,
    Unlink,
    Write,
)
from streamlog.testing.memory_disk import HeldLock, MemoryDirectory, MemoryDisk, MemoryFile
from streamlog.testing.recorded_map import RecordedMap

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

_MAP_ROOM = 256 << 10  # how much a file may grow while it is mapped
_DEVICE = 1


class MemoryFilesystem(Filesystem):
    """One process's files on a disk in memory. Not thread-safe: recorded worlds have one thread.

    `image` is what the disk holds at the start, `boot` the number of the boot (another one
    after a power cut), `journal` the list that changes are appended to (None: not recorded).
    `base` is what it held when the journal began: what is gone since keeps its number.
    `before` is called with the name of an operation and its path or descriptor before it takes
    place; what it raises is what the disk answers.
    """

    is_operating_system = False

    def __init__(
        self,
        image: Image = EMPTY_IMAGE,
        *,
        boot: int = 1,
        journal: list[Operation] | None = None,
        base: Image = EMPTY_IMAGE,
    ) -> None:
        self._disk = MemoryDisk(image, boot, journal, base)
        self._opened: dict[int, MemoryFile] = {}
        self._died_open: set[int] = set()
        self.before: Callable[[str, str | int], None] | None = None

    # ---------------------------------------------------------------- the machine

    def another_process(self) -> MemoryFilesystem:
        """The door of another process on the same disk, with no files open."""
        other = type(self)()
        other._disk = self._disk
        return other

    def kill(self) -> None:
        """End the process: its locks are freed, what it wrote stays."""
        for descriptor in list(self._opened):
            self.close(descriptor)
            self._died_open.add(descriptor)

    @property
    def open_descriptors(self) -> int:
        """How many descriptors this process holds."""
        return len(self._opened)

    def _record(self, operation: Operation) -> None:
        if self._disk.journal is not None:
            self._disk.journal.append(operation)

    def _ask(self, operation: str, target: str | int) -> None:
        if self.before is not None:
            self.before(operation, target)

    def _find(self, path: str) -> MemoryFile | MemoryDirectory | None:
        node: MemoryFile | MemoryDirectory | None = self._disk.root
        for name in path.split("/"):
            if name:
                if not isinstance(node, MemoryDirectory):
                    return None
                node = node.names.get(name)
        return node

    def _directory(self, path: str) -> MemoryDirectory:
        node = self._find(path or "/")
        if node is None:
            _fail(errno.ENOENT, path)
        if not isinstance(node, MemoryDirectory):
            _fail(errno.ENOTDIR, path)
        return node

    def _new_number(self) -> int:
        self._disk.next_inode += 1
        return self._disk.next_inode - 1

    # ---------------------------------------------------------------- descriptors

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        self._ask("open", path)
        parent, _, name = path.rpartition("/")
        directory = self._directory(parent)
        node = directory.names.get(name)
        if node is None:
            if not flags & os.O_CREAT:
                _fail(errno.ENOENT, path)
            node = directory.names[name] = MemoryFile(self._new_number())
            self._record(Link(directory.number, name, node.number, is_directory=False))
        elif isinstance(node, MemoryDirectory):
            _fail(errno.EISDIR, path)
        elif flags & os.O_EXCL and flags & os.O_CREAT:
            _fail(errno.EEXIST, path)
        if flags & os.O_TRUNC and node.size:
            node.resize(0)
            self._record(Resize(node.number, 0))
        self._disk.next_descriptor += 1
        self._opened[self._disk.next_descriptor] = node
        return self._disk.next_descriptor

    def _file(self, descriptor: int) -> MemoryFile:
        try:
            return self._opened[descriptor]
        except KeyError:
            _fail(errno.EBADF, str(descriptor))

    def close(self, descriptor: int) -> None:
        if descriptor in self._died_open:
            return  # an object of a dead process that is collected late closes nothing any more
        node = self._file(descriptor)
        del self._opened[descriptor]
        if node.locks:
            node.locks = [lock for lock in node.locks if lock.owner != descriptor]

    def pread(self, descriptor: int, size: int, position: int) -> bytes:
        node = self._file(descriptor)
        return bytes(node.buffer[position : min(position + size, node.size)])

    def pwrite(self, descriptor: int, data: Buffer, position: int) -> int:
        self._ask("pwrite", descriptor)
        node = self._file(descriptor)
        content = bytes(data)
        end = position + len(content)
        node.own(max(end, node.size))[position:end] = content
        node.size = max(node.size, end)
        self._record(Write(node.number, position, content))
        return len(content)

    def truncate(self, descriptor: int, length: int) -> None:
        self._ask("truncate", descriptor)
        node = self._file(descriptor)
        if node.size != length:
            node.resize(length)
            self._record(Resize(node.number, length))

    def set_modified(self, descriptor: int, mtime_ns: int) -> None:
        self._file(descriptor).changes = mtime_ns

    def allocate(self, descriptor: int, position: int, length: int) -> None:
        self._ask("allocate", descriptor)
        node = self._file(descriptor)
        if position + length > node.size:
            node.resize(position + length)
            self._record(Resize(node.number, position + length))

    def fdatasync(self, descriptor: int) -> None:
        self._sync("fdatasync", descriptor)

    def fsync(self, descriptor: int) -> None:
        self._sync("fsync", descriptor)

    def _sync(self, operation: str, descriptor: int) -> None:
        node = self._file(descriptor)
        try:
            self._ask(operation, descriptor)
        except OSError:
            self._record(SyncFailed(node.number))
            raise
        self._record(Sync(node.number))

    def size(self, descriptor: int) -> int:
        return self._file(descriptor).size

    # ---------------------------------------------------------------- names

    def exists(self, path: str) -> bool:
        return self._find(path) is not None

    def is_directory(self, path: str) -> bool:
        return isinstance(self._find(path), MemoryDirectory)

    def file_size(self, path: str) -> int:
        return self.identity(path).size

    def listdir(self, path: str) -> list[str]:
        return sorted(self._directory(path).names)

    def mkdir(self, path: str, mode: int = 0o700) -> None:
        self._ask("mkdir", path)
        parent, _, name = path.rpartition("/")
        directory = self._directory(parent)
        if name in directory.names:
            _fail(errno.EEXIST, path)
        made = directory.names[name] = MemoryDirectory(self._new_number())
        self._record(Link(directory.number, name, made.number, is_directory=True))

    def rmdir(self, path: str) -> None:
        self._ask("rmdir", path)
        if self._directory(path).names:
            _fail(errno.ENOTEMPTY, path)
        self._remove(path)

    def unlink(self, path: str) -> None:
        self._ask("unlink", path)
        if isinstance(self._find(path), MemoryDirectory):
            _fail(errno.EISDIR, path)
        self._remove(path)

    def _remove(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        directory = self._directory(parent)
        if directory.names.pop(name, None) is None:
            _fail(errno.ENOENT, path)
        self._record(Unlink(directory.number, name))

    def rename(self, source: str, destination: str) -> None:
        self._ask("rename", source)
        folder, _, old = source.rpartition("/")
        target, _, new = destination.rpartition("/")
        assert folder == target, "the crash model knows renames within one directory only"
        directory = self._directory(folder)
        if old not in directory.names:
            _fail(errno.ENOENT, source)
        node = directory.names.pop(old)
        directory.names[new] = node
        self._record(Rename(directory.number, old, new, node.number))

    def exchange(self, one: str, other: str) -> bool:
        self._ask("rename", one)
        folder, _, first = one.rpartition("/")
        second = other.removeprefix(f"{folder}/")  # within one directory, like renames
        directory = self._directory(folder)
        names = directory.names
        names[first], names[second] = names[second], names[first]
        self._record(Exchange(directory.number, first, second))
        return True

    def link(self, source: str, destination: str) -> None:
        self._ask("link", source)
        node = self._find(source)
        folder, _, name = destination.rpartition("/")
        directory = self._directory(folder)
        if not isinstance(node, MemoryFile) or name in directory.names:
            _fail(errno.ENOENT if node is None else errno.EEXIST, source)
        directory.names[name] = node
        self._record(Link(directory.number, name, node.number, is_directory=False))

    def link_count(self, path: str) -> int:
        node = self._find(path)
        if node is None:
            _fail(errno.ENOENT, path)
        folders, count = [self._disk.root], 0
        for folder in folders:
            count += sum(entry is node for entry in folder.names.values())
            folders += [
                entry for entry in folder.names.values() if isinstance(entry, MemoryDirectory)
            ]
        return count

    def identity(self, target: str | int) -> FileIdentity:
        node = self._file(target) if isinstance(target, int) else self._find(target)
        if node is None:
            _fail(errno.ENOENT, str(target))
        if isinstance(node, MemoryDirectory):
            return FileIdentity(_DEVICE, node.number, 0, 0)
        return FileIdentity(_DEVICE, node.number, node.changes, node.size)

    def sync_directory(self, path: str) -> None:
        self._ask("sync_directory", path)
        self._record(SyncDirectory(self._directory(path).number))

    # ---------------------------------------------------------------- maps

    def map_shared(self, descriptor: int, length: int) -> memoryview:
        """The file's bytes. Recorded, it is a stand-in that has what `SharedMap` needs."""
        node = self._file(descriptor)
        if not node.is_mapped:
            node.own(node.size + _MAP_ROOM)
            node.is_mapped = True
        view = memoryview(node.own(0))[:length]
        journal = self._disk.journal
        if journal is None:
            return view
        return cast("memoryview", RecordedMap(view, node.number, journal))

    def map_readonly(self, descriptor: int, length: int) -> ReadMap | None:
        """None: everything is read with `pread`, as where maps do not work."""
        return None

    # ---------------------------------------------------------------- locks

    def lock(self, descriptor: int, position: int, length: int, *, exclusive: bool) -> bool:
        node = self._file(descriptor)
        end = position + length
        if self._in_the_way(node, descriptor, position, end, exclusive=exclusive):
            return False
        self.unlock(descriptor, position, length)
        node.locks.append(HeldLock(descriptor, position, end, exclusive=exclusive))
        return True

    def unlock(self, descriptor: int, position: int, length: int) -> None:
        node = self._file(descriptor)
        end = position + length
        kept: list[HeldLock] = []
        for lock in node.locks:
            if lock.owner != descriptor or lock.end <= position or end <= lock.start:
                kept.append(lock)
                continue
            for start, stop in ((lock.start, position), (end, lock.end)):
                if start < stop:
                    kept.append(HeldLock(descriptor, start, stop, exclusive=lock.exclusive))
        node.locks = kept

    def lock_holder(
        self, descriptor: int, position: int, length: int, *, exclusive: bool
    ) -> int | None:
        node = self._file(descriptor)
        held = self._in_the_way(node, descriptor, position, position + length, exclusive=exclusive)
        return 0 if held else None

    @staticmethod
    def _in_the_way(
        node: MemoryFile, descriptor: int, start: int, end: int, *, exclusive: bool
    ) -> bool:
        return any(
            lock.owner != descriptor
            and lock.start < end
            and start < lock.end
            and (exclusive or lock.exclusive)
            for lock in node.locks
        )

    # ---------------------------------------------------------------- what kind of place

    def kind(self, path: str) -> str:
        return "ext4"

    def space(self, path: str) -> Space:
        return Space(1 << 40, 1 << 39)

    def boot_id(self) -> bytes:
        return self._disk.boot.to_bytes(16, "big")

    def image(self) -> Image:
        """The disk as processes see it now: everything that was written, synced or not."""
        return self._disk.image()


def _fail(number: int, path: str) -> NoReturn:
    raise OSError(number, os.strerror(number), path)
