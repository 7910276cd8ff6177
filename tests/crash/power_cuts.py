"""Power cuts under real processes on a real file system, over and over on one disk.

A round: somebody opens what the last cut left, alone, and so recovers it; the harness looks at
it through a second opening and holds it against the ledger; writers write with every level of
acknowledgement, roll, close and open again, topics come and go; the kernel writes back what it
likes; the power goes. The next round begins on what is left, so that every cut but the first
one hits a log that was recovered and appended to. Some hit the recovery itself.
"""

from __future__ import annotations

import random
import select
import signal
from typing import NamedTuple

import streamlog
from streamlog.errors import StreamlogError
from tests.machine.disks import LoopDisk, write_back
from tests.multiprocess.crowd import Crowd
from tests.multiprocess.ledger import BrokenPromiseError, Ledger
from tests.multiprocess.nursery import Nursery
from tests.multiprocess.values import PLACES

_SEGMENT_BYTES = 4096
_LONGEST_ROUND = 60  # acknowledgements
_LONGEST_RECOVERY_S = 0.015
_AGONY_S = 0.02  # how long processes live on when their disk is gone
_TOO_MANY_BYTES = 24 << 20  # then the log begins anew


class PowerCutOutcome(NamedTuple):
    """What a run went through, for the person who reads it."""

    cuts: int
    cuts_of_recoveries: int
    records_acknowledged: int
    records_kept: int
    records_lost_unsynced: int
    topic_changes: int


class PowerCuts:
    """One disk with one log after the other. `plant` names a bug of the writers."""

    def __init__(self, nursery: Nursery, disk: LoopDisk, seed: int, *, plant: str = "") -> None:
        self._nursery = nursery
        self._disk = disk
        self._random = random.Random(f"power {seed}")
        self._plant = plant
        self._cuts = self._hasty_cuts = self._acknowledged = self._kept = self._lost = 0
        self._changes = self._log_number = 0
        self._begin_log()

    def run(self, cuts: int) -> PowerCutOutcome:
        """Raises `BrokenPromiseError` when a promise was not kept."""
        try:
            while self._cuts < cuts:
                self._round()
            self._recover_alone()
        except StreamlogError as error:
            raise self._broken(error) from error
        except BrokenPromiseError as error:
            raise self._broken(error) from None
        finally:
            self._crowd.abandon()
        self._count()
        return PowerCutOutcome(
            self._cuts,
            self._hasty_cuts,
            self._acknowledged,
            self._kept,
            self._lost,
            self._changes,
        )

    def _broken(self, error: Exception) -> BrokenPromiseError:
        return BrokenPromiseError(f"cut {self._cuts}: {type(error).__name__}: {error}")

    # ---------------------------------------------------------------- one round

    def _begin_log(self) -> None:
        self._log_number += 1
        self._path = self._disk.path / f"log-{self._log_number}"
        self._ledger = Ledger()
        self._crowd = Crowd(self._nursery, self._ledger)
        self._next_topic = 0
        with streamlog.open(self._path) as log:
            for topic in sorted({place.topic for place in PLACES}):
                log.create_topic(topic, partitions=3, internal_segment_bytes=_SEGMENT_BYTES)

    def _round(self) -> None:
        kind = self._random.random()
        if kind < 0.15:
            self._cut_a_recovery()
            return
        if kind < 0.35:
            self._recover_alone()  # and close: the next cut hits a log that was clean
        if sum(file.stat().st_size for file in self._path.rglob("*.log")) > _TOO_MANY_BYTES:
            self._count()
            self._begin_log()
        self._recover_beside()
        for _ in range(self._random.choice([0, 1, 2, 3])):
            self._start_writer(reopens=0.1)
        if self._random.random() < 0.5:
            first = self._next_topic
            self._next_topic += 1000
            self._crowd.start(
                self._crowd.next_number(),
                "administrator",
                path=str(self._path),
                first=first,
                plant=self._plant,
            )
        self._crowd.listen(self._random.randrange(_LONGEST_ROUND))
        self._write_back_something()
        self._cut()

    def _start_writer(self, *, reopens: float, stops: bool = False) -> int:
        number = self._crowd.next_number()
        self._crowd.start(
            number,
            "writer",
            path=str(self._path),
            writer=number,
            plant=self._plant,
            reopens=reopens,
            stops=stops,
        )
        return number

    def _write_back_something(self) -> None:
        """What the kernel may do at any time: some pages of some files, in any order."""
        folders = [path for path in self._path.iterdir() if path.is_dir()]
        for _ in range(self._random.randrange(8)):
            try:
                path = self._random.choice(sorted(self._random.choice(folders).iterdir()))
                size = path.stat().st_size
                position = self._random.randrange(size // 4096 + 1) * 4096
                write_back(path, position, self._random.choice([4096, 65_536, max(size, 1)]))
            except (FileNotFoundError, IndexError):
                continue  # its topic was deleted meanwhile

    def _cut(self) -> None:
        """Cut the power, and start the machine again.

        The processes are killed first, in the middle of their syncs: ext4's shutdown lets an
        fdatasync that is under way return success over nothing, as no power cut would.
        """
        flush_log = self._random.random() < 0.3
        if self._random.random() < 0.2:
            self._crowd.pull_the_disk_away(
                lambda: self._disk.cut_power(flush_log=flush_log), _AGONY_S
            )
        else:
            self._crowd.kill(
                list(self._crowd.living), lambda: self._disk.cut_power(flush_log=flush_log)
            )
        self._ledger.lose_power()
        self._cuts += 1
        self._disk.unmount()
        self._disk.mount()

    # ---------------------------------------------------------------- recoveries

    def _cut_a_recovery(self) -> None:
        """Somebody opens, and the power goes at once."""
        number = self._start_writer(reopens=0)
        patience = self._random.random() * _LONGEST_RECOVERY_S
        select.select([self._crowd.living[number]], [], [], patience)
        self._hasty_cuts += 1
        self._cut()

    def _recover_beside(self) -> None:
        """A writer opens alone, and stands still while its recovery is looked at."""
        number = self._start_writer(reopens=self._random.choice([0, 0.2]), stops=True)
        self._crowd.living[number].wait_until_stopped()
        with streamlog.open(self._path) as log:
            assert log.engine().report is None, "the writer was to recover it"
            self._check(log)
        self._crowd.living[number].signal(signal.SIGCONT)

    def _recover_alone(self) -> None:
        with streamlog.open(self._path) as log:
            self._check(log)

    def _check(self, log: streamlog.StreamLog) -> None:
        sent = sum(self._ledger.sent.values())
        self._ledger.check(log, whole=True)
        self._lost += sent - self._ledger.records_in_log
        self._ledger.forget_lost()
        errors = [str(finding) for finding in log.verify() if finding.severity == "error"]
        if errors:
            raise BrokenPromiseError("\n".join(errors))

    def _count(self) -> None:
        self._acknowledged += self._ledger.records_acknowledged
        self._kept += self._ledger.records_in_log
        self._changes += self._ledger.topics.changes
