"""How much do four processes lose by sharing a directory, each appending to its own partition?

Compared with four processes that append to four directories of their own. Two ways to append:
`send()` in a loop with the default batches, and one-record batches that are waited for
(`send().result()`), where the shared structures are touched most often. All start together; the
rate is that of all records between the first start and the last end.

What is fair: the same code, values and counts on both sides; only the path and the partition's
number differ. On a machine with fewer than four processors both sides share them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rig.benchmark import WRITTEN, Options, Result, ratio_row, run_benchmark
from rig.measuring import Run, hold_contest
from rig.ours import found, new_log
from rig.processes import Job, Ready, run_together
from rig.values import make_values

import streamlog

_PROCESSES = 4


def append(
    ready: Ready, path: str, partition: int, count: int, waited: bool
) -> tuple[float, float]:
    values = make_values(count)
    with streamlog.open(path) as log, log.producer(acks=1) as producer:
        send = producer.send
        send("log", b"warm", partition=partition).result()
        ready()
        began = time.perf_counter()
        if waited:
            for value in values:
                send("log", value, partition=partition).result()
        else:
            for value in values:
                send("log", value, partition=partition)
            producer.flush()
        return began, time.perf_counter()


def run(logs: Sequence[streamlog.StreamLog], count: int, waited: bool) -> Run:
    """Four writers: on one log with four partitions, or on four logs with one each."""
    shared = len(logs) == 1
    for log in logs:
        log.create_topic("log", partitions=_PROCESSES if shared else 1)
    times = run_together(
        [
            Job(append, (logs[0 if shared else n].path, n if shared else 0, count, waited))
            for n in range(_PROCESSES)
        ]
    )
    seconds = max(ended for _, ended in times) - min(began for began, _ in times)
    totals = [found(log, ["log"]) for log in logs]
    return Run(seconds, sum(t[0] for t in totals), sum(t[1] for t in totals))


def run_shared(scratch: Path, count: int, waited: bool) -> Run:
    with new_log(scratch) as log:
        return run([log], count, waited)


def run_apart(scratch: Path, count: int, waited: bool) -> Run:
    with new_log(scratch) as a, new_log(scratch) as b, new_log(scratch) as c, new_log(scratch) as d:
        return run([a, b, c, d], count, waited)


def measure(options: Options) -> list[Result]:
    rows: list[Result] = []
    ways = (
        ("default batches", options.pick(500_000, 20_000), False),
        ("one-record batches", options.pick(50_000, 2_000), True),
    )
    for way, count, waited in ways:
        contest = hold_contest(
            {
                "shared": lambda c=count, w=waited: run_shared(options.scratch, c, w),
                "apart": lambda c=count, w=waited: run_apart(options.scratch, c, w),
            },
            options.repetitions,
        )
        rows.append(
            ratio_row(
                f"four processes, four partitions, {way}: "
                f"{contest.rate('shared') / 1e6:.2f} M records/s",
                0.8,
                "four independent directories",
                contest.ratio("shared", "apart"),
                contest.ratios("shared", "apart"),
                WRITTEN,
            )
        )
    return rows


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
