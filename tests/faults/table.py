"""The table of faults by operations: every cell is derived, run, and has a defined outcome.

A cell is run once for each place where its fault can strike: each call of the operation that it
strikes, each file that it damages. What came of it is said in a few words a place; the cell has
the set of them.

    outcome of the call    "ok", or the error's name and, for a write, its `outcome`
    aftermath              what it takes until the log is used again
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from streamlog.errors import StreamlogError
from tests.faults.fault_kinds import Fault
from tests.faults.injecting import Injector
from tests.faults.operations import Operation
from tests.faults.stage import BrokenPromiseError, Stage, build, build_killed, staged

NEVER = "makes no such call"
#: What CPython says instead of MemoryError when there is none for a lock, or for an OSError.
_NO_MEMORY = ("can't allocate lock", "error return without exception set")


class Cell(NamedTuple):
    """What a fault does to an operation, over all the places where it strikes."""

    fault: str
    operation: str
    outcomes: frozenset[str]
    places: int

    def __str__(self) -> str:
        outcomes = "; ".join(sorted(self.outcomes)) or NEVER
        return f"{self.fault} | {self.operation} | {outcomes}"


def cell_of(line: str) -> Cell:
    """The cell that a line of the table says."""
    fault, operation, outcomes = line.split(" | ")
    found = frozenset() if outcomes == NEVER else frozenset(outcomes.split("; "))
    return Cell(fault, operation, found, 0)


class Table:
    """Runs cells below `folder`."""

    def __init__(self, folder: str, injector: Injector) -> None:
        self._folder = folder
        self._injector = injector
        self._runs = 0
        names = ("closed", "killed", "compacted")
        self._originals = {name: f"{folder}/{name}" for name in names}
        build(self._originals["closed"])
        build(self._originals["compacted"], cleanup_policy="compact")
        build_killed(self._originals["killed"], f"{folder}/live")

    def cell(self, fault: Fault, operation: Operation, *, most: int = 0) -> Cell:
        """One cell; `most` is how many of its places are looked at (0: all)."""
        if fault.calls:
            return self._struck(fault, operation, most)
        if fault.how == "hold":
            return self._held(fault, operation)
        return self._damaged(fault, operation, most)

    @contextmanager
    def _stage(self, operation: Operation) -> Iterator[Stage]:
        self._runs += 1
        with staged(self._originals[operation.begins], f"{self._folder}/{self._runs}") as stage:
            operation.prepare(stage)
            yield stage

    # ---------------------------------------------------------------- calls that fail

    def _struck(self, fault: Fault, operation: Operation, most: int) -> Cell:
        with self._stage(operation) as stage:
            self._act(operation, stage, fault, 0)
            places = self._injector.heal()
        found = {self._outcome(operation, fault, at, places) for at in _some(places, most)}
        return Cell(fault.name, operation.name, frozenset(found), places)

    def _outcome(self, operation: Operation, fault: Fault, at: int, places: int) -> str:
        """What comes of a fault at the `at`-th of its calls, and afterwards."""
        with self._stage(operation) as stage:
            try:
                called = outcome_of(lambda: self._act(operation, stage, fault, at))
                self._injector.heal()
                return f"{called}, {stage.aftermath()}"
            except BaseException as error:
                self._injector.heal()
                where = f"{fault.name} at call {at} of {places} of {operation.name}"
                raise BrokenPromiseError(f"{where}: {type(error).__name__}: {error}") from error

    def _act(self, operation: Operation, stage: Stage, fault: Fault, at: int) -> None:
        self._injector.strike(fault, at)
        operation.act(stage)

    # ---------------------------------------------------------------- files that are damaged

    def _damaged(self, fault: Fault, operation: Operation, most: int) -> Cell:
        names = sorted(_files(self._originals[operation.begins]))
        outcomes = set()
        for at in _some(len(names), most):
            with self._stage(operation) as stage:
                if not _damage(f"{stage.path}/{names[at - 1]}", fault.how):
                    continue
                called = outcome_of(lambda: operation.act(stage))
                outcomes.add(f"{called}, {_after_damage(stage, called)}")
        return Cell(fault.name, operation.name, frozenset(outcomes), len(names))

    # ---------------------------------------------------------------- locks that are held

    def _held(self, fault: Fault, operation: Operation) -> Cell:
        with self._stage(operation) as stage:
            with _all_locks(stage.path):
                called = outcome_of(lambda: operation.act(stage))
            outcomes = frozenset([f"{called}, {stage.aftermath()}"])
        return Cell(fault.name, operation.name, outcomes, 1)


def outcome_of(call: Callable[[], object]) -> str:
    """How a call ended. An error that is not streamlog's own breaks a promise."""
    try:
        call()
    except (MemoryError, KeyboardInterrupt) as error:
        return type(error).__name__
    except (RuntimeError, SystemError) as error:
        if str(error) not in _NO_MEMORY:
            raise
        return "MemoryError"
    except StreamlogError as error:
        outcome = getattr(error, "outcome", None)
        return f"{type(error).__name__}{f' ({outcome})' if outcome else ''}"
    return "ok"


