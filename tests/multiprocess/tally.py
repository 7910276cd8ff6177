"""A ledger that forgets: for runs whose content is deleted while they go on.

It holds readers to what must always be so, whatever was deleted: who reads goes on where it was,
or, if that is gone, further on. At the end it looks at every record that is left.
"""

from __future__ import annotations

from collections import defaultdict

import streamlog
from tests.multiprocess.ledger import Ledger
from tests.multiprocess.topic_changes import BrokenPromiseError
from tests.multiprocess.values import (
    ACKNOWLEDGED,
    COMPACTED,
    DELETED,
    KEYED,
    KEYING,
    PLACES,
    READ,
    SENDING,
    SYNCED,
    TOPIC,
    Report,
    origin_of,
    value_of,
)


class Tally(Ledger):
    """Counts of what was said; only the last of each."""

    def __init__(self) -> None:
        super().__init__()
        self.known_ends = [0] * len(PLACES)
        self.journeys = 0
        self._positions: dict[tuple[int, int], int] = {}

    def begin_reader(self, reader: int, starts: list[int]) -> None:
        for place, start in enumerate(starts):
            self._positions[reader, place] = start

    def take(self, child: int, report: Report) -> None:
        key = (child, report.place)
        if report.kind == SENDING:
            self.sent[key] = report.first + report.count
        elif report.kind in (ACKNOWLEDGED, SYNCED):
            if self.acknowledged[key] != report.first:
                raise BrokenPromiseError(f"writer {child}: {report} is not what comes next")
            self.acknowledged[key] = report.first + report.count
            self.records_acknowledged += report.count
            self._reach(report)
        elif report.kind == READ:
            if report.offset < self._positions[key]:
                raise BrokenPromiseError(f"reader {child} is at {self._positions[key]}: {report}")
            self._positions[key] = report.offset + report.count
            self.records_read += report.count
            self._reach(report)
        elif report.kind in (KEYING, KEYED, COMPACTED):
            self.keyed.take(child, report)
        elif report.kind == TOPIC:
            self.journeys += report.first == DELETED

    def _reach(self, report: Report) -> None:
        end = report.offset + report.count
        self.known_ends[report.place] = max(self.known_ends[report.place], end)

    def check(self, log: streamlog.StreamLog, *, whole: bool = True) -> None:
        """What is left is what was sent, in order, up to what was acknowledged last."""
        self.keyed.check(log)
        for place, (topic, partition) in enumerate(PLACES):
            numbers: dict[int, int] = defaultdict(lambda: -1)
            expected = log.admin.beginning_offsets([PLACES[place]])[PLACES[place]]
            for record in log.read(topic, partition, start=expected):
                writer, _, number = origin_of(record.value)
                if record.offset != expected or record.value != value_of(writer, place, number):
                    raise BrokenPromiseError(f"{PLACES[place]} at {expected}: {record}")
                if not numbers[writer] < number < self.sent[writer, place]:
                    raise BrokenPromiseError(f"{PLACES[place]} at {expected}: writer {writer}")
                numbers[writer] = number
                expected += 1
            if expected < self.known_ends[place]:
                raise BrokenPromiseError(f"{PLACES[place]} ends at {expected}")
