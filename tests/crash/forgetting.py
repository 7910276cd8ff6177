"""Doors with a planted bug: one call site whose sync, or whose CRC check, was forgotten."""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.crash.world import PATH

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

_DOORS = frozenset({"filesystem", "memory_filesystem", "forgetting"})


class NoDataSync(MemoryFilesystem):
    """`fdatasync` does nothing."""

    def fdatasync(self, descriptor: int) -> None:
        """Nothing."""


class NoDirectorySync(MemoryFilesystem):
    """Names are never synced."""

    def sync_directory(self, path: str) -> None:
        """Nothing."""


class RenameFirst(MemoryFilesystem):
    """Small files are replaced before they are synced."""

    def write_atomically(
        self, path: str, data: Buffer, *, mode: int = 0o600, sync_parent: bool = True
    ) -> None:
        temporary = path + ".tmp"
        self.write_file(temporary, data, mode=mode, sync=False)
        self.rename(temporary, path)
        if sync_parent:
            self.sync_directory(path.rpartition("/")[0])


class CopyInsteadOfRename(MemoryFilesystem):
    """Files are replaced by writing them, which is not atomic."""

    def rename(self, source: str, destination: str) -> None:
        if self.is_directory(source):
            super().rename(source, destination)
            return
        self.write_file(destination, self.read_file(source), sync=False)
        self.unlink(source)


class Forgetful(MemoryFilesystem):
    """Notes where each sync is asked for, in `sites`; does nothing where `forgotten` is."""

    sites: ClassVar[set[str]] = set()
    forgotten = ""

    def fdatasync(self, descriptor: int) -> None:
        if self._is_done("file"):
            super().fdatasync(descriptor)

    def fsync(self, descriptor: int) -> None:
        if self._is_done("file"):
            super().fsync(descriptor)

    def sync_directory(self, path: str) -> None:
        kind = {PATH: "log directory", "/": "parent directory"}.get(path, "partition folder")
        if self._is_done(kind):
            super().sync_directory(path)

    def _is_done(self, kind: str) -> bool:
        site = f"{kind}: {_caller()}"
        type(self).sites.add(site)
        return site != self.forgotten


def forgetting(site: str) -> type[Forgetful]:
    """A door that forgets the syncs of one site."""
    return type("ForgetfulAtOneSite", (Forgetful,), {"forgotten": site, "sites": set()})


def _caller() -> str:
    """The two functions outside the door that asked, the inner one first."""
    found: list[str] = []
    frame = sys._getframe(3)
    while len(found) < 2:
        code = frame.f_code
        module = PurePath(code.co_filename).stem
        if module not in _DOORS:
            found.append(f"{module}.{code.co_name}")
        assert frame.f_back is not None
        frame = frame.f_back
    return " < ".join(found)
