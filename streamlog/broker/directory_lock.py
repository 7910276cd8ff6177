"""The lock of a directory: who opens alone, who opens beside others, and who is kept out.

Byte 0 of `.lock` is held for writing by who is alone (it recovers or closes the directory) and
for reading by everybody who has it open. Byte 1 is held for reading by who only reads. They are
open-file-description locks: the kernel frees them when their process dies, and they keep out,
and are kept out by, the POSIX lock that a Kafka broker takes on the whole file.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from typing import TYPE_CHECKING

from streamlog.errors import DirectoryInUseError, LockTimeoutError
from streamlog.storage import system
from streamlog.storage.names import LOCK, STREAMLOG_SHARED
from streamlog.storage.shared import (
    HEADER_PROGRESS,
    HEADER_RECOVERER,
    HEADER_STATE,
    LIVENESS_LOCKS,
    LIVENESS_NUMBERS,
    STATE_LIVE,
    WORD,
)

if TYPE_CHECKING:
    from streamlog.clock import Clock
    from streamlog.storage.filesystem import Filesystem

_OPENER_BYTE = 0
_READER_BYTE = 1
_PAUSE_SECONDS = 0.001
_HEADER_WORDS = 16


class DirectoryLock:
    """One process's hold on `.lock`. Not shared between threads: the engine opens and closes once.

    `timeout_ms` bounds a wait; a process that recovers or closes the directory is waited for
    longer, as long as the progress that it keeps in the shared header moves.
    """

    def __init__(
        self,
        filesystem: Filesystem,
        path: str,
        *,
        timeout_ms: int,
        clock: Clock,
        mode: int = 0o600,
    ) -> None:
        self._filesystem = filesystem
        self._path = path
        self._timeout_ms = timeout_ms
        self._clock = clock
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        self.descriptor = filesystem.open(f"{path}/{LOCK}", flags, mode)

    def acquire(self) -> bool:
        """Wait until this process is alone (True) or beside others on a live directory (False).

        Raises `DirectoryInUseError` naming the process id of a Kafka broker, and
        `LockTimeoutError`.
        """
        wait = _Wait(self._timeout_ms, self._clock)
        while True:
            stands_beside = False
            if self._try(exclusive=True):
                return True
            self._refuse_broker(_OPENER_BYTE)
            if not system.can_share():
                raise DirectoryInUseError(
                    f"{self._path} is open in another process, and here only one at a time may "
                    "have it open: several need Linux, and the compiled kernel or an x86-64 "
                    "processor",
                    path=self._path,
                    pid=0,
                )
            if self._try(exclusive=False):
                if self._header()[HEADER_STATE] == STATE_LIVE:
                    return False
                # Who was recovering died, or who was closing is done: somebody must be alone.
                self._filesystem.unlock(self.descriptor, _OPENER_BYTE, 1)
                stands_beside = True
            header = self._header()
            if wait.is_over(header[HEADER_PROGRESS]):
                if stands_beside:
                    raise removed_by_hand(self._path, STREAMLOG_SHARED)
                pid = header[HEADER_RECOVERER]
                who = f"process {pid}" if pid else "another process"
                raise LockTimeoutError(
                    f"{self._path} is being recovered or closed by {who}, which made no progress "
                    f"for {self._timeout_ms} ms; wait for it, or raise lock_timeout_ms",
                    path=self._path,
                    pid=pid,
                    errno=errno.EAGAIN,
                )

    def wait_for_the_dead(self, locks: int) -> None:
        """See every liveness byte of `streamlog.locks` free, as whoever is alone must.

        A process that dies or closes lets go of it an instant after `.lock`. One that keeps it has
        another `.lock` than this one: `DirectoryInUseError`.
        """
        wait = _Wait(self._timeout_ms, self._clock)
        while (
            self._filesystem.lock_holder(locks, LIVENESS_LOCKS, LIVENESS_NUMBERS, exclusive=True)
            is not None
        ):
            if wait.is_over(0):
                raise removed_by_hand(self._path, LOCK)

    def share(self) -> None:
        """Turn the lock of who was alone into the lock that others can stand beside."""
        if not system.can_share():
            return  # it stays alone
        assert self._try(exclusive=False), "a lock of one's own cannot be refused"

    def try_alone(self) -> bool:
        """Try to be alone again; a refusal leaves the shared lock as it was."""
        return self._try(exclusive=True)

    def close(self) -> None:
        """Let go, by closing: the only hold there is on the open file."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            self._filesystem.close(descriptor)

    def _try(self, *, exclusive: bool) -> bool:
        return self._filesystem.lock(self.descriptor, _OPENER_BYTE, 1, exclusive=exclusive)

    def _refuse_broker(self, byte: int) -> None:
        refuse_broker(self._filesystem, self._path, self.descriptor, byte)

    def _header(self) -> tuple[int, ...]:
        """The shared header's words, read as a file: nothing is mapped before one may be there."""
        try:
            descriptor = self._filesystem.open(
                f"{self._path}/{STREAMLOG_SHARED}", os.O_RDONLY | os.O_NOFOLLOW
            )
        except FileNotFoundError:
            return (0,) * _HEADER_WORDS
        try:
            data = self._filesystem.pread(descriptor, _HEADER_WORDS * WORD, 0)
        finally:
            self._filesystem.close(descriptor)
        return struct.unpack(f"{_HEADER_WORDS}q", data.ljust(_HEADER_WORDS * WORD, b"\0"))