def _some(places: int, most: int) -> list[int]:
    """Which of the places 1 to `places` are looked at: all, or first, last and some between."""
    if not most or places <= most:
        return list(range(1, places + 1))
    return sorted({1 + at * (places - 1) // (most - 1) for at in range(most)})


def _files(path: str) -> Iterator[str]:
    for root, _, names in os.walk(path):
        for name in names:
            if name not in (".lock", "streamlog.locks"):
                yield os.path.relpath(os.path.join(root, name), path)


def _damage(path: str, how: str) -> bool:
    """Damage a file, whoever has it open. False where there is nothing to be damaged."""
    if not os.path.exists(path):
        return False
    if how == "vanish":
        os.unlink(path)
        return True
    size = os.path.getsize(path)
    if size == 0:
        return False
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        at = size // 2
        if how == "flip":
            data[at] ^= 1
        else:
            data[at & ~511 : (at & ~511) + 512] = bytes(min(512, size - (at & ~511)))
        file.seek(0)
        file.write(data)
    return True


def _after_damage(stage: Stage, called: str) -> str:
    """What is read is right as far as it goes; nothing that was not written is returned.

    Of a compacted log offsets may be missing: there only the call itself can tell of a loss.
    """
    for _ in range(2):
        if stage.log is None or stage.log.closed:
            opened = outcome_of(stage.open)
            if opened != "ok":
                return f"opening: {opened}"
        found: list[bytes] = []
        reading = outcome_of(lambda: found.extend(_each(stage)))  # noqa: B023
        report = stage.log.engine().report
        told = report is not None and any("are gone" in text for text in report.problems)
        expected = stage.expected(found)
        if called.startswith("PartitionPoisonedError") and found == expected[: len(found)]:
            return "the loss is told, the rest is there"
        if told and found == expected[-len(found) :]:
            return "the loss is told, the rest is there"
        if found != expected[: len(found)]:
            raise BrokenPromiseError(f"found {found}, sent {stage.sent}")
        if reading == "ok" and len(found) < len(expected):
            raise BrokenPromiseError(f"records {len(found)} and on are gone, and nothing is said")
        if reading != "ok":
            return f"reading: {reading}"
        stage.let_go()
    return "all is there"


def _each(stage: Stage) -> Iterator[bytes]:
    for record in stage.log.read("flights", partition=0):
        yield bytes(record.value)


@contextmanager
def _all_locks(path: str) -> Iterator[None]:
    """Hold whatever lock is free, as a process that was stopped half way would."""
    held = []
    for name, first, length in (
        (".lock", 0, 1),
        ("streamlog.locks", 0, (1 << 41) + 2),  # of partitions, of syncs, housekeeping, closing
        ("streamlog.locks", 1 << 43, 1 << 40),  # of structures
    ):
        descriptor = os.open(f"{path}/{name}", os.O_RDWR)
        held.append(descriptor)
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, first, length, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
        except BlockingIOError:
            continue  # the directory's own lock is shared by who has it open
    try:
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
