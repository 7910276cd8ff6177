"""Topics that come and go, one change after another: which of them must be there.

A topic has a number; it has one synced record, which says that number, written before it counts
as created. Names come again: that of a topic which was deleted is soon another's.
"""

from __future__ import annotations

import streamlog
from tests.multiprocess.values import CREATED, CREATING, DELETED, Report, value_of

#: How many topics there are of one maker.
TOPICS_AT_ONCE = 4
_PREFIX = "passing-"
#: The writer, by whose values those of passing topics are told.
_NOBODY = 0


class BrokenPromiseError(AssertionError):
    """The log is not what was promised."""


def topic_name(number: int) -> str:
    """The name of a topic: one of a few of those who make it, who begin at a whole thousand."""
    return f"{_PREFIX}{number // 1000}-{number % TOPICS_AT_ONCE}"


def topic_value(number: int) -> bytes:
    """The value of the one record of that topic."""
    return value_of(_NOBODY, 0, number)


class TopicChanges:
    """The life of every topic that was announced, as far as it is known."""

    def __init__(self) -> None:
        self._steps: dict[int, int] = {}
        self._empty: set[int] = set()  # found without their record, which was still to come

    def take(self, report: Report) -> None:
        assert report.first == self._steps.get(report.place, -1) + 1, report
        self._steps[report.place] = report.first

    @property
    def changes(self) -> int:
        """How many changes were completed."""
        return sum(step >= CREATED for step in self._steps.values()) + sum(
            step == DELETED for step in self._steps.values()
        )

    def check(self, log: streamlog.StreamLog) -> None:
        """Hold them against the log; what was in doubt is settled by what is found."""
        found = {name for name in log.topics() if name.startswith(_PREFIX)}
        latest = {topic_name(number): number for number in sorted(self._steps)}
        for name, number in latest.items():
            step = self._steps[number]
            there = name in found
            found.discard(name)
            if there and step == DELETED:
                raise BrokenPromiseError(f"{name} was deleted, and is there")
            if not there and step == CREATED:
                raise BrokenPromiseError(f"{name} was created, and is not there")
            if there:
                self._check_record(log, number, step)
            self._steps[number] = CREATED if there else DELETED
        if found:
            raise BrokenPromiseError(f"nobody created {found}")

    def _check_record(self, log: streamlog.StreamLog, number: int, step: int) -> None:
        values = [bytes(record.value) for record in log.read(topic_name(number))]
        if not values and (step == CREATING or number in self._empty):
            self._empty.add(number)
        elif values != [topic_value(number)]:
            raise BrokenPromiseError(f"{topic_name(number)} has {values} after step {step}")