class ReaderLock:
    """The hold of a process that only reads: it keeps a Kafka broker out, and nobody else."""

    def __init__(self, filesystem: Filesystem, path: str) -> None:
        self._filesystem = filesystem
        self.descriptor = -1
        try:
            self.descriptor = filesystem.open(f"{path}/{LOCK}", os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return  # nobody ever opened it for writing: a copy, or a backup
        if not filesystem.lock(self.descriptor, _READER_BYTE, 1, exclusive=False):
            try:
                refuse_broker(filesystem, path, self.descriptor, _READER_BYTE)
            finally:
                self.close()
            raise DirectoryInUseError(
                f"{path} is locked as a whole by another process", path=path, pid=0
            )

    def close(self) -> None:
        """Let go."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            self._filesystem.close(descriptor)


def refuse_broker(filesystem: Filesystem, path: str, descriptor: int, byte: int) -> None:
    """Raise `DirectoryInUseError` when a POSIX lock, a broker's, is what stands in the way.

    Ours name no process; a POSIX lock does.
    """
    pid = filesystem.lock_holder(descriptor, byte, 1, exclusive=False)
    if pid:
        raise DirectoryInUseError(
            f"{path} is in use by process {pid}, which locks it as a Kafka broker does; "
            "stop it first, or work on a copy",
            path=path,
            pid=pid,
        )


def removed_by_hand(path: str, name: str) -> DirectoryInUseError:
    """The error for a file of `path` that is not the one by which other processes hold it."""
    return DirectoryInUseError(
        f"{path} is open in other processes, but {name} was removed or replaced under them; they "
        "go on with each other, and nobody can join: close it there first",
        path=path,
        pid=0,
        file=f"{path}/{name}",
    )


class _Wait:
    """A bounded wait that starts anew whenever the watched progress moves."""

    def __init__(self, timeout_ms: int, clock: Clock) -> None:
        self._timeout = timeout_ms / 1000
        self._clock = clock
        self._since = clock.monotonic()
        self._progress = 0

    def is_over(self, progress: int) -> bool:
        """Pause; whether the time is up."""
        now = self._clock.monotonic()
        if progress != self._progress:
            self._progress = progress
            self._since = now
        if now - self._since >= self._timeout:
            return True
        time.sleep(_PAUSE_SECONDS)
        return False
