"""How soon does a reader in another process have a record that was just sent?

The reader waits in a `for` loop over its consumer. The writer sends one record (`acks=1`) every
few milliseconds and waits for it; the value is the time at which `send()` was called. The reader
takes the difference to its own clock (CLOCK_MONOTONIC is the same in all processes) as soon as
the record is in its hands: the append, the wake-up of a sleeping process, the fetch and the
decoding are all part of the time.

Nine pairs of processes, one after the other: how soon a sleeping processor wakes is not the same
from one moment to the next. The figures are the median pair's.

What is fair: the pause lets the reader fall asleep, which is its slowest case. Figures are those
of an idle machine: every other program that runs is part of the p99.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.measuring import percentile
from rig.ours import new_log
from rig.processes import Job, Ready, Team

import streamlog

_PAUSE_S = 0.003
_WARM = 20


def read(ready: Ready, path: str, count: int) -> list[float]:
    delays = []
    with streamlog.open(path) as log, log.consumer("log") as consumer:
        ready()
        for record in consumer:
            (sent,) = struct.unpack("d", record.value)
            delays.append(time.perf_counter() - sent)
            if len(delays) == count:
                break
    return delays


def read_bare(ready: Ready, path: str, count: int) -> list[float]:
    delays = []
    with Path(path).open("rb", buffering=0) as pipe:
        ready()
        for _ in range(count):
            (sent,) = struct.unpack("d", pipe.read(8))
            delays.append(time.perf_counter() - sent)
    return delays


def bare_delays_of(options: Options, count: int) -> list[float]:
    """The same with eight bytes through a named pipe: what the machine takes by itself."""
    path = str(options.scratch / "pipe")
    os.mkfifo(path)
    team = Team([Job(read_bare, (path, count))], callers=1)
    with Path(path).open("wb", buffering=0) as pipe:
        team.ready()
        for _ in range(count):
            time.sleep(_PAUSE_S)
            pipe.write(struct.pack("d", time.perf_counter()))
        (delays,) = team.results()
    os.unlink(path)
    return sorted(delays[_WARM:])


def delays_of(options: Options, count: int) -> list[float]:
    """Seconds from each `send()` to the record in the reader's hands, by two new processes."""
    with new_log(options.scratch) as log:
        log.create_topic("log")
        team = Team([Job(read, (log.path, count))], callers=1)
        with log.producer(acks=1) as producer:
            team.ready()
            for _ in range(count):
                time.sleep(_PAUSE_S)
                producer.send("log", struct.pack("d", time.perf_counter())).result()
        (delays,) = team.results()
    return sorted(delays[_WARM:])


def measure(options: Options) -> list[Result]:
    count, rounds, bare = options.pick(1_000, 200), [], []
    for _ in range(options.pick(9, 1)):
        rounds.append(delays_of(options, count))
        bare.append(percentile(bare_delays_of(options, count), 0.5) * 1e6)
    medians = sorted(percentile(delays, 0.5) * 1e6 for delays in rounds)
    lates = sorted(percentile(delays, 0.99) * 1e6 for delays in rounds)
    median, late = percentile(medians, 0.5), percentile(lates, 0.5)
    return [
        Row(
            "wake-up of a reader in another process, idle machine",
            "median under 60 us, p99 under 500 us",
            f"median {median:.0f} us ({medians[0]:.0f}-{medians[-1]:.0f}), p99 {late:.0f} us",
            median < 60 and late < 500,
            WRITTEN,
        ),
        Row(
            "eight bytes through a pipe to a sleeping process, beside it",
            "",
            f"median {percentile(bare, 0.5):.0f} us ({min(bare):.0f}-{max(bare):.0f})",
            None,
        ),
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
