"""What does `acks="all"` cost: one thread waiting for each record, and with 1,000 in flight?

Waiting: `send().result()` of 100-byte values, compared with a bare loop of `os.pwrite` and
`os.fdatasync` that writes the very same bytes to a growing file beside it. In flight: the oldest
of 1,000 futures is waited for before the next `send()`; compared with the waiting loop. Needs a
disk: on tmpfs there is nothing to measure.

What is fair: the figure is the median time of a record in each turn, since a disk's worst times
are its own. The bare loop does not lock, publish, or tell anybody.
"""

from __future__ import annotations

import statistics
import time
from collections import deque

from rig.bare import append_times, has_disk, one_record_batch
from rig.benchmark import SYNCED, Options, Result, Row, run_benchmark
from rig.measuring import Run, hold_contest
from rig.ours import found, new_log
from rig.values import make_values

_IN_FLIGHT = 1_000


def run_waiting(options: Options, values: list[bytes]) -> Run:
    seconds = []
    with new_log(options.scratch) as log:
        log.create_topic("log")
        with log.producer(acks="all") as producer:
            producer.send("log", values[0]).result()
            for value in values[1:]:
                began = time.perf_counter()
                metadata = producer.send("log", value).result()
                seconds.append(time.perf_counter() - began)
            assert metadata.durability == SYNCED
        assert found(log, ["log"])[0] == len(values)
    return Run(statistics.median(seconds), 1, 0)


def run_bare(options: Options, batch: bytes, count: int) -> Run:
    seconds = append_times(options.scratch / "bare", batch, count, synced=True)
    return Run(statistics.median(seconds), 1, 0)


def run_in_flight(options: Options, values: list[bytes]) -> Run:
    with new_log(options.scratch) as log:
        log.create_topic("log")
        with log.producer(acks="all") as producer:
            producer.send("log", values[0]).result()
            futures = deque(producer.send("log", value) for value in values[1 : _IN_FLIGHT + 1])
            began = time.perf_counter()
            for value in values[_IN_FLIGHT + 1 :]:
                futures.popleft().result()
                futures.append(producer.send("log", value))
            while futures:
                metadata = futures.popleft().result()
            seconds = time.perf_counter() - began
            assert metadata.durability == SYNCED
        assert found(log, ["log"])[0] == len(values)
    return Run(seconds / (len(values) - 1), 1, 0)


def measure(options: Options) -> list[Result]:
    if not has_disk(options.scratch):
        return [Row('`acks="all"`', "a disk", "no disk: see --directory", None, SYNCED)]
    few = make_values(options.pick(300, 20))
    many = make_values(options.pick(60_000, 3_000))
    batch = one_record_batch(options.scratch, few[0])
    contest = hold_contest(
        {
            "waiting": lambda: run_waiting(options, few),
            "bare": lambda: run_bare(options, batch, len(few)),
            "in flight": lambda: run_in_flight(options, many),
        },
        options.repetitions,
    )
    slower, more = contest.ratio("bare", "waiting"), contest.ratio("in flight", "waiting")
    spread = contest.ratios("bare", "waiting")
    waited_us, bare_us = 1e6 / contest.rate("waiting"), 1e6 / contest.rate("bare")
    return [
        Row(
            '`acks="all"`, one thread waiting for each record',
            "within 15 % of bare `pwrite` + `fdatasync`",
            f"{slower:.2f} x its time ({min(spread):.2f}-{max(spread):.2f}): "
            f"{waited_us:.0f} and {bare_us:.0f} us",
            slower <= 1.15,
            SYNCED,
        ),
        Row(
            '`acks="all"`, 1,000 records in flight',
            "30 x that",
            f"{more:.0f} x: {contest.rate('in flight'):,.0f} records/s",
            more >= 30,
            SYNCED,
        ),
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
