"""The explorer: a story is told to the real engine, cut at every point, and recovered from there.

For every cut it draws states that the disk may be in after a power cut, and the one state that
killed processes leave. Each is opened, recovered and held against the ledger. Some go on: the
log is appended to and cut again, which includes cuts in the middle of the recovery; so two and
three crashes come in a row.

Everything is drawn from one seed, which a failure names.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from streamlog.broker.verifying import verify_open_directory
from streamlog.errors import StreamlogError
from streamlog.storage.verification import verify_directory
from streamlog.testing.crash_sampling import all_kept, exhaustive, sample, sample_disordered
from streamlog.testing.crash_states import CrashDisk, Survivors
from streamlog.testing.journal import Image, Operation, Write
from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.crash.backups import check_opening
from tests.crash.ledger import BrokenPromiseError, Ledger
from tests.crash.world import PATH, World, open_engine

Story = Callable[[World], None]
Path = tuple[str, ...]  # each crash: after which operation, and of what kind


class Violation(NamedTuple):
    """A crash after which a promise was not kept, and how to come back to it."""

    story: str
    seed: int
    state: int  # the how manieth state of the exploration it was
    path: Path
    what: str

    def __str__(self) -> str:
        crashes = "; then ".join(self.path)
        return f"story {self.story!r}, seed {self.seed}, state {self.state}: {crashes}: {self.what}"


class Plan(NamedTuple):
    """How much to look at.

    `states` is the number of checks, about. `every_single`: instead, all states of all cuts
    where one part is lost alone or kept alone, after the first crash only. `disordered`: some
    of the disks keep no order among renames and removals.
    """

    states: int
    every_single: bool = False
    disordered: bool = False


_DEPTH = 3  # crashes in a row
_STATES_A_LIFE = 60
_CANDIDATES = 400
_DISORDERED = 0.5


class Explorer:
    """One exploration of one story. `states` counts the checks, `repeated` what was skipped.

    `after` is what is done after a crash, `door` what the processes go through.
    """

    def __init__(
        self,
        name: str,
        story: Story,
        plan: Plan,
        seed: int,
        *,
        after: Story,
        door: type[MemoryFilesystem] = MemoryFilesystem,
    ) -> None:
        self._name = name
        self._story = story
        self._after = after
        self._plan = plan
        self._seed = seed
        self._door = door
        self._random = random.Random(f"{name} {seed}")
        self._seen: set[bytes] = set()
        self._lives: list[tuple[World, Path]] = []  # of machines that crashed, to go on with
        self.states = 0
        self.repeated = 0
        self.failed: tuple[Image, Ledger] | None = None

    def run(self) -> Violation | None:
        """Explore until the plan is fulfilled or a promise is broken."""
        found = None
        while found is None and self.states < self._plan.states:
            if self._lives and self.states > self._plan.states * 0.4:
                found = self._go_on(*self._lives.pop(self._random.randrange(len(self._lives))))
            else:
                world = World(door=self._door)
                self._story(world)
                found = self._explore(world, (), self._plan.states * 0.4)
                if self._plan.every_single:
                    break
        return found

    # ---------------------------------------------------------------- cutting

    def _explore(self, world: World, path: Path, target: float) -> Violation | None:
        """Cut one life everywhere, drawing about `target` states."""
        disk = CrashDisk(world.base)
        for operation in world.journal[: world.begins_at]:
            disk.follow(operation)
        operations = world.journal[world.begins_at :]
        factor = target / sum(sum(_weights(operation)) for operation in operations)
        mark = 0
        for operation in operations:
            disk.follow(operation)
            while mark + 1 < len(world.marks) and world.marks[mark + 1][0] <= disk.number:
                mark += 1
            _, ledger, promise = world.marks[mark]
            where = f"after operation {disk.number} ({_describe(operation)})"
            for kind, survivors in self._crashes(disk, operation, factor):
                if kind == "kill" and any(disk.number in span for span in world.deaf):
                    continue
                step = (*path, f"{kind} {where}")
                promised = ledger.as_of(promise)
                found = self._crash(world, disk, survivors, promised, step, killed=kind == "kill")
                if found is not None:
                    return found
        return None

    def _crashes(
        self, disk: CrashDisk, operation: Operation, factor: float
    ) -> Iterator[tuple[str, Survivors]]:
        if self._plan.every_single:
            yield "kill", all_kept()
            if not _is_store(operation):
                yield from (("power cut", survivors) for survivors in exhaustive(disk))
            return
        cuts, kills = _weights(operation)
        if self._random.random() < kills * factor:
            yield "kill", all_kept()
        for _ in range(int(cuts * factor + self._random.random())):
            disordered = self._plan.disordered and self._random.random() < _DISORDERED
            draw = sample_disordered if disordered else sample
            yield "power cut", draw(disk, self._random)

    # ---------------------------------------------------------------- one state

    def _crash(
        self,
        world: World,
        disk: CrashDisk,
        survivors: Survivors,
        promised: Ledger,
        path: Path,
        *,
        killed: bool,
    ) -> Violation | None:
        image = disk.image(survivors)
        boot = world.boot if killed else world.boot + 1
        if not killed:
            promised.without_power()
        key = _digest(image, promised, killed=killed)
        if key in self._seen:
            self.repeated += 1
            return None
        self._seen.add(key)
        self.states += 1
        try:
            check(self._door(image, boot=boot), promised, thorough=self.states % 8 == 0)
        except (StreamlogError, OSError, AssertionError) as error:
            self.failed = (image, promised)
            return self._violation(path, error)
        if len(path) < _DEPTH and len(self._lives) < _CANDIDATES and self._random.random() < 0.2:
            life = World(
                world.base if killed else image,
                ledger=promised,
                boot=boot,
                journal=world.journal[: disk.number] if killed else [],
                seen=image,
                door=self._door,
            )
            self._lives.append((life, path))
        return None

    def _violation(self, path: Path, error: Exception) -> Violation:
        what = f"{type(error).__name__}: {error}"
        return Violation(self._name, self._seed, self.states, path, what)

    def _go_on(self, world: World, path: Path) -> Violation | None:
        """Another life: open again, recorded this time, do something, and cut that."""
        try:
            world.open(after_crash=True)
            self._after(world)
        except (StreamlogError, OSError, AssertionError) as error:
            return self._violation(path, error)
        return self._explore(world, path, _STATES_A_LIFE)


def check(filesystem: MemoryFilesystem, promised: Ledger, *, thorough: bool) -> None:
    """Open what a crash left and hold it against what was promised.

    `thorough` verifies the directory as well, and closes it.
    """
    engine = open_engine(filesystem)
    promised.check(engine)
    report = engine.report
    assert report is not None, "who opens after a crash is alone"
    problems = [problem for problem in report.problems if not problem.endswith("left alone")]
    if promised.closed and (problems or not report.clean):
        raise BrokenPromiseError(f"the log was closed, but is opened with {report}")
    damaged = [problem for problem in problems if "are damaged" in problem]
    if damaged:
        raise BrokenPromiseError(f"a crash is no damage: {damaged}")
    if thorough:
        check_opening(filesystem, engine.clock)
        findings = [one for one in verify_open_directory(engine) if one.severity == "error"]
        engine.close_now()
        findings += [one for one in verify_directory(filesystem, PATH) if one.severity == "error"]
        if findings:
            raise BrokenPromiseError("; ".join(str(finding) for finding in findings))


def _weights(operation: Operation) -> tuple[float, float]:
    """How often to cut the power, and to kill, after an operation: stores are many."""
    return (0.05, 0.1) if _is_store(operation) else (1, 0.3)


def _is_store(operation: Operation) -> bool:
    return isinstance(operation, Write) and operation.is_store


def _digest(image: Image, promised: Ledger, *, killed: bool) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for path, (_, data) in sorted(image.entries.items()):
        digest.update(b"%d %s %d\n" % (data is None, path.encode(), len(data or b"")))
        digest.update(data or b"")
    digest.update(repr((promised.promise(), killed)).encode())
    return digest.digest()


def _describe(operation: Operation) -> str:
    if isinstance(operation, Write):
        what = "store" if _is_store(operation) else "write"
        return f"{what} of {len(operation.data)} at {operation.position} of {operation.file}"
    return f"{type(operation).__name__} {', '.join(str(value) for value in operation)}"
