"""A log in RAM with topics to read, written batch by batch so that every boundary is known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import streamlog
from streamlog.record.kernel import RecordBatchBuilder

NOON_MS = 1_700_000_000_000


class Story:
    """The verbs of the reading tests."""

    def __init__(self, log: streamlog.StreamLog) -> None:
        self.log = log

    def write(
        self, topic: str, partition: int, *values: bytes | None, timestamp_ms: int = NOON_MS
    ) -> int:
        """Append one batch of records a millisecond apart; the log's end."""
        builder = RecordBatchBuilder()
        for index, value in enumerate(values):
            builder.append(timestamp_ms + index, b"key", value, ())
        log = self.log.engine().partition(topic, partition)
        outcome = log.append(builder.build(), now_ms=timestamp_ms)
        assert outcome is not None
        return outcome.log_end

    def damage(self, topic: str, partition: int) -> None:
        """Flip a bit in the last byte of a partition's only segment."""
        path = f"{self.log.path}/{topic}-{partition}/{0:020}.log"
        with open(path, "r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)[0]
            file.seek(-1, 2)
            file.write(bytes([last ^ 1]))


@pytest.fixture
def story() -> Iterator[Story]:
    """Topics "orders" (2 partitions) and "flights" (1) in a new log."""
    with streamlog.open(":memory:") as log:
        log.create_topic("orders", partitions=2)
        log.create_topic("flights")
        yield Story(log)
