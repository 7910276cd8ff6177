"""The schedule: writers, readers, a housekeeper, somebody who compacts and somebody who creates and
deletes topics, on one directory, and who is killed when.

A cycle ends with somebody killed with -9 and replaced. When it ends is counted in
acknowledgements, so that a seed gives the same schedule on a fast machine and on a slow one;
which instruction the kill meets is up to the machine.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import streamlog
from streamlog.errors import StreamlogError
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from tests.multiprocess.crowd import Crowd
from tests.multiprocess.ledger import BrokenPromiseError, Ledger
from tests.multiprocess.nursery import Nursery
from tests.multiprocess.planted import PLANTED_IN
from tests.multiprocess.trimming import RETAINED_TOPIC, RETENTION_BYTES
from tests.multiprocess.values import COMPACTED_TOPIC, PLACES

#: Who is there, by role: a new role is one more line here and in `_start`.
CAST = {"writer": 4, "reader": 2, "housekeeper": 1, "compactor": 1, "administrator": 1}
SEGMENT_BYTES = 16_384
#: Said of files whose removal died when the log's start was published and not yet recorded: this
#: opening records it, and the next one removes them.
_LEFT_OVER = "its records are deleted, and opening removes it"
_LONGEST_CYCLE = 40  # acknowledgements


class Outcome(NamedTuple):
    """What a run went through, for the person who reads it."""

    cycles: int
    kills: int
    lone_openings: int
    records_acknowledged: int
    records_read: int
    records_in_log: int
    records_deleted: int
    topic_changes: int
    compactions: int


class KillCycles:
    """One directory, its processes and its ledger. `cast` is who is there, by role."""

    def __init__(
        self,
        nursery: Nursery,
        path: Path,
        seed: int,
        *,
        plant: str = "",
        writers_die_writing: bool = False,
        cast: dict[str, int] = CAST,
    ) -> None:
        self._path = str(path)
        self._random = random.Random(seed)
        self._plant = plant
        self._dies = writers_die_writing
        self._cast = cast
        self._ledger = Ledger()
        self._crowd = Crowd(nursery, self._ledger, may_die=writers_die_writing)
        self._lone_openings = 0

    def run(self, kills: int) -> Outcome:
        """Kill so many. Raises `BrokenPromiseError` when streamlog did not keep a promise."""
        with streamlog.open(self._path) as log:
            for topic in sorted({place.topic for place in PLACES}):
                log.create_topic(topic, partitions=3, **self._settings(topic))
            log.create_topic(COMPACTED_TOPIC, cleanup_policy="compact", internal_segment_bytes=4096)
        cycle = 0
        try:
            self._fill_up()
            while self._crowd.kills < kills:
                self._crowd.listen(self._random.randrange(_LONGEST_CYCLE))
                if cycle % 10 == 8:
                    self._let_compact()
                self._fill_up()
                self._kill_somebody(cycle)
                self._fill_up()
                cycle += 1
            self._crowd.kill(list(self._crowd.living))
        finally:
            self._crowd.abandon()
        records = self._check_alone(whole=True)
        return Outcome(
            cycle,
            self._crowd.kills,
            self._lone_openings,
            self._ledger.records_acknowledged,
            self._ledger.records_read,
            records,
            self._ledger.trimming.records_deleted,
            self._ledger.topics.changes,
            self._ledger.keyed.compactions,
        )

    def _settings(self, topic: str) -> dict[str, int]:
        settings = {"internal_segment_bytes": SEGMENT_BYTES}
        if "housekeeper" in self._cast and topic == RETAINED_TOPIC:
            settings |= {"internal_segment_bytes": 4096, "retention_bytes": RETENTION_BYTES}
        return settings

    # ---------------------------------------------------------------- births

    def _fill_up(self) -> None:
        for role, wanted in self._cast.items():
            for _ in range(wanted - self._crowd.count(role)):
                self._start(role, self._crowd.next_number())

    def _start(self, role: str, number: int) -> None:
        plant = self._plant if PLANTED_IN.get(self._plant, "writer") == role else ""
        common: dict[str, Any] = {"path": self._path, "plant": plant}
        if role == "writer":
            dies = self._dies and self._random.random() < 0.5
            self._crowd.start(number, role, writer=number, dies=dies, **common)
        elif role == "compactor":
            self._crowd.start(number, role, writer=number, **common)
        elif role == "reader":
            ends = [self._ledger.known_end(place) for place in range(len(PLACES))]
            starts = [max(0, end - self._random.randrange(50)) for end in ends]
            self._ledger.begin_reader(number, starts)
            reset = "earliest" if "housekeeper" in self._cast else "none"
            self._crowd.start(number, role, starts=starts, reset=reset, **common)
        elif role == "administrator":
            self._crowd.start(number, role, first=1000 * number, **common)
        else:
            self._crowd.start(number, role, seed=number, **common)

    def _let_compact(self) -> None:
        """A compactor takes longer than most are left alive: it gets as far as it takes."""
        before = self._ledger.keyed.compactions
        while "compactor" in self._cast and self._ledger.keyed.compactions == before:
            self._fill_up()
            self._crowd.listen(0, until=lambda: self._ledger.keyed.compactions > before)

    # ---------------------------------------------------------------- deaths

    def _kill_somebody(self, cycle: int) -> None:
        """One, some or all; -9 or, now and then, an orderly end."""
        living = sorted(self._crowd.living)
        everybody = cycle % 10 == 9
        if everybody:
            self._random.shuffle(living)
            self._crowd.kill(living)
            self._check_alone(whole=cycle % 100 == 99)
        elif self._random.random() < 0.1:
            self._crowd.end(self._random.choice(living))
        else:
            self._crowd.kill(self._random.sample(living, self._random.choice([1, 1, 1, 2, 3, 4])))

    # ---------------------------------------------------------------- checking

    def _check_alone(self, *, whole: bool) -> int:
        """Open the directory with nobody else there, which recovers it, and check everything."""
        self._lone_openings += 1
        try:
            with streamlog.open(self._path) as log:
                self._ledger.check(log, whole=whole)
            findings = list(map(str, verify_directory(OS_FILESYSTEM, self._path)))
        except StreamlogError as error:
            raise BrokenPromiseError(str(error)) from error
        broken = [found for found in findings if _LEFT_OVER not in found]
        if broken:
            raise BrokenPromiseError("\n".join(broken))
        return self._ledger.records_in_log
