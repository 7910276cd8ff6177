"""What writers write and what children report: values that say whose they are, fixed-size reports.

A value is a function of its writer, its place (topic and partition) and its number, so that the
whole content of a log can be foretold from who wrote how much.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from streamlog.types import TopicPartition

_VALUE = struct.Struct(">III")
_REPORT = struct.Struct(">cIIIqI")

#: A writer is about to send `count` values from number `first` on.
SENDING = b"s"
#: A writer's `count` values from number `first` on are in the log, from `offset` on.
ACKNOWLEDGED = b"a"
#: The same, and they are on the disk: they outlive a power cut.
SYNCED = b"d"
#: A step in the life of the topic whose number is `place`: `first` is one of the steps below.
TOPIC = b"t"
#: A reader read `count` records from `offset` on, whose values together have this checksum.
READ = b"r"
#: Records of a place are about to be deleted, up to `offset`; they are.
TRIMMING = b"x"
TRIMMED = b"y"
#: A writer is about to send values to the topic that is compacted; they are on the disk; it was
#: compacted.
KEYING = b"k"
KEYED = b"l"
COMPACTED = b"c"
#: A child ended as a program should.
ENDED = b"e"
_KINDS = (
    *(SENDING, ACKNOWLEDGED, SYNCED, TOPIC, READ, TRIMMING, TRIMMED),
    *(KEYING, KEYED, COMPACTED, ENDED),
)
CREATING, CREATED, DELETING, DELETED = range(4)

COMPACTED_TOPIC = "counts"
#: How many keys each writer has there, of which its values take turns.
KEYS = 7
PLACES = [TopicPartition(topic, number) for topic in ("flights", "planes") for number in range(3)]


class Report(NamedTuple):
    kind: bytes
    place: int = 0
    first: int = 0
    count: int = 0
    offset: int = 0
    checksum: int = 0


def say(pipe: int, report: Report) -> None:
    """One write of less than a page: the report is there as a whole or not at all."""
    os.write(pipe, _REPORT.pack(*report))


def split_reports(data: bytes) -> Iterator[Report]:
    """Raises `ValueError` for what is not a run of reports."""
    if len(data) % _REPORT.size or data[0:1] not in _KINDS:
        raise ValueError(data)
    for fields in _REPORT.iter_unpack(data):
        if fields[0] not in _KINDS:
            raise ValueError(data)  # what comes behind the reports of a child that failed
        yield Report(*fields)


def value_of(writer: int, place: int, number: int) -> bytes:
    """The value that `writer` sends to `place` as its `number`-th, between 12 and 500 bytes."""
    size = (writer * 7919 + number * 104_729) % 489
    return _VALUE.pack(writer, place, number) + bytes([number & 0xFF]) * size


def key_of(writer: int, number: int) -> bytes:
    """The key of a writer's `number`-th value in the topic that is compacted."""
    return b"%d/%d" % (writer, number % KEYS)


def origin_of(value: bytes) -> tuple[int, int, int]:
    """The writer, place and number that a value names."""
    writer, place, number = _VALUE.unpack_from(value)
    return writer, place, number
