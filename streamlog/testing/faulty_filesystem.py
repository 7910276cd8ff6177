"""The operating system's files, with faults at the calls that a test chooses.

    disk = FaultyFilesystem()
    disk.strike({"fdatasync"}, errno.EIO, at=2)   # the second sync from now on fails
    ...
    disk.heal()

Handed in as an engine's filesystem it runs the pure twin of the compiled calls, which come back
through it: so a fault strikes where the operating system's would.
"""

from __future__ import annotations

import os
from threading import get_ident
from typing import TYPE_CHECKING

from streamlog.storage.filesystem import FileIdentity, Filesystem, ReadMap

if TYPE_CHECKING:
    from collections.abc import Buffer, Callable, Iterable  # type: ignore[attr-defined]

#: What can be struck. "create" is an `open` with O_CREAT, "stat" every look at a name or a size.
CALLS = frozenset(
    "open create close pread pwrite truncate allocate fdatasync fsync list stat mkdir rmdir rename"  # noqa: SIM905
    " unlink link map lock".split()
)


class FaultyFilesystem(Filesystem):
    """Counts calls, and fails those that were asked for. One fault at a time.

    It strikes the thread that asked for it; what others do meanwhile goes well.

    `kind` is what the file system claims to be: "ext4" has syncs done also where files lie in
    memory.
    """

    is_operating_system = False

    def __init__(self, kind: str = "ext4") -> None:
        self._kind = kind
        self._calls: frozenset[str] = frozenset()
        self._error: int | Callable[[], BaseException] = 0
        self._from = self._to = 0
        self._is_short = False
        self._thread = 0
        #: How many of the calls that are watched for took place since `strike`.
        self.count = 0

    def strike(
        self,
        calls: Iterable[str],
        error: int | Callable[[], BaseException] = 0,
        *,
        at: int = 1,
        times: int = 1,
        short: bool = False,
    ) -> None:
        """Fail `times` of these calls, from the `at`-th from now on (0: only count them).

        `error` is an errno, or makes the exception to raise. `short`: a write writes the half of
        what it was given instead, and says so.
        """
        self._calls = frozenset(calls)
        assert self._calls <= CALLS, self._calls - CALLS
        self._error, self._is_short = error, short
        self._thread = get_ident()
        self._from, self._to = (at, at + times) if at else (0, 0)
        self.count = 0

    def heal(self) -> int:
        """No more faults. How many of the watched calls there were."""
        self._calls = frozenset()
        return self.count

    def _meet(self, call: str, path: str | int) -> bool:
        """Whether this call is to be cut short; raises where it is to fail."""
        if call not in self._calls or get_ident() != self._thread:
            return False
        self.count += 1
        if not self._from <= self.count < self._to:
            return False
        if self._is_short:
            return True
        if isinstance(self._error, int):
            raise OSError(self._error, os.strerror(self._error), str(path))
        raise self._error()

    # ---------------------------------------------------------------- descriptors

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        self._meet("create" if flags & os.O_CREAT else "open", path)
        return super().open(path, flags, mode)

    def close(self, descriptor: int) -> None:
        self._meet("close", descriptor)
        super().close(descriptor)

    def pread(self, descriptor: int, size: int, position: int) -> bytes:
        self._meet("pread", descriptor)
        return super().pread(descriptor, size, position)

    def pwrite(self, descriptor: int, data: Buffer, position: int) -> int:
        if self._meet("pwrite", descriptor):
            view = memoryview(data).cast("B")
            return super().pwrite(descriptor, view[: (len(view) + 1) // 2], position)
        return super().pwrite(descriptor, data, position)

    def truncate(self, descriptor: int, length: int) -> None:
        self._meet("truncate", descriptor)
        super().truncate(descriptor, length)

    def fdatasync(self, descriptor: int) -> None:
        self._meet("fdatasync", descriptor)

    def fsync(self, descriptor: int) -> None:
        self._meet("fsync", descriptor)

    def size(self, descriptor: int) -> int:
        self._meet("stat", descriptor)
        return super().size(descriptor)

    def allocate(self, descriptor: int, position: int, length: int) -> None:
        self._meet("allocate", descriptor)
        super().allocate(descriptor, position, length)

    # ---------------------------------------------------------------- names

    def exists(self, path: str) -> bool:
        self._meet("stat", path)
        return super().exists(path)

    def is_directory(self, path: str) -> bool:
        self._meet("stat", path)
        return super().is_directory(path)

    def file_size(self, path: str) -> int:
        self._meet("stat", path)
        return super().file_size(path)

    def identity(self, target: str | int) -> FileIdentity:
        self._meet("stat", target)
        return super().identity(target)

    def listdir(self, path: str) -> list[str]:
        self._meet("list", path)
        return super().listdir(path)

    def mkdir(self, path: str, mode: int = 0o700) -> None:
        self._meet("mkdir", path)
        super().mkdir(path, mode)

    def rmdir(self, path: str) -> None:
        self._meet("rmdir", path)
        super().rmdir(path)

    def rename(self, source: str, destination: str) -> None:
        self._meet("rename", source)
        super().rename(source, destination)

    def exchange(self, one: str, other: str) -> bool:
        self._meet("rename", one)
        return super().exchange(one, other)

    def link(self, source: str, destination: str) -> None:
        self._meet("link", source)
        super().link(source, destination)

    def unlink(self, path: str) -> None:
        self._meet("unlink", path)
        super().unlink(path)

    def sync_directory(self, path: str) -> None:
        self._meet("open", path)
        self._meet("fsync", path)

    # ---------------------------------------------------------------- maps and locks

    def map_shared(self, descriptor: int, length: int) -> memoryview:
        self._meet("map", descriptor)
        return super().map_shared(descriptor, length)

    def map_readonly(self, descriptor: int, length: int) -> ReadMap | None:
        self._meet("map", descriptor)
        return super().map_readonly(descriptor, length)

    def lock(self, descriptor: int, position: int, length: int, *, exclusive: bool) -> bool:
        self._meet("lock", descriptor)
        return super().lock(descriptor, position, length, exclusive=exclusive)

    def kind(self, path: str) -> str:
        return self._kind
