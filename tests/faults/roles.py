"""What child processes do in the fault tests; see `tests.multiprocess.nursery`."""

from __future__ import annotations

import os
import signal

import streamlog
from streamlog.errors import StreamlogError
from tests.multiprocess.saying import answer


def send_all(pipe: int, path: str, count: int, acks: str, size: int = 100) -> None:
    """Send values one by one: the outcome of each, an offset or an error's name and outcome."""
    outcomes: list[object] = []
    level = int(acks) if acks.isdigit() else acks
    log = streamlog.open(path)
    producer = log.producer(acks=level, linger_ms=0)
    for number in range(count):
        value = b"%d/" % number + b"x" * size
        try:
            outcomes.append(producer.send("flights", value, partition=0).result().offset)
        except StreamlogError as error:
            outcomes.append([type(error).__name__, getattr(error, "outcome", None)])
    answer(pipe, outcomes)
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        log.close()
    except StreamlogError as error:
        answer(pipe, type(error).__name__)
    else:
        answer(pipe, "closed")


def open_as_nobody(pipe: int, path: str, read_only: bool) -> None:
    """Open a directory that this process may only read."""
    with streamlog.open(path, read_only=True) as log:
        list(log.read("flights"))  # modules are loaded late, and may be closed to that user
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        with streamlog.open(path, read_only=read_only) as log:
            answer(pipe, [record.value.decode() for record in log.read("flights")])
    except StreamlogError as error:
        answer(pipe, type(error).__name__)


def fail_syncs(pipe: int, path: str, failing: str) -> None:
    """Have every fdatasync of a `.log` fail while the file `failing` is there; then send_all."""
    from streamlog.storage.filesystem import Filesystem

    genuine = Filesystem.fdatasync

    def fdatasync(self: Filesystem, descriptor: int) -> None:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        if os.path.exists(failing) and "flights" in target:
            raise OSError(5, os.strerror(5))
        genuine(self, descriptor)

    Filesystem.fdatasync = fdatasync  # type: ignore[method-assign]
    send_all(pipe, path, 3, "all")


def run_cells(pipe: int, folder: str, fault: str, most: int) -> None:
    """A row of the table of faults, below compiled code: says each cell."""
    import logging

    from tests.faults.fault_kinds import FAULTS
    from tests.faults.injecting import Preloaded
    from tests.faults.operations import OPERATIONS
    from tests.faults.table import Table

    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    table = Table(folder, Preloaded(folder))
    struck = next(one for one in FAULTS if one.name == fault)
    for operation in OPERATIONS:
        answer(pipe, str(table.cell(struck, operation, most=most)))


def run_program(
    pipe: int, path: str, calls: list[str], action: str, error: int, at: int, plant: str = ""
) -> None:
    """The program of the sweep, struck at the `at`-th of these calls (0: only counted)."""
    import logging

    from tests.faults.program import Program
    from tests.machine.shim import Shim
    from tests.multiprocess import planted
    from tests.multiprocess.values import ENDED, Report, say

    logging.disable(logging.CRITICAL)
    planted.plant(plant)
    shim = Shim(path)
    shim.strike(calls, action, error, at=at)
    Program(pipe, path).run()
    say(pipe, Report(ENDED, count=shim.heal()))
