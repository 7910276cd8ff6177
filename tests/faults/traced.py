"""The program that the system-call tests trace: appends between two marks, to one partition."""

from __future__ import annotations

import os
import sys

import streamlog

BEGIN_MS = 1_700_000_000_000


def main(path: str, records: int, size: int) -> None:
    with streamlog.open(path) as log:
        log.create_topic("flights", internal_segment_bytes=4000, index_interval_bytes=1000)
        partition = log.engine().partition("flights", 0)
        producer = log.producer(acks=1, linger_ms=60_000)
        # This thread does it all: the sender's might take a batch that is about to be written.
        producer.tick = lambda: None  # type: ignore[method-assign]
        producer.send("flights", b"warm", timestamp_ms=BEGIN_MS).result()
        assert partition.log_end == 1
        value = b"x" * size
        os.write(2, b"BEGIN\n")
        for number in range(records):
            producer.send("flights", value, timestamp_ms=BEGIN_MS + number).result()
        os.write(2, b"END\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
