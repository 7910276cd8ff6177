"""How fast are whole batches read, `poll_batches()` without decoding, CRC checked?

Compared with a bare loop of `os.pread` over the same file from a warm cache: 256 MiB of 64 KiB
batches in one segment. The bytes that both see have the same number and the same checksum
(checked once, before the clock starts).

What is fair: the bare loop reads 64 KiB at a time, the fastest size (its buffer stays in the
processor's cache), and looks at nothing. streamlog copies nothing, but looks at every byte.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator

from rig.benchmark import Options, Result, ratio_row, run_benchmark
from rig.measuring import Run, hold_contest
from rig.ours import fill, new_log
from rig.values import make_values

import streamlog

_READ_BYTES = 65_536


def batches(log: streamlog.StreamLog) -> Iterator[memoryview]:
    with log.consumer("log", auto_offset_reset="earliest") as consumer:
        while found := consumer.poll_batches(timeout_ms=0):
            for batch in found:
                yield batch.view


def run_streamlog(log: streamlog.StreamLog) -> Run:
    size = 0
    began = time.perf_counter()
    with log.consumer("log", auto_offset_reset="earliest") as consumer:
        while found := consumer.poll_batches(timeout_ms=0):
            for batch in found:
                size += batch.size
    return Run(time.perf_counter() - began, size, 0)


def blocks(path: str) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY)
    position = 0
    while block := os.pread(descriptor, _READ_BYTES, position):
        position += len(block)
        yield block
    os.close(descriptor)


def run_pread(path: str) -> Run:
    descriptor = os.open(path, os.O_RDONLY)
    position = 0
    began = time.perf_counter()
    while count := len(os.pread(descriptor, _READ_BYTES, position)):
        position += count
    seconds = time.perf_counter() - began
    os.close(descriptor)
    return Run(seconds, position, 0)


def measure(options: Options) -> list[Result]:
    values = make_values(options.pick(2_500_000, 200_000))
    with new_log(options.scratch) as log:
        fill(log, "log", values, batch_size=_READ_BYTES)
        path = f"{log.path}/log-0/{0:020d}.log"
        ours, bare = 0, 0
        for view in batches(log):
            ours = zlib.crc32(view, ours)
        for block in blocks(path):
            bare = zlib.crc32(block, bare)
        assert ours == bare, "other bytes were read"
        contest = hold_contest(
            {"streamlog": lambda: run_streamlog(log), "pread": lambda: run_pread(path)},
            options.repetitions,
        )
    speed = contest.rate("streamlog") / 1e9
    return [
        ratio_row(
            f"`poll_batches()` of 64 KiB batches, CRC checked, warm cache, {speed:.1f} GB/s",
            0.5,
            "a bare `pread` of the same file",
            contest.ratio("streamlog", "pread"),
            contest.ratios("streamlog", "pread"),
            "",
        )
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
