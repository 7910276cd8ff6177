"""How do costs grow with the number of partitions of a topic, from 1 to 10,000?

The same 100,000 records of 100 bytes (at least one a partition), each to the next partition in
turn, the order that makes batches fill slowest. Shown: creating the topic, the first record of each
partition (its folder and files are made then), a later `send()` to the end of `flush()`, closing,
opening, and reading everything with one consumer. `acks=1`, defaults otherwise; single runs of a
whole life, of which the median is taken.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import time

from rig.benchmark import Options, Result, Table, run_benchmark
from rig.values import make_values

import streamlog

_PARTITIONS = (1, 10, 100, 1_000, 10_000)


def live(options: Options, partitions: int, values: list[bytes]) -> list[float]:
    """Seconds of each part of a log's life."""
    path = options.scratch / "life"
    marks = [time.perf_counter()]
    log = streamlog.open(path)
    log.create_topic("log", partitions=partitions)
    marks.append(time.perf_counter())
    with log.producer(acks=1) as producer:
        for partition in range(partitions):
            producer.send("log", b"first", partition=partition)
        producer.flush()
        marks.append(time.perf_counter())
        for number, value in enumerate(values):
            producer.send("log", value, partition=number % partitions)
        producer.flush()
    marks.append(time.perf_counter())
    log.close()
    marks.append(time.perf_counter())
    with streamlog.open(path) as log:
        marks.append(time.perf_counter())
        with log.consumer("log", auto_offset_reset="earliest", consumer_timeout_ms=0) as consumer:
            count = sum(1 for _ in consumer)
        marks.append(time.perf_counter())
    assert count == partitions + len(values), f"{count} records came back"
    shutil.rmtree(path)
    return [after - before for before, after in itertools.pairwise(marks)]


def measure(options: Options) -> list[Result]:
    lines = []
    for partitions in _PARTITIONS[: options.pick(len(_PARTITIONS), 3)]:
        values = make_values(options.pick(100_000, 5_000))
        repetitions = 1 if partitions == _PARTITIONS[-1] else options.repetitions
        lives = [live(options, partitions, values) for _ in range(repetitions)]
        create, first, send, close, opening, read = (
            statistics.median(column) for column in zip(*lives, strict=True)
        )
        lines.append(
            [
                f"{partitions:,}",
                f"{create * 1e3:.1f}",
                f"{first / partitions * 1e3:.2f}",
                f"{send / len(values) * 1e6:.2f}",
                f"{close * 1e3:.0f}",
                f"{opening * 1e3:.1f}",
                f"{read / (len(values) + partitions) * 1e6:.2f}",
            ]
        )
    columns = (
        "partitions",
        "create, ms",
        "first record of each, ms",
        "`send()`, us",
        "close, ms",
        "open, ms",
        "read a record, us",
    )
    return [Table("Costs by the number of partitions (`acks=1`)", columns, lines)]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
