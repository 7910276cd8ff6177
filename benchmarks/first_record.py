"""How long from `import streamlog` to a record read back, in a directory that did not exist?

A fresh interpreter, already running, notes the time, imports streamlog, opens a new directory,
creates a topic, sends one record with the default settings (`acks="all"`), and reads it back. It
then does all but the import once more in a second directory: everything is loaded by then, and
what remains is the work itself. Byte code is cached, as it is after an installation. The syncs of
a program that ends as soon as it has read the record are counted by strace.

What is fair: the limit without the import is for tmpfs, where a sync costs nothing, so that the
figure is ours and not the disk's; on the disk the number of syncs is what we answer for.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from rig.benchmark import SYNCED, WRITTEN, Options, Result, Row, run_benchmark
from rig.tracing import MISSING, SYNC_CALLS, can_trace, count_calls

_MEMORY = Path("/dev/shm")

_PROGRAM = """
import os, sys, time
clock = time.perf_counter
rounds, stops_there = int(sys.argv[2]), sys.argv[3:] == ["stop"]

def work(path):
    with streamlog.open(path) as log:
        log.create_topic("first")
        with log.producer() as producer:
            producer.send("first", b"record").result()
        (record,) = log.read("first")
        ended = clock()
        assert record.value == b"record"
        if stops_there:
            os._exit(0)
    return ended

began = clock()
import streamlog
ends = [work(sys.argv[1] + "/0") - began]
for number in range(1, rounds):
    began = clock()
    ends.append(work(sys.argv[1] + f"/{number}") - began)
print(*ends)
"""


def times(directory: Path) -> tuple[float, float]:
    """Seconds with the import, and without it."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", _PROGRAM, str(directory), "2"]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    first, second = map(float, output.stdout.split())
    return first, second


def median_times(parent: Path, repetitions: int) -> tuple[float, float]:
    samples = []
    for number in range(repetitions + 1):
        directory = parent / f"first-{os.getpid()}-{number}"
        directory.mkdir()
        try:
            samples.append(times(directory))
        finally:
            subprocess.run(["rm", "-rf", directory], check=True)
    firsts, seconds = zip(*samples[1:], strict=True)
    return statistics.median(firsts), statistics.median(seconds)


def count_syncs(options: Options) -> int:
    """Up to the record read back; what closing syncs is no part of it."""
    calls = count_calls(_PROGRAM, str(options.scratch), "1", "stop")
    return sum(calls[name] for name in SYNC_CALLS)


def measure(options: Options) -> list[Result]:
    first, _ = median_times(options.scratch, options.repetitions)
    rows: list[Result] = [
        Row(
            "from `import streamlog` to a record read back in a new directory",
            "under 60 ms",
            f"{first * 1e3:.0f} ms",
            first < 0.06,
            SYNCED,
        )
    ]
    what = "the same without the import"
    if _MEMORY.is_dir():
        _, second = median_times(_MEMORY, options.repetitions)
        measured = f"{second * 1e3:.1f} ms"
        rows.append(Row(what, "under 10 ms on tmpfs", measured, second < 0.01, WRITTEN))
    if can_trace():
        syncs = count_syncs(options)
        rows.append(Row(what, "at most 12 sync calls", str(syncs), syncs <= 12, SYNCED))
    else:
        rows.append(Row(what, "at most 12 sync calls", MISSING, None, SYNCED))
    return rows


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
