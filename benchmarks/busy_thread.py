"""Does a busy Python thread in one process slow down the appends of another?

Process A appends to a partition from one thread while a second thread computes and never lets go
of the interpreter's lock on its own. Process B appends to the same partition, one record at a
time, waited for (`send().result()`, `acks=1`). Its rate is compared with its rate when it is
alone. If A waited for the interpreter while it holds the partition's lock, B would be down to
hundreds of appends a second.

What is fair: alone means alone, A does not even run. Needs two processors.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from rig.benchmark import WRITTEN, Options, Result, Row, ratio_row, run_benchmark
from rig.measuring import Run, hold_contest
from rig.ours import new_log
from rig.processes import Job, Ready, run_together
from rig.values import make_values

import streamlog


def append(ready: Ready, path: str, values: Sequence[bytes], done: str) -> float:
    with streamlog.open(path) as log, log.producer(acks=1) as producer:
        send = producer.send
        send("log", b"warm").result()
        ready()
        began = time.perf_counter()
        for value in values:
            send("log", value).result()
        seconds = time.perf_counter() - began
    Path(done).touch()
    return seconds


def append_beside_busy_thread(ready: Ready, path: str, done: str) -> int:
    ended = threading.Event()
    busy = threading.Thread(target=compute, args=(ended,))
    busy.start()
    count = 0
    with streamlog.open(path) as log, log.producer(acks=1) as producer:
        producer.send("log", b"warm").result()
        ready()
        while not Path(done).exists():
            for _ in range(10):
                producer.send("log", b"beside").result()
            count += 10
    ended.set()
    busy.join()
    return count


def compute(ended: threading.Event) -> None:
    number = 1
    while not ended.is_set():
        for _ in range(1_000):
            number = number * 1_103_515_245 % 2_147_483_647


def run(options: Options, values: Sequence[bytes], *, beside: bool) -> Run:
    with new_log(options.scratch) as log:
        log.create_topic("log")
        done = f"{log.path}/.done"
        jobs = [Job(append, (log.path, values, done))]
        if beside:
            jobs.append(Job(append_beside_busy_thread, (log.path, done)))
        seconds, *others = run_together(jobs)
        count = sum(1 for _ in log.read("log"))
        assert count == len(values) + 1 + sum(others) + len(others), "records were lost"
    return Run(seconds, len(values), 0)


def measure(options: Options) -> list[Result]:
    what = "appends beside another process's CPU-bound thread"
    if len(os.sched_getaffinity(0)) < 2:
        return [Row(what, "0.5 x alone", "needs two processors", None, WRITTEN)]
    values = make_values(options.pick(100_000, 5_000))
    contest = hold_contest(
        {
            "alone": lambda: run(options, values, beside=False),
            "beside": lambda: run(options, values, beside=True),
        },
        options.repetitions,
    )
    return [
        ratio_row(
            f"{what}: {contest.rate('beside'):,.0f} records/s",
            0.5,
            "its rate alone",
            contest.ratio("beside", "alone"),
            contest.ratios("beside", "alone"),
            WRITTEN,
        )
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
