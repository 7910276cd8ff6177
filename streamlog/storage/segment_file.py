"""One file of a segment, for reading: through a map made longer than the file, or `pread`.

A map needs no descriptor once it is made, and a view of it stays valid for as long as somebody
holds the view, whatever becomes of the file's name. Nothing is touched that the map did not
make resident first, so a bad sector is an error and not a signal.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from streamlog.errors import InputOutputError

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem, ReadMap


class _Descriptor:
    """A descriptor that is closed with its last reference.

    Closed at once, its number could be another file's while a thread still reads through it.
    """

    __slots__ = ("_filesystem", "number")

    def __init__(self, filesystem: Filesystem, number: int) -> None:
        self._filesystem = filesystem
        self.number = number

    def __del__(self) -> None:
        self._filesystem.close(self.number)


class SegmentFile:
    """A file opened for reading. Who reads knows how far it may: the published end.

    `map_length` is how far the file may grow under the map; 0 reads with `pread` always.
    Opened read-write where allowed: on overlay file systems a map of a descriptor that was
    opened for reading stays stale for ever once somebody writes.
    """

    __slots__ = ("_filesystem", "_held", "_map_length", "map", "path", "size_at_open")

    def __init__(
        self, filesystem: Filesystem, path: str, map_length: int, *, writable: bool = True
    ) -> None:
        self._filesystem = filesystem
        self.path = path
        self._map_length = map_length
        self.map: ReadMap | None = None  # while it is open, and where there are maps
        self._held: _Descriptor | None = None
        access = os.O_RDWR if writable else os.O_RDONLY
        descriptor = filesystem.open(path, access | os.O_NOFOLLOW)
        try:
            self.size_at_open = filesystem.size(descriptor)
            if map_length > 0:
                self.map = filesystem.map_readonly(descriptor, map_length)
        except BaseException:
            filesystem.close(descriptor)
            raise
        if self.map is None:
            self._held = _Descriptor(filesystem, descriptor)
        else:
            filesystem.close(descriptor)

    @property
    def is_open(self) -> bool:
        """False once closed; views handed out before stay valid."""
        return self.map is not None or self._held is not None

    @property
    def is_mapped(self) -> bool:
        """Whether views are free: of the map itself, and not copies."""
        return self.map is not None

    def reaches(self, end: int) -> bool:
        """Whether bytes up to `end` can be read: a file may outgrow its map."""
        return self.map is None or end <= self._map_length

    @property
    def holds_descriptor(self) -> bool:
        """Whether it counts against the descriptor budget."""
        return self._held is not None

    def view(self, position: int, length: int) -> memoryview:
        """The bytes there, all of them. `InputOutputError` (`path`, `errno`) if unreadable.

        `FileNotFoundError` when another thread closed it meanwhile (a roll, an eviction): the
        caller looks again.
        """
        if length <= 0:
            return memoryview(b"")
        mapped, held = self.map, self._held  # theirs for as long as this call uses them
        if mapped is None and held is None:
            raise FileNotFoundError(errno.ENOENT, "closed by another thread", self.path)
        try:
            if mapped is not None:
                return mapped.view(position, length)
            assert held is not None
            data = self._filesystem.pread(held.number, length, position)
            while len(data) < length:
                more = self._filesystem.pread(held.number, length - len(data), position + len(data))
                if not more:
                    raise self._unreadable(position, length, None)
                data += more
            return memoryview(data)
        except OSError as error:
            if isinstance(error, InputOutputError):
                raise
            raise self._unreadable(position, length, error) from error

    def close(self) -> None:
        """Let go of the map and the descriptor; idempotent."""
        self.map = self._held = None

    def _unreadable(self, position: int, length: int, error: OSError | None) -> InputOutputError:
        reason = "the file ends before them" if error is None else str(error)
        return InputOutputError(
            f"{length} bytes at {position} of {self.path} cannot be read: {reason}",
            path=self.path,
            position=position,
            errno=0 if error is None else error.errno,
        )
