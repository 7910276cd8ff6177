"""Logs that begin anew: where the log of a place may begin, and where it must.

Records go because somebody deletes them, up to an offset that was announced before and, once it
is done, stays; or by retention, which leaves `RETENTION_BYTES` at least. Who is told that a log
begins at an offset is told the truth for ever: a log's start never goes back.
"""

from __future__ import annotations

import streamlog
from tests.multiprocess.topic_changes import BrokenPromiseError
from tests.multiprocess.values import PLACES, TRIMMING, Report

#: The places whose records are deleted by hand, and those of the topic that has retention.
DELETED_BY_HAND = (0, 1)
RETAINED_TOPIC = "planes"
RETENTION_BYTES = 20_000
#: What is kept of places whose records are deleted, so that readers find something.
KEPT_RECORDS = 100


class Trimming:
    """Every place's start, and what was said about it."""

    def __init__(self) -> None:
        self._starts = [0] * len(PLACES)
        self._announced = [0] * len(PLACES)
        self._done = [0] * len(PLACES)
        self._seen: list[tuple[int, Report]] = []  # beginnings that readers were sent to

    def take(self, report: Report) -> None:
        """A deletion that is about to be asked for, or that is done."""
        known = self._announced if report.kind == TRIMMING else self._done
        known[report.place] = max(known[report.place], report.offset)

    def see_start(self, reader: int, report: Report) -> None:
        """A reader was sent to what is the beginning of a log, it says."""
        self._seen.append((reader, report))

    @property
    def records_deleted(self) -> int:
        return sum(self._starts)

    def check(self, log: streamlog.StreamLog) -> list[int]:
        """Hold it against the log; where each place begins."""
        begins = log.admin.beginning_offsets(PLACES)
        for place, before in enumerate(self._starts):
            start = self._starts[place] = begins[PLACES[place]]
            where = f"{PLACES[place]} begins at {start}"
            if start < before:
                raise BrokenPromiseError(f"{where}, and began at {before} before")
            if start < self._done[place]:
                raise BrokenPromiseError(f"{where}: {self._done[place]} and on is what was kept")
            if start > self._announced[place]:
                self._check_retained(log, place, where)
        for reader, report in self._seen:
            if report.offset > self._starts[report.place]:
                raise BrokenPromiseError(f"reader {reader} was sent to {report}, a record")
        self._seen.clear()
        return self._starts

    def _check_retained(self, log: streamlog.StreamLog, place: int, where: str) -> None:
        topic = PLACES[place].topic
        if topic != RETAINED_TOPIC:
            raise BrokenPromiseError(f"{where}: nobody deleted more than {self._announced[place]}")
        (described,) = log.admin.describe_log_dirs([topic]).values()
        size = described.replica_infos[PLACES[place]].size
        if size < RETENTION_BYTES:
            raise BrokenPromiseError(f"{where}, which leaves {size} of {RETENTION_BYTES} bytes")
