"""Two ways to strike calls: through the filesystem door (pure twin), and below compiled code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from streamlog.clients import stream_log
from streamlog.testing.faulty_filesystem import CALLS, FaultyFilesystem
from tests.faults.fault_kinds import Fault
from tests.machine import shim

_EVER = 1 << 40


class Injector(Protocol):
    """Strikes the calls of one process."""

    def strike(self, fault: Fault, at: int) -> None:
        """Strike the `at`-th of the fault's calls from now on; 0: only count them."""

    def heal(self) -> int:
        """No more of it. How many of its calls there were."""


class Door:
    """The filesystem that `streamlog.open` goes through, in this process."""

    def __init__(self) -> None:
        self._disk = FaultyFilesystem()

    @contextmanager
    def installed(self) -> Iterator[Door]:
        genuine = stream_log.OS_FILES
        stream_log.OS_FILES = self._disk
        try:
            yield self
        finally:
            stream_log.OS_FILES = genuine

    def strike(self, fault: Fault, at: int) -> None:
        exceptions = {"MemoryError": MemoryError, "KeyboardInterrupt": KeyboardInterrupt}
        self._disk.strike(
            fault.calls & CALLS,
            exceptions.get(fault.how, fault.error),
            at=at,
            times=_EVER if fault.lasts else 1,
            short=fault.how == "short",
        )

    def heal(self) -> int:
        return self._disk.heal()


class Preloaded:
    """The C library's calls of this process, which was started with the shim."""

    def __init__(self, below: str) -> None:
        self._shim = shim.Shim(below)

    def strike(self, fault: Fault, at: int) -> None:
        calls, action = fault.calls, "fail"
        if fault.how == "MemoryError":
            calls = frozenset(["memory"])
        elif fault.how == "KeyboardInterrupt":
            action = "interrupt"
        elif fault.how == "short":
            action = "short"
        times = _EVER if fault.lasts else 1
        self._shim.strike(calls, action, fault.error, at=at, times=times)

    def heal(self) -> int:
        return self._shim.heal()
