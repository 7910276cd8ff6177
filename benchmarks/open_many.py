"""How long does it take to open a cleanly closed directory of 1,000 partitions?

One topic, a record in each partition, closed by the last process that had it open. Timed is
`streamlog.open()` alone, in this process, with the directory's files in the page cache. Each time
every partition is then read, and closed again.

What is fair: partitions open at their first use; what that costs is shown as well: the time until
one record of each partition was read.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from rig.benchmark import Options, Result, Row, run_benchmark

import streamlog


def open_and_read(path: Path, partitions: int) -> tuple[float, float]:
    """Seconds until it is open, and until everything was read."""
    began = time.perf_counter()
    with streamlog.open(path) as log:
        opened = time.perf_counter() - began
        count = sum(1 for _ in log.read("many"))
        read = time.perf_counter() - began
    assert count == partitions, count
    return opened, read


def measure(options: Options) -> list[Result]:
    partitions = options.pick(1_000, 100)
    path = options.scratch / "many"
    with streamlog.open(path) as log:
        log.create_topic("many", partitions=partitions)
        with log.producer(acks=1) as producer:
            for partition in range(partitions):
                producer.send("many", b"record", partition=partition)
    samples = [open_and_read(path, partitions) for _ in range(options.repetitions + 1)][1:]
    opened, read = (statistics.median(column) for column in zip(*samples, strict=True))
    return [
        Row(
            f"open a cleanly closed directory of {partitions:,} partitions",
            "under 0.5 s",
            f"{opened * 1e3:.0f} ms ({read * 1e3:.0f} ms with a record of each read)",
            opened < 0.5,
        )
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
