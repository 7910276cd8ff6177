"""What may go wrong: one line a fault. Where it may strike is counted, not written down."""

from __future__ import annotations

import errno
from typing import NamedTuple

_READS = frozenset("open pread list".split())
_WRITES = frozenset("create pwrite truncate allocate mkdir rmdir rename unlink link".split())
_SYNCS = frozenset("fdatasync fsync".split())
_SPACE = frozenset("create pwrite allocate mkdir rename link".split())


class Fault(NamedTuple):
    """`how` it strikes the calls: "fail", "short", "MemoryError" or "KeyboardInterrupt".

    `lasts`: from the call that it strikes on, all of them. Other ways of striking:

    damage     a file is damaged beforehand: "vanish", "flip" or "zero", one file after the other
    hold       another process holds the locks, and does not move
    """

    name: str
    calls: frozenset[str] = frozenset()
    error: int = 0
    how: str = "fail"
    lasts: bool = False


FAULTS = [
    Fault("EIO", _READS | _WRITES | _SYNCS, errno.EIO),
    Fault("dead disk", _READS | _WRITES | _SYNCS, errno.EIO, lasts=True),
    Fault("ENOSPC", _SPACE, errno.ENOSPC),
    Fault("full disk", _SPACE, errno.ENOSPC, lasts=True),
    Fault("EDQUOT", _SPACE, errno.EDQUOT),
    Fault("EMFILE", frozenset("open create list".split()), errno.EMFILE, lasts=True),
    Fault("short write", frozenset(["pwrite"]), how="short"),
    Fault("read-only", _WRITES, errno.EROFS, lasts=True),
    Fault("MemoryError", _READS | _WRITES | _SYNCS, how="MemoryError"),
    Fault("KeyboardInterrupt", _READS | _WRITES | _SYNCS, how="KeyboardInterrupt"),
    Fault("vanished file", how="vanish"),
    Fault("bit flip", how="flip"),
    Fault("zeroed sector", how="zero"),
    Fault("stopped holder", how="hold"),
]
