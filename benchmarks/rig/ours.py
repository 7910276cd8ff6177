"""streamlog, used as its users use it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import streamlog
from rig.values import checksum

_numbers = itertools.count()


@contextmanager
def new_log(scratch: Path) -> Iterator[streamlog.StreamLog]:
    """A log in a new directory, which is gone afterwards."""
    path = scratch / f"log-{next(_numbers)}"
    try:
        with streamlog.open(path) as log:
            yield log
    finally:
        shutil.rmtree(path)


def found(log: streamlog.StreamLog, topics: Sequence[str]) -> tuple[int, int]:
    """How many records there are, and the checksum of their values."""
    values = [record.value or b"" for topic in topics for record in log.read(topic)]
    return len(values), checksum(values)


def fill(
    log: streamlog.StreamLog,
    topic: str,
    values: Sequence[bytes],
    *,
    partitions: int = 1,
    batch_size: int = 16_384,
    **settings: object,
) -> None:
    """Create a topic with these values in each of its partitions, keyed by their position."""
    log.create_topic(topic, partitions=partitions, **settings)
    with log.producer(acks=1, batch_size=batch_size) as producer:
        for partition in range(partitions):
            for index, value in enumerate(values):
                producer.send(topic, value, index.to_bytes(8, "big"), partition=partition)
