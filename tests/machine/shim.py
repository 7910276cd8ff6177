"""The library of `faults.h`: compiled when a test needs it, armed where it is loaded."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

#: In the order of the C enumeration.
CALLS = (
    "open create pread pwrite truncate allocate fdatasync fsync list mkdir rmdir rename unlink map "
    "lock memory link"
).split()
ACTIONS = "fail short tear kill stop interrupt count".split()
WRITE_SIDE = frozenset(
    "create pwrite truncate allocate fdatasync fsync mkdir rmdir rename unlink link".split()
)


def compile_shim(folder: Path) -> Path:
    """The library in `folder`. Needs a C compiler: for tests that are marked `system`."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler is not None, "no C compiler for the shim"
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.h")
    command = [compiler, "-x", "c", "-O1", "-shared", "-fPIC", "-w", source, "-o", library, "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return library


class Shim:
    """The faults of this process, which was started with the library preloaded."""

    def __init__(self, below: str) -> None:
        assert "faults.so" in os.environ.get("LD_PRELOAD", ""), "the shim is not loaded"
        self._library = ctypes.CDLL(None)
        self._library.faults_heal.restype = ctypes.c_long
        self._below = below

    def strike(
        self,
        calls: Iterable[str],
        action: str = "fail",
        error: int = 0,
        *,
        at: int = 1,
        times: int = 1,
    ) -> None:
        """Have `times` of these calls fail from the `at`-th on; 0 counts them only."""
        mask = sum(1 << CALLS.index(call) for call in calls)
        self._library.faults_arm(
            ctypes.c_uint(mask),
            ctypes.c_long(at or -2),
            ctypes.c_long(times if at else 0),
            ACTIONS.index(action),
            error,
            os.fsencode(self._below),
        )

    def heal(self) -> int:
        """No more faults. How many of the watched calls there were."""
        return int(self._library.faults_heal())
