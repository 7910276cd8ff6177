"""A mixed load for as long as one likes: what it takes is looked at, and must not grow.

Some processes stay: a writer, a reader, a housekeeper who applies retention and deletes records,
and a compactor. Others come and go, by -9 or as they should: writers, readers, and travellers who
create topics and delete them. Of those who stay, memory (RssAnon) and descriptors are looked at,
and how much the directory takes; a run is flat when its last quarter has no more than the one
before it.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import streamlog
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from tests.multiprocess.crowd import Crowd
from tests.multiprocess.nursery import Nursery
from tests.multiprocess.tally import Tally
from tests.multiprocess.topic_changes import BrokenPromiseError
from tests.multiprocess.trimming import RETENTION_BYTES
from tests.multiprocess.values import COMPACTED_TOPIC, PLACES

RESIDENTS = ("writer", "reader", "housekeeper", "compactor")
VISITORS = ("writer", "reader", "traveller")
SEGMENT_BYTES = 16_384
_SAMPLES = 80
_LONGEST_TURN = 400  # acknowledgements
#: What the last quarter may have more than the third one: noise, and no trend.
_MORE_MEMORY_KB = 768
_MORE_DESCRIPTORS = 16  # a writer keeps those of segments that it rolled till it syncs
#: A topic that was deleted has a slot, and a place in everybody's memory, as long as anybody has
#: the directory open.
_KB_A_TOPIC = 2
#: The segments that retention leaves, the next ones, and a metadata log that is trimmed at 1 MiB.
_MOST_DISK_BYTES = len(PLACES) * (RETENTION_BYTES + 3 * SEGMENT_BYTES) + (3 << 20)


class NotFlatError(AssertionError):
    """Something grows."""


class Sample(NamedTuple):
    """What a moment took: of each resident in KiB and descriptors, of the directory in bytes.

    `topics` were created and deleted until then.
    """

    memory: dict[str, int]
    descriptors: dict[str, int]
    disk: int
    topics: int


class SoakOutcome(NamedTuple):
    """What a run went through, for the person who reads it."""

    seconds: float
    comings_and_goings: int
    records_acknowledged: int
    records_read: int
    journeys: int
    compactions: int
    first_half: Sample
    last_quarter: Sample


class Soak:
    """One directory and its processes. `plant` names a bug of the housekeeper."""

    def __init__(self, nursery: Nursery, path: Path, seed: int, *, plant: str = "") -> None:
        self._path = str(path)
        self._random = random.Random(f"soak {seed}")
        self._plant = plant
        self._tally = Tally()
        self._crowd = Crowd(nursery, self._tally)
        self._residents: dict[str, int] = {}
        self._visitors: list[int] = []
        self._samples: list[Sample] = []
        self._visits = 0

    def run(self, seconds: float) -> SoakOutcome:
        """Raises `NotFlatError`, and `BrokenPromiseError` when a promise was not kept."""
        settings = {"internal_segment_bytes": SEGMENT_BYTES, "retention_bytes": RETENTION_BYTES}
        with streamlog.open(self._path) as log:
            for topic in sorted({place.topic for place in PLACES}):
                log.create_topic(topic, partitions=3, **settings)
            log.create_topic(
                COMPACTED_TOPIC,
                cleanup_policy="compact",
                internal_segment_bytes=SEGMENT_BYTES,
                min_cleanable_dirty_ratio=0.0,
            )
        began = time.monotonic()
        try:
            self._residents = {role: self._start(role) for role in RESIDENTS}
            while (passed := time.monotonic() - began) < seconds:
                self._crowd.listen(self._random.randrange(_LONGEST_TURN))
                self._come_and_go()
                if passed > len(self._samples) * seconds / _SAMPLES:
                    self._samples.append(self._sample())
            for number in list(self._crowd.living):
                self._crowd.end(number)
        finally:
            self._crowd.abandon()
        self._check_directory()
        return self._outcome(seconds)

    # ---------------------------------------------------------------- who is there

    def _start(self, role: str) -> int:
        number = self._crowd.next_number()
        how: dict[str, Any] = {"seed": number}
        if role in ("writer", "compactor"):
            how = {"writer": number}
        elif role == "reader":
            starts = [self._tally.known_ends[place] for place in range(len(PLACES))]
            self._tally.begin_reader(number, starts)
            how = {"starts": starts, "reset": "earliest"}
        elif role == "housekeeper":
            how["plant"] = self._plant
        self._crowd.start(number, role, path=self._path, **how)
        return number

    def _come_and_go(self) -> None:
        """One visitor more, or one less."""
        if len(self._visitors) < self._random.randrange(1, 4):
            role = self._random.choice(VISITORS)
            if role != "traveller" or self._crowd.count(role) == 0:
                self._visitors.append(self._start(role))
                self._visits += 1
        elif self._visitors:
            leaving = self._visitors.pop(self._random.randrange(len(self._visitors)))
            if self._random.random() < 0.5:
                self._crowd.kill([leaving])
            else:
                self._crowd.end(leaving)

    # ---------------------------------------------------------------- what they take

    def _sample(self) -> Sample:
        pids = {role: self._crowd.living[number].pid for role, number in self._residents.items()}
        return Sample(
            {role: _anonymous_kb(pid) for role, pid in pids.items()},
            {role: len(os.listdir(f"/proc/{pid}/fd")) for role, pid in pids.items()},
            _bytes_below(self._path),
            self._tally.journeys,
        )

    def _outcome(self, seconds: float) -> SoakOutcome:
        quarter = len(self._samples) // 4
        third, last = (_median(self._samples[-n * quarter :][:quarter]) for n in (2, 1))
        memory = _MORE_MEMORY_KB + (last.topics - third.topics) * _KB_A_TOPIC
        disk = _MOST_DISK_BYTES + self._tally.journeys * (_KB_A_TOPIC << 10)
        limits = [("disk", 0, max(one.disk for one in self._samples[2 * quarter :]), disk)]
        for role in RESIDENTS:
            limits += [
                (f"memory of the {role}", third.memory[role], last.memory[role], memory),
                (
                    f"descriptors of the {role}",
                    third.descriptors[role],
                    last.descriptors[role],
                    _MORE_DESCRIPTORS,
                ),
            ]
        grown = [each for each in limits if each[2] > each[1] + each[3]]
        if grown:
            raise NotFlatError("; ".join(f"{one[0]}: from {one[1]} to {one[2]}" for one in grown))
        return SoakOutcome(
            seconds,
            self._visits,
            self._tally.records_acknowledged,
            self._tally.records_read,
            self._tally.journeys,
            self._tally.keyed.compactions,
            _median(self._samples[: 2 * quarter]),
            last,
        )

    def _check_directory(self) -> None:
        with streamlog.open(self._path) as log:
            self._tally.check(log)
        errors = [str(one) for one in verify_directory(OS_FILESYSTEM, self._path)]
        if errors:
            raise BrokenPromiseError("\n".join(errors))


def _median(samples: list[Sample]) -> Sample:
    def middle(values: list[int]) -> int:
        return int(statistics.median(values))

    return Sample(
        {role: middle([one.memory[role] for one in samples]) for role in RESIDENTS},
        {role: middle([one.descriptors[role] for one in samples]) for role in RESIDENTS},
        middle([one.disk for one in samples]),
        middle([one.topics for one in samples]),
    )


def _anonymous_kb(pid: int) -> int:
    """The memory that is a process's own: not that of the files which it maps."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError("this kernel does not tell RssAnon")


def _bytes_below(path: str) -> int:
    """What the files of a directory take on the disk; some go while it is looked at."""
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(f"{root}/{name}").st_blocks * 512
            except FileNotFoundError:
                continue
    return total
