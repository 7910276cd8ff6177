"""How long does it take to open 1 GiB that was not closed cleanly, as after a power cut?

One partition of 16 KiB batches in one segment, written by a process that is then killed. What a
crash of the machine takes away is taken away by hand: `streamlog.shared`, which says how far the
log was published, believed only within one boot. So every batch has to be checked, and the
indexes are written anew. Compared with a bare loop of `os.pread` that looks at nothing (64 KiB
at a time, its fastest size); reading the same batches with `poll_batches()`, which checks their
CRCs, too, is shown beside it. All from a warm cache. After the first opening the number of records
is compared with what was acknowledged.

What is fair: the file is the same each time, and in the page cache each time. What recovery
writes (indexes, checkpoints) is synced, and that is part of its time.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from rig.benchmark import Options, Result, Row, run_benchmark
from rig.measuring import Run, hold_contest
from rig.processes import Job, Ready, Team
from rig.values import VALUE_BYTES

import streamlog

_GIB = 1 << 30
_BATCH_BYTES = 16_384


def write_and_die(ready: Ready, path: str, records: int) -> None:
    """Keep the directory open until the end, which is a kill."""
    with streamlog.open(path) as log:
        log.create_topic("log", segment_bytes=2 * _GIB - 1)
        with log.producer(acks=1, batch_size=_BATCH_BYTES) as producer:
            value = bytes(range(VALUE_BYTES))
            for _ in range(records):
                producer.send("log", value)
            producer.flush()
            ready()
            signal.pause()


def make_unclean(path: Path) -> None:
    """Leave what a power cut leaves."""
    (path / "streamlog.shared").unlink()
    (path / ".kafka_cleanshutdown").unlink(missing_ok=True)
    for checkpoint in path.glob("recovery-point-offset-checkpoint"):
        checkpoint.unlink()


def run_recovery(path: Path, size: int) -> Run:
    make_unclean(path)
    began = time.perf_counter()
    log = streamlog.open(path)
    log.consumer("log").close()  # should the partition be recovered at its first use
    seconds = time.perf_counter() - began
    log.close()
    return Run(seconds, size, 0)


def run_poll_batches(path: Path) -> Run:
    with streamlog.open(path) as log:
        began = time.perf_counter()
        size = sum(batch.size for batch in _batches(log))
        return Run(time.perf_counter() - began, size, 0)


def run_pread(segment: Path) -> Run:
    descriptor = os.open(segment, os.O_RDONLY)
    position = 0
    began = time.perf_counter()
    while count := len(os.pread(descriptor, 65_536, position)):
        position += count
    seconds = time.perf_counter() - began
    os.close(descriptor)
    return Run(seconds, position, 0)


def measure(options: Options) -> list[Result]:
    path = options.scratch / "unclean"
    size = options.pick(_GIB, _GIB // 32)
    records = size // 108
    team = Team([Job(write_and_die, (str(path), records))], callers=1)
    team.ready()
    team.kill()
    team.join()
    segment = path / "log-0" / f"{0:020d}.log"
    written = segment.stat().st_size
    run_recovery(path, written)
    with streamlog.open(path) as log:
        count = sum(batch.count for batch in _batches(log))
    assert count == records, f"{records - count} acknowledged records were lost"
    contest = hold_contest(
        {
            "recover": lambda: run_recovery(path, written),
            "read": lambda: run_poll_batches(path),
            "pread": lambda: run_pread(segment),
        },
        options.repetitions,
    )
    times = contest.ratio("pread", "recover")
    seconds = written / contest.rate("recover")
    return [
        Row(
            f"recover {written / _GIB:.2f} GiB unclean (warm cache, 16 KiB batches)",
            "within 1.5 x of reading it",
            f"{times:.2f} x a bare `pread`, {contest.ratio('read', 'recover'):.2f} x "
            f"`poll_batches()` ({seconds:.2f} s)",
            times <= 1.5,
        )
    ]


def _batches(log: streamlog.StreamLog) -> Iterator[streamlog.PartitionBatch]:
    with log.consumer("log", auto_offset_reset="earliest") as consumer:
        while batches := consumer.poll_batches(timeout_ms=0):
            yield from batches


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
