"""A topic that is compacted: of each key the last value that was acknowledged is there, or a later.

Every writer has keys of its own, which take turns; so what may be missing follows from how many
values it sent. What is there is in the order in which it was sent.
"""

from __future__ import annotations

from collections import defaultdict

import streamlog
from tests.multiprocess.topic_changes import BrokenPromiseError
from tests.multiprocess.values import (
    COMPACTED_TOPIC,
    KEYED,
    KEYING,
    KEYS,
    Report,
    key_of,
    origin_of,
    value_of,
)


class KeyedValues:
    """What was said of that topic, over all its writers. Values are acknowledged when synced."""

    def __init__(self) -> None:
        self._sent: dict[int, int] = defaultdict(int)
        self._acknowledged: dict[int, int] = defaultdict(int)
        self.compactions = 0

    def take(self, writer: int, report: Report) -> None:
        """Values that are about to be sent, that are acknowledged, or a compaction after them."""
        if report.kind == KEYING:
            self._sent[writer] = report.first + report.count
        elif report.kind == KEYED:
            self._acknowledged[writer] = report.first + report.count
        else:
            self.compactions += 1

    def check(self, log: streamlog.StreamLog) -> None:
        """Hold it against the log; everybody who wrote is dead or done."""
        if COMPACTED_TOPIC not in log.topics():
            if any(self._acknowledged.values()):
                raise BrokenPromiseError(f"{COMPACTED_TOPIC} is gone")
            return
        latest = self._read(log)
        for writer, promised in self._acknowledged.items():
            for number in range(max(0, promised - KEYS), promised):
                found = latest.get(key_of(writer, number), -1)
                if found < number:
                    raise BrokenPromiseError(
                        f"of writer {writer}'s key {number % KEYS} value {number} was "
                        f"acknowledged, and {found} is the last"
                    )

    def _read(self, log: streamlog.StreamLog) -> dict[bytes, int]:
        """By key the number of its last value."""
        latest: dict[bytes, int] = {}
        numbers: dict[int, int] = defaultdict(lambda: -1)
        before = -1
        for record in log.read(COMPACTED_TOPIC):
            writer, _, number = origin_of(record.value)
            where = f"{COMPACTED_TOPIC} at {record.offset}: value {number} of writer {writer}"
            if record.offset <= before or number <= numbers[writer]:
                raise BrokenPromiseError(f"{where} is behind what comes after it")
            if record.value != value_of(writer, 0, number) or number >= self._sent[writer]:
                raise BrokenPromiseError(f"{where} was sent by nobody")
            if record.key != key_of(writer, number):
                raise BrokenPromiseError(f"{where} has the key {record.key!r}")
            before, numbers[writer] = record.offset, number
            latest[bytes(record.key)] = number
        return latest
