"""How fast is a backup, against `cp -r` of the same directory?

One topic of four partitions, written and closed, in many segments, from a warm cache. Copied to
another file system, where nothing can be linked, with `cp -r` beside it; a second backup there
after one more record; and one on the same file system, where sealed segments are hard links.
What was copied is counted after the first run of each: the records are all there.

What is fair: `cp` leaves its copy in the page cache, a backup syncs all of it. So the copies go to
a file system in memory, where a sync costs neither anything, and where the question is the work.
On the log's own file system (a disk, mostly) `cp -r` is followed by a sync of that file system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rig.benchmark import Options, Result, Row, ratio_row, run_benchmark
from rig.measuring import Run, hold_contest

import streamlog

_MIB = 1 << 20
_PARTITIONS = 4
_VALUE = bytes(range(250)) * 4


def write(path: Path, size: int) -> int:
    """Fill a log with about so many bytes; how many records that are."""
    count = size // len(_VALUE) // _PARTITIONS
    with streamlog.open(path) as log:
        log.create_topic("log", partitions=_PARTITIONS, segment_bytes=size // 64 + _MIB)
        with log.producer(acks=1) as producer:
            for partition in range(_PARTITIONS):
                producer.send_many("log", [_VALUE] * count, partition=partition).result()
    return count * _PARTITIONS


def count_records(path: Path) -> int:
    with streamlog.open(path, read_only=True) as log:
        consumer = log.consumer("log", auto_offset_reset="earliest")
        found = 0
        while batches := consumer.poll_batches(timeout_ms=0):
            found += sum(batch.count for batch in batches)
        return found


def timed(target: Path, size: int, work: Callable[[], object]) -> Run:
    """A run of `work`, which makes `target`."""
    shutil.rmtree(target, ignore_errors=True)
    began = time.perf_counter()
    work()
    return Run(time.perf_counter() - began, size, 0)


def copy(source: Path, target: Path, *, sync: bool) -> None:
    subprocess.run(["cp", "-r", source, target], check=True)
    if sync:
        subprocess.run(["sync", "-f", target], check=True)


def measure(options: Options) -> list[Result]:
    source = options.scratch / "log"
    size = options.pick(1024 * _MIB, 32 * _MIB)
    records = write(source, size)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else options.scratch
    elsewhere = Path(tempfile.mkdtemp(prefix="streamlog-benchmark-", dir=memory))
    try:
        with streamlog.open(source) as log:
            return [
                _row_of_copies(options, log, elsewhere, size, records),
                _row_of_second(options, log, elsewhere / "backup", size),
                _row_of_links(options, log, size),
            ]
    finally:
        shutil.rmtree(elsewhere)


def _row_of_copies(
    options: Options, log: streamlog.StreamLog, elsewhere: Path, size: int, records: int
) -> Row:
    copied, backup = elsewhere / "copied", elsewhere / "backup"
    contest = hold_contest(
        {
            "backup": lambda: timed(backup, size, partial(log.backup, backup)),
            "cp": lambda: timed(copied, size, partial(copy, log.path, copied, sync=False)),
        },
        options.repetitions,
    )
    shutil.rmtree(copied)
    found = count_records(backup)
    assert found == records, f"{records - found} records are not in the backup"
    return ratio_row(
        f"back up {size // _MIB} MiB to another file system (in memory)",
        0.5,
        "`cp -r`",
        contest.ratio("backup", "cp"),
        contest.ratios("backup", "cp"),
        "",
    )


def _row_of_second(options: Options, log: streamlog.StreamLog, backup: Path, size: int) -> Row:
    """One more record, and the backup that is there is brought up to it."""
    seconds = []
    for _ in range(options.repetitions):
        with log.producer() as producer:
            producer.send("log", b"one more", partition=0).result()
        began = time.perf_counter()
        report = log.backup(backup)
        seconds.append(time.perf_counter() - began)
    milliseconds = sorted(seconds)[len(seconds) // 2] * 1000
    return Row(
        f"the same again, after one more record ({report.bytes_copied // _MIB} MiB are new)",
        "copies only what is new",
        f"{milliseconds:.0f} ms",
        report.bytes_copied < size // 2,
    )


def _row_of_links(options: Options, log: streamlog.StreamLog, size: int) -> Row:
    linked, copied = options.scratch / "linked", options.scratch / "copied"
    contest = hold_contest(
        {
            "backup": lambda: timed(linked, size, partial(log.backup, linked)),
            "cp": lambda: timed(copied, size, partial(copy, log.path, copied, sync=True)),
        },
        options.repetitions,
    )
    shutil.rmtree(copied)
    return ratio_row(
        f"back up {size // _MIB} MiB on one file system, with links",
        1,
        "`cp -r` and `sync -f`",
        contest.ratio("backup", "cp"),
        contest.ratios("backup", "cp"),
        "synced",
    )


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
