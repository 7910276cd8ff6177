"""A small directory with a bit of everything, whose content is known, and how to look at it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import streamlog
from streamlog.errors import StreamlogError
from streamlog.types import TopicPartition

PLACES = [TopicPartition("flights", 0), TopicPartition("flights", 1), TopicPartition("planes", 0)]
BEGIN_MS = 1_700_000_000_000


class Entry(NamedTuple):
    """What a record is, apart from its leader epoch, which no checksum covers."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


Content = dict[TopicPartition, list[Entry]]


def build(path: str) -> Content:
    """Write the directory, close it cleanly, and say what is in it."""
    source = random.Random(7)
    with streamlog.open(path) as log:
        settings: dict[str, Any] = {"internal_segment_bytes": 1200, "index_interval_bytes": 150}
        log.create_topic("flights", partitions=2, **settings)
        log.create_topic("planes", partitions=1, **settings)
        for codec in ("none", "zstd", "none", "lz4", "gzip", "snappy"):
            idempotent = codec == "none"
            with log.producer(compression_type=codec, enable_idempotence=idempotent) as producer:
                for topic, partition in PLACES:
                    for _ in range(2):
                        for _ in range(source.randrange(1, 4)):
                            _send(producer, topic, partition, source)
                        producer.flush()
        return {place: entries(log.read(*place)) for place in PLACES}


def _send(producer: Any, topic: str, partition: int, source: random.Random) -> None:
    key = source.choice([None, b"", b"key"])
    value = source.choice([None, source.randbytes(5), b"v" * source.randrange(90)])
    headers = source.choice([[], [("one", b"1"), ("none", None)]])
    timestamp = BEGIN_MS + source.randrange(1000)
    producer.send(topic, value, key, headers, partition, timestamp)


def entries(records: Any) -> list[Entry]:
    return [entry(record) for record in records]


def entry(record: Any) -> Entry:
    def plain(data: Any) -> bytes | None:
        return None if data is None else bytes(data)

    headers = [(name, plain(value)) for name, value in record.headers]
    return Entry(record.offset, record.timestamp, plain(record.key), plain(record.value), headers)


def read_files(path: str) -> dict[str, bytes]:
    found = {}
    for root, _, names in os.walk(path):
        for name in names:
            full = os.path.join(root, name)
            with open(full, "rb") as file:
                found[os.path.relpath(full, path)] = file.read()
    return found


class WrongDataError(AssertionError):
    """Something was returned as data that is not what was written."""


def look(log: streamlog.StreamLog, expected: Content) -> bool:
    """Read everything in several ways. Whether all of it was there.

    Raises `WrongDataError` for a record that is not what was written, and for records left out
    without an error. Any other exception than a `StreamlogError` is a bug too, and passes.
    """
    complete = True
    for place, content in expected.items():
        for start in (0, len(content) // 2, len(content) - 1):
            complete = _read_on(log, place, start, content) and complete
        complete = _find_by_time(log, place, content) and complete
    return complete


def _read_on(
    log: streamlog.StreamLog, place: TopicPartition, start: int, content: list[Entry]
) -> bool:
    at = start
    try:
        for found in _each(log.read(*place, start=start)):
            if at >= len(content) or found != content[at]:
                raise WrongDataError(f"{place} from {start}: {found} where {at} was to come")
            at += 1
    except StreamlogError:
        return False
    if at < len(content):
        raise WrongDataError(f"{place} from {start}: ended at {at} and not at {len(content)}")
    return True


def _each(records: Any) -> Iterator[Entry]:
    for record in records:
        yield entry(record)


def _find_by_time(log: streamlog.StreamLog, place: TopicPartition, content: list[Entry]) -> bool:
    for timestamp in (BEGIN_MS, content[len(content) // 3].timestamp, BEGIN_MS + 2000):
        wanted = next((each for each in content if each.timestamp >= timestamp), None)
        try:
            found = log.admin.list_offsets({place: timestamp})[place]
        except StreamlogError:
            return False
        if (None if found is None else found[:2]) != (wanted and (wanted.offset, wanted.timestamp)):
            raise WrongDataError(f"{place} at {timestamp}: {found} and not {wanted}")
    return True
