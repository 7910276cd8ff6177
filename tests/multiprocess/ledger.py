"""What was promised, held against what is there.

Writers say what they are about to send and what was acknowledged, readers what they saw; the
ledger keeps all of it and then reads the log. It knows nothing of how the log works.
"""

from __future__ import annotations

import zlib
from collections import defaultdict

import streamlog
from tests.multiprocess.keyed import KeyedValues
from tests.multiprocess.topic_changes import BrokenPromiseError, TopicChanges
from tests.multiprocess.trimming import Trimming
from tests.multiprocess.values import (
    ACKNOWLEDGED,
    COMPACTED,
    KEYED,
    KEYING,
    PLACES,
    READ,
    SENDING,
    SYNCED,
    TOPIC,
    TRIMMED,
    TRIMMING,
    Report,
    origin_of,
    value_of,
)

__all__ = ["BrokenPromiseError", "Ledger"]

_OVERLAP = 100


class Ledger:
    """The account of one directory, over all the processes that ever worked on it."""

    def __init__(self) -> None:
        #: By (writer, place): how many values were announced, how many were acknowledged, and
        #: how many of those as being on the disk.
        self.sent: dict[tuple[int, int], int] = defaultdict(int)
        self.acknowledged: dict[tuple[int, int], int] = defaultdict(int)
        self.synced: dict[tuple[int, int], int] = defaultdict(int)
        self.topics = TopicChanges()
        self.records_acknowledged = 0
        self.records_read = 0
        self.reads_checked = 0
        self.trimming = Trimming()
        self.keyed = KeyedValues()
        #: By place: the (writer, number) of every record that the log was seen to have; None for
        #: one that was deleted before, and that nobody was told the offset of.
        self._content: list[list[tuple[int, int] | None]] = [[] for _ in PLACES]
        self._places_given: list[tuple[int, Report]] = []
        self._unchecked_reads: list[tuple[int, Report]] = []
        self._reader_positions: dict[tuple[int, int], int] = {}
        self._known_ends = [0] * len(PLACES)

    # ---------------------------------------------------------------- what is said

    def begin_reader(self, reader: int, starts: list[int]) -> None:
        for place, start in enumerate(starts):
            self._reader_positions[reader, place] = start

    def take(self, child: int, report: Report) -> None:
        """Enter a report of the child with that number."""
        key = (child, report.place)
        if report.kind == SENDING:
            self.sent[key] = report.first + report.count
        elif report.kind in (ACKNOWLEDGED, SYNCED):
            self._acknowledge(child, key, report)
        elif report.kind == TOPIC:
            self.topics.take(report)
        elif report.kind == READ:
            self._read(child, key, report)
        elif report.kind in (TRIMMING, TRIMMED):
            self.trimming.take(report)
        elif report.kind in (KEYING, KEYED, COMPACTED):
            self.keyed.take(child, report)

    def _acknowledge(self, child: int, key: tuple[int, int], report: Report) -> None:
        if self.acknowledged[key] != report.first:
            raise BrokenPromiseError(f"writer {child}: {report} is not what comes next")
        self.acknowledged[key] = report.first + report.count
        if report.kind == SYNCED:
            self.synced[key] = self.acknowledged[key]
        self.records_acknowledged += report.count
        if report.offset >= 0:
            self._places_given.append((child, report))
            end = report.offset + report.count
            self._known_ends[report.place] = max(self._known_ends[report.place], end)

    def _read(self, child: int, key: tuple[int, int], report: Report) -> None:
        expected = self._reader_positions[key]
        if report.offset < expected:
            raise BrokenPromiseError(f"reader {child} is at {expected} and was given {report}")
        if report.offset > expected:
            self.trimming.see_start(child, report)
        self._reader_positions[key] = report.offset + report.count
        self.records_read += report.count
        self._unchecked_reads.append((child, report))

    def lose_power(self) -> None:
        """The power was cut: what was only given to the operating system is promised no more."""
        self.acknowledged = defaultdict(int, self.synced)
        self._places_given = [
            (child, report) for child, report in self._places_given if report.kind == SYNCED
        ]
        self._unchecked_reads.clear()
        self._reader_positions.clear()
        self._known_ends = [len(content) for content in self._content]

    def forget_lost(self) -> None:
        """After a check: what was sent and is not there never was, its writers are dead."""
        self.sent = defaultdict(int)
        for place, content in enumerate(self._content):
            for writer, number in filter(None, content):
                self.sent[writer, place] = number + 1

    def known_end(self, place: int) -> int:
        """An offset up to which there must be records."""
        return self._known_ends[place]

    @property
    def records_in_log(self) -> int:
        """How many records the last check found."""
        return sum(map(len, self._content))

    # ---------------------------------------------------------------- what is there

    def check(self, log: streamlog.StreamLog, *, whole: bool) -> None:
        """Hold everything said so far against the log; everybody who wrote is dead or done.

        `whole` reads the log from its beginning, and not only what is new.
        """
        self.topics.check(log)
        self.keyed.check(log)
        for place, start in enumerate(self.trimming.check(log)):
            self._fill_up(place, start)
            self._read_content(log, place, start, whole=whole)
            self._check_writers(place)
        for child, report in self._places_given:
            self._check_place_given(child, report)
        for child, report in self._unchecked_reads:
            self._check_read(child, report)
        self.reads_checked += len(self._unchecked_reads)
        self._places_given.clear()
        self._unchecked_reads.clear()

    def _fill_up(self, place: int, start: int) -> None:
        """Have content up to where the log begins now: of the rest is known what was said."""
        content = self._content[place]
        known = len(content)
        content += [None] * (start - known)
        for child, report in self._places_given:
            if report.place == place:
                first = report.offset
                for offset in range(max(known, first), min(start, first + report.count)):
                    content[offset] = (child, report.first + offset - first)

    def _read_content(
        self, log: streamlog.StreamLog, place: int, start: int, *, whole: bool
    ) -> None:
        topic, partition = PLACES[place]
        content = self._content[place]
        expected = start if whole else max(start, len(content) - _OVERLAP)
        for record in log.read(topic, partition, start=expected):
            where = f"{topic}-{partition} at {record.offset}"
            if record.offset != expected:
                raise BrokenPromiseError(f"{where}: offset {expected} is missing")
            writer, named_place, number = origin_of(record.value)
            if record.value != value_of(writer, place, number) or named_place != place:
                raise BrokenPromiseError(f"{where}: nobody sent {record.value!r}")
            if expected == len(content):
                content.append((writer, number))
            elif content[expected] != (writer, number):
                raise BrokenPromiseError(f"{where}: another record was there before")
            expected += 1
        if expected != len(content):
            raise BrokenPromiseError(f"{topic}-{partition} lost its records from {expected} on")

    def _check_writers(self, place: int) -> None:
        """Each writer's values are there from its first on, without gap, repeat or disorder.

        A value may be one of those that were deleted before they were looked at; that accounts
        for no more values than there were, and for no fewer.
        """
        counts: dict[int, int] = defaultdict(int)
        unseen = 0
        for offset, origin in enumerate(self._content[place]):
            if origin is None:
                unseen += 1
                continue
            writer, number = origin
            missing = number - counts[writer]
            if not 0 <= missing <= unseen:
                raise BrokenPromiseError(
                    f"{PLACES[place]} at {offset}: value {number} of writer {writer}, "
                    f"where {counts[writer]} comes next"
                )
            unseen -= missing
            counts[writer] = number + 1
        for (writer, where), promised in self.acknowledged.items():
            missing = promised - counts[writer] if where == place else 0
            if missing > unseen:
                raise BrokenPromiseError(
                    f"{PLACES[place]}: of writer {writer}'s {promised} acknowledged values "
                    f"only {counts[writer]} are there"
                )
            if missing > 0:
                unseen -= missing
                counts[writer] = promised
        for writer, count in counts.items():
            if count > self.sent[writer, place]:
                raise BrokenPromiseError(f"{PLACES[place]}: writer {writer} did not send {count}")
        sent = sum(count for (_, where), count in self.sent.items() if where == place)
        if unseen > sent - sum(counts.values()):
            raise BrokenPromiseError(f"{PLACES[place]} had {unseen} records that nobody sent")

    def _check_place_given(self, child: int, report: Report) -> None:
        content = self._content[report.place]
        for each in range(report.count):
            if content[report.offset + each] != (child, report.first + each):
                raise BrokenPromiseError(f"writer {child} was told {report}, which is not so")

    def _check_read(self, child: int, report: Report) -> None:
        content = self._content[report.place][report.offset : report.offset + report.count]
        if None in content:
            return  # deleted before anybody who is believed had seen all of it
        values = [value_of(one[0], report.place, one[1]) for one in content if one is not None]
        if len(values) != report.count or zlib.crc32(b"".join(values)) != report.checksum:
            raise BrokenPromiseError(f"reader {child} saw {report}, which the log does not have")
