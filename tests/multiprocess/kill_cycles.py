"""The schedule: four writers and two readers on one directory, and who is killed when.

A cycle ends with somebody killed with -9 and replaced. When it ends is counted in
acknowledgements, so that a seed gives the same schedule on a fast machine and on a slow one;
which instruction the kill meets is up to the machine.
"""

from __future__ import annotations

import random
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import streamlog
from streamlog.errors import StreamlogError
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from tests.multiprocess.ledger import BrokenPromiseError, Ledger
from tests.multiprocess.nursery import PATIENCE_S, Child, Nursery
from tests.multiprocess.values import ENDED, PLACES, SENDING, Report, split_reports

WRITERS = 4
READERS = 2
SEGMENT_BYTES = 16_384
_LONGEST_CYCLE = 40  # acknowledgements


class Outcome(NamedTuple):
    """What a run went through, for the person who reads it."""

    cycles: int
    kills: int
    lone_openings: int
    records_acknowledged: int
    records_read: int
    records_in_log: int


class KillCycles:
    """One directory, its processes and its ledger."""

    def __init__(
        self,
        nursery: Nursery,
        path: Path,
        seed: int,
        *,
        plant: str = "",
        writers_die_writing: bool = False,
    ) -> None:
        self._nursery = nursery
        self._path = str(path)
        self._random = random.Random(seed)
        self._plant = plant
        self._dies = writers_die_writing
        self._ledger = Ledger()
        self._numbers = iter(range(1, 1 << 30))
        self._living: dict[int, Child] = {}
        self._readers: set[int] = set()
        self._kills = self._lone_openings = 0

    def run(self, cycles: int) -> Outcome:
        """Raises `BrokenPromiseError` when streamlog did not keep what it promised."""
        with streamlog.open(self._path) as log:
            for topic in sorted({place.topic for place in PLACES}):
                log.create_topic(topic, partitions=3, internal_segment_bytes=SEGMENT_BYTES)
        try:
            self._fill_up()
            for cycle in range(cycles):
                self._listen(self._random.randrange(_LONGEST_CYCLE))
                self._kill_somebody(cycle)
                self._fill_up()
            self._kill(list(self._living))
        finally:
            for child in self._living.values():
                child.kill()
        records = self._check_alone(whole=True)
        return Outcome(
            cycles,
            self._kills,
            self._lone_openings,
            self._ledger.records_acknowledged,
            self._ledger.records_read,
            records,
        )

    # ---------------------------------------------------------------- births

    def _fill_up(self) -> None:
        readers = len(self._readers)
        for _ in range(WRITERS - (len(self._living) - readers)):
            self._start_writer()
        for _ in range(READERS - readers):
            self._start_reader()

    def _start_writer(self) -> None:
        number = next(self._numbers)
        plant = "" if self._plant == "skipping reader" else self._plant
        dies = self._dies and self._random.random() < 0.5
        self._living[number] = self._nursery.start(
            "writer", path=self._path, writer=number, plant=plant, dies=dies
        )

    def _start_reader(self) -> None:
        number = next(self._numbers)
        ends = [self._ledger.known_end(place) for place in range(len(PLACES))]
        starts = [max(0, end - self._random.randrange(50)) for end in ends]
        self._ledger.begin_reader(number, starts)
        plant = self._plant if self._plant == "skipping reader" else ""
        self._living[number] = self._nursery.start(
            "reader", path=self._path, starts=starts, plant=plant
        )
        self._readers.add(number)

    # ---------------------------------------------------------------- deaths

    def _kill_somebody(self, cycle: int) -> None:
        """One, some or all; -9 or, now and then, an orderly end."""
        living = sorted(self._living)
        everybody = cycle % 10 == 9
        if everybody:
            self._random.shuffle(living)
            self._kill(living)
            self._check_alone(whole=cycle % 100 == 99)
        elif self._random.random() < 0.1:
            self._end(self._random.choice(living))
        else:
            self._kill(self._random.sample(living, self._random.choice([1, 1, 1, 2, 3])))

    def _kill(self, numbers: list[int]) -> None:
        for number in numbers:
            self._living[number].signal(signal.SIGKILL)
        for number in numbers:
            self._hear_out(number)
            self._kills += 1

    def _end(self, number: int) -> None:
        child = self._living[number]
        child.signal(signal.SIGTERM)
        self._hear_out(number, must_end=True)

    def _hear_out(self, number: int, *, must_end: bool = False) -> None:
        """Take what it said before it died; it died of what was meant to kill it."""
        child = self._living.pop(number)
        self._readers.discard(number)
        ended = False
        while data := child.read():
            for report in _reports(number, data):
                ended = ended or report.kind == ENDED
                self._ledger.take(number, report)
        status = child.wait()
        child.close()
        if status != -signal.SIGKILL and not ended:
            raise BrokenPromiseError(f"process {number} ended with {status}")
        if must_end and not ended and not self._dies:
            raise BrokenPromiseError(f"process {number} did not end when asked")

    # ---------------------------------------------------------------- listening

    def _listen(self, acknowledgements: int) -> None:
        """Take reports until so many more records were acknowledged; at least one announced."""
        target = self._ledger.records_acknowledged + acknowledgements
        announced = False
        while not announced or self._ledger.records_acknowledged < target:
            for number in self._who_speaks():
                announced = self._take(number) or announced

    def _who_speaks(self) -> Iterator[int]:
        numbers = {child.pipe: number for number, child in self._living.items()}
        waiting = select.poll()
        for pipe in numbers:
            waiting.register(pipe)
        ready = waiting.poll(PATIENCE_S * 1000)
        if not ready:
            raise BrokenPromiseError("nobody gets on")
        for pipe, _ in ready:
            yield numbers[pipe]

    def _take(self, number: int) -> bool:
        """One reading of one pipe; whether a sending was announced. The dead are replaced."""
        data = self._living[number].read()
        if not data:
            assert self._dies, f"process {number} died by itself"
            self._hear_out(number)
            self._fill_up()
            return False
        reports = _reports(number, data)
        for report in reports:
            self._ledger.take(number, report)
        return any(report.kind == SENDING for report in reports)

    # ---------------------------------------------------------------- checking

    def _check_alone(self, *, whole: bool) -> int:
        """Open the directory with nobody else there, which recovers it, and check everything."""
        self._lone_openings += 1
        try:
            with streamlog.open(self._path) as log:
                self._ledger.check(log, whole=whole)
            findings = [str(found) for found in verify_directory(OS_FILESYSTEM, self._path)]
        except StreamlogError as error:
            raise BrokenPromiseError(str(error)) from error
        if findings:
            raise BrokenPromiseError("\n".join(findings))
        return self._ledger.records_in_log


def _reports(number: int, data: bytes) -> list[Report]:
    """A child's reports. It says something else when an exception ended it."""
    try:
        return list(split_reports(data))
    except ValueError as error:
        raise BrokenPromiseError(f"process {number}: {data.decode(errors='replace')}") from error
