"""A FUSE file system that shows another folder: the kernel's protocol, spoken by one process.

    python -m tests.machine.fuse FOLDER MOUNT_POINT PROGRAM

It needs /dev/fuse and root, and no library. It is a process of its own, since whoever uses the
mount may wait for it in a page fault, with the interpreter's lock held. Its inode numbers are those
of the folder, so that processes that map a file map the same one. Locks are left to the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = 1
_DETACH = 2
_MOST_WRITTEN = 1 << 17
_HEADER = struct.Struct("<IIQQIIIHH")
_INIT = struct.Struct("<4I2HII2HI28x")
_ATTRIBUTES = struct.Struct("<6Q10I")
_ENTRY = struct.Struct("<4Q2I")
_ATTRIBUTES_VALID = struct.Struct("<Q2I")
_OPENED = struct.Struct("<Q2I")
_DIRECTORY_ENTRY = struct.Struct("<2Q2I")
_READ = struct.Struct("<2Q2IQ2I")
_SET = struct.Struct("<2I6Q8I")
_SET_SIZE, _SET_MODIFIED, _SET_BY_HANDLE = 8, 32, 64
FORGET, BATCH_FORGET, INTERRUPT = 2, 42, 36  # these are not answered


class Mirror:
    """Answers the kernel's requests about a folder, one at a time."""

    def __init__(self, device: int, folder: str) -> None:
        self._device = device
        self._paths = {ROOT: folder}
        self._handlers: dict[int, Callable[[int, bytes], bytes]] = {
            1: self._look_up,
            3: self._get_attributes,
            4: self._set_attributes,
            9: self._make_directory,
            10: lambda node, body: self._remove(os.unlink, node, body),
            11: lambda node, body: self._remove(os.rmdir, node, body),
            12: lambda node, body: self._rename(node, body, 8),
            14: self._open,
            15: self._read,
            16: self._write,
            17: self._describe,
            18: self._close,
            20: self._sync,
            25: lambda _, __: b"",
            26: self._begin,
            27: self._open,
            28: self._list,
            29: self._close,
            30: self._sync,
            35: self._create,
            43: self._allocate,
            45: lambda node, body: self._rename(node, body, 16),
        }

    def serve(self) -> None:
        """Until the file system is unmounted."""
        while True:
            try:
                request = os.read(self._device, _MOST_WRITTEN + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return
            _, operation, number, node, *_ = _HEADER.unpack_from(request)
            if operation in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            failed, answer = 0, b""
            try:
                answer = self._handlers[operation](node, request[_HEADER.size :])
            except KeyError:
                failed = errno.ENOSYS
            except OSError as error:
                failed = error.errno or errno.EIO
            head = struct.pack("<IiQ", 16 + len(answer), -failed, number)
            os.write(self._device, head + answer)

    # ------------------------------------------------------------ names

    def _child(self, node: int, name: bytes) -> str:
        return f"{self._paths[node]}/{os.fsdecode(name.rstrip(bytes(1)))}"

    def _entry(self, path: str) -> bytes:
        found = os.lstat(path)
        self._paths[found.st_ino] = path
        return _ENTRY.pack(found.st_ino, 0, 0, 0, 0, 0) + _attributes(found)

    def _look_up(self, node: int, body: bytes) -> bytes:
        return self._entry(self._child(node, body))

    def _make_directory(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body[8:])
        os.mkdir(path, struct.unpack_from("<I", body)[0])
        return self._entry(path)

    def _remove(self, remove: Callable[[str], None], node: int, body: bytes) -> bytes:
        remove(self._child(node, body))
        return b""

    def _rename(self, node: int, body: bytes, begin: int) -> bytes:
        (other,) = struct.unpack_from("<Q", body)
        old, new = body[begin:].rstrip(bytes(1)).split(bytes(1))
        source, target = self._child(node, old), self._child(other, new)
        os.rename(source, target)
        for known, path in self._paths.items():
            if path == source or path.startswith(source + "/"):
                self._paths[known] = target + path[len(source) :]
        return b""

    def _list(self, node: int, body: bytes) -> bytes:
        _, position, size, *_ = _READ.unpack_from(body)
        out = b""
        names = [".", "..", *sorted(os.listdir(self._paths[node]))]
        for at, name in enumerate(names[position:], position + 1):
            data = os.fsencode(name)
            entry = _DIRECTORY_ENTRY.pack(at, at, len(data), 0) + data
            entry += bytes(-len(entry) % 8)
            if len(out) + len(entry) > size:
                break
            out += entry
        return out

    # ------------------------------------------------------------ files

    def _open(self, node: int, body: bytes) -> bytes:
        (flags,) = struct.unpack_from("<I", body)
        kept = flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        return _OPENED.pack(os.open(self._paths[node], kept), 0, 0)

    def _create(self, node: int, body: bytes) -> bytes:
        flags, mode, *_ = struct.unpack_from("<4I", body)
        path = self._child(node, body[16:])
        handle = os.open(path, flags, mode)
        return self._entry(path) + _OPENED.pack(handle, 0, 0)

    def _read(self, _: int, body: bytes) -> bytes:
        handle, position, size, *_rest = _READ.unpack_from(body)
        return os.pread(handle, size, position)

    def _write(self, _: int, body: bytes) -> bytes:
        handle, position, size, *_rest = _READ.unpack_from(body)
        data = body[_READ.size : _READ.size + size]
        return struct.pack("<2I", os.pwrite(handle, data, position), 0)

    def _close(self, _: int, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def _sync(self, _: int, body: bytes) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def _allocate(self, _: int, body: bytes) -> bytes:
        handle, position, length, *_rest = struct.unpack_from("<3Q2I", body)
        os.posix_fallocate(handle, position, length)
        return b""

    def _get_attributes(self, node: int, body: bytes) -> bytes:
        by_handle, _, handle = struct.unpack_from("<2IQ", body)
        found = os.fstat(handle) if by_handle & 1 else os.lstat(self._paths[node])
        return _ATTRIBUTES_VALID.pack(0, 0, 0) + _attributes(found)

    def _set_attributes(self, node: int, body: bytes) -> bytes:
        wanted, _, handle, size, _, accessed, modified, *_rest = _SET.unpack_from(body)
        target: Any = handle if wanted & _SET_BY_HANDLE else self._paths[node]
        if wanted & _SET_SIZE:
            os.truncate(target, size)
        if wanted & _SET_MODIFIED:
            os.utime(target, (accessed, modified))
        found = os.stat(target)
        return _ATTRIBUTES_VALID.pack(0, 0, 0) + _attributes(found)

    # ------------------------------------------------------------ the whole

    def _begin(self, _: int, body: bytes) -> bytes:
        major, minor, ahead, _flags = struct.unpack_from("<4I", body)
        return _INIT.pack(major, min(minor, 31), ahead, 0, 12, 9, _MOST_WRITTEN, 1, 32, 0, 0)

    def _describe(self, node: int, _: bytes) -> bytes:
        found = os.statvfs(self._paths[node])
        numbers = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        return struct.pack("<5Q4I24x", *numbers, found.f_bsize, 255, found.f_frsize, 0)


def _attributes(found: os.stat_result) -> bytes:
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    return _ATTRIBUTES.pack(
        found.st_ino,
        found.st_size,
        found.st_blocks,
        *(time // 10**9 for time in times),
        *(time % 10**9 for time in times),
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        0,
        4096,
        0,
    )


@contextmanager
def fuse_mount(folder: Path, mount_point: Path, program: str = "mirror") -> Iterator[Path]:
    """`folder` seen through FUSE at `mount_point`, by a program that says it is `program`."""
    for path in (folder, mount_point):
        path.mkdir()
    command = [sys.executable, "-m", "tests.machine.fuse", str(folder), str(mount_point), program]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert server.stdout is not None
    with server.stdout:
        assert server.stdout.readline() == b"mounted\n"
    try:
        yield mount_point
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(mount_point), _DETACH)
        server.kill()
        server.wait(60)


def main(folder: str, mount_point: str, program: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % device
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.fsencode(mount_point)
    if libc.mount(b"mirror", place, b"fuse." + program.encode(), 0, options):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), mount_point)
    sys.stdout.write("mounted\n")
    sys.stdout.flush()
    Mirror(device, folder).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
