"""Real file systems in image files, mounted for a test; power cuts; other kinds of mounts.

They need root. The images lie in memory, so that a sync costs little: what a power cut takes is
the page cache of the file system in the image, not the image.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number
_LOG_IS_FLUSHED = 1  # metadata that is in memory goes to the journal, data stays behind
_NOTHING_IS_FLUSHED = 2
_WAIT_AND_WRITE = 1 | 2 | 4  # SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER
_SEARCH_PATH = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


class Kind(NamedTuple):
    """A file system as it is made and mounted."""

    name: str
    megabytes: int
    make: tuple[str, ...]
    options: str


EXT4 = Kind("ext4", 64, ("mkfs.ext4", "-qF"), "loop")
#: The journal does not wait for data: after a cut a file may be as long as it should, and zeros.
EXT4_WRITEBACK = Kind("ext4", 64, ("mkfs.ext4", "-qF"), "loop,data=writeback")
XFS = Kind("xfs", 300, ("mkfs.xfs", "-qf"), "loop")
KINDS = {"ext4": EXT4, "ext4-writeback": EXT4_WRITEBACK, "xfs": XFS}


class LoopDisk:
    """One image with its file system, at `path` while it is mounted."""

    def __init__(self, folder: Path, kind: Kind, megabytes: int | None = None) -> None:
        self.path = folder / "disk"
        self.path.mkdir()
        self._image = folder / "image"
        self._kind = kind
        self.is_mounted = False
        with self._image.open("wb") as image:
            image.truncate((megabytes or kind.megabytes) << 20)
        _run(*kind.make, self._image)

    def mount(self, options: str = "") -> None:
        """Mount the image; its journal is replayed."""
        _run("mount", "-o", self._kind.options + options, self._image, self.path)
        self.is_mounted = True

    def unmount(self) -> None:
        if self.is_mounted:
            gc.collect()  # a closed log of this process may still be mapped until then
            _run("umount", self.path)
            self.is_mounted = False

    def cut_power(self, *, flush_log: bool) -> None:
        """From this instant on nothing reaches the image; what is unsynced is lost."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flags = _LOG_IS_FLUSHED if flush_log else _NOTHING_IS_FLUSHED
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", flags))
        finally:
            os.close(descriptor)


@contextmanager
def loop_disk(kind: Kind, megabytes: int | None = None) -> Iterator[LoopDisk]:
    """A fresh disk, mounted; gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="streamlog-disk-", dir=_in_memory()))
    disk = LoopDisk(folder, kind, megabytes)
    try:
        disk.mount()
        yield disk
    finally:
        if disk.is_mounted:
            _run("umount", "--lazy", disk.path)
        disk.path.rmdir()
        (folder / "image").unlink()
        folder.rmdir()


@contextmanager
def mounted(path: Path, *arguments: str | Path) -> Iterator[Path]:
    """Anything else: `mount ARGUMENTS path`; unmounted at the end."""
    path.mkdir(exist_ok=True)
    _run("mount", *arguments, path)
    try:
        yield path
    finally:
        _run("umount", "--lazy", path)


def write_back(path: Path, position: int, length: int) -> None:
    """Have the kernel write some pages of a file now, as it may at any time; no sync."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        start, size = ctypes.c_int64(position), ctypes.c_int64(length)
        libc.sync_file_range(descriptor, start, size, _WAIT_AND_WRITE)
    finally:
        os.close(descriptor)


def _in_memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _run(*command: str | Path) -> None:
    finished = subprocess.run(
        command, env=_SEARCH_PATH, capture_output=True, text=True, check=False, timeout=60
    )
    assert finished.returncode == 0, f"{command}: {finished.stderr}"
