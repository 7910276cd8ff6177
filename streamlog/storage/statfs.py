"""`statfs(2)`, which Python's `os` does not have: the twin of `_system.file_system_magic`."""

from __future__ import annotations

import os
import struct

_ROOM = 512  # more than any struct statfs takes


def file_system_magic(path: str) -> int:
    """The number of the type of file system that holds `path`. Raises `OSError`. Linux only."""
    import ctypes

    found = ctypes.create_string_buffer(_ROOM)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), found):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    (magic,) = struct.unpack_from("l", found)  # the first field, a long, signed or not
    return int(magic) & 0xFFFFFFFF
