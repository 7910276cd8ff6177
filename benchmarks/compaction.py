"""How fast is a log compacted, and what does that do to who appends to it meanwhile?

Ten million records of 100 bytes, of a million keys in random order: nine of ten go. `compact()`
is timed from call to return: everything is read twice, checked, copied, synced and swapped in.

Then once more, in another log, while a process appends to the same partition (`send()`, `acks=1`,
one thread, a `flush()` every 200): its rate while compaction runs, over its rate just before.
Memory is what the process has more at its peak than before, with Kafka's buffer of 128 MiB for
the keys.

What is fair: the records are on the disk before, since compaction would have to sync them first.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from rig.benchmark import SYNCED, WRITTEN, Options, Result, Row, run_benchmark
from rig.ours import new_log
from rig.processes import Job, Ready, Team

import streamlog

_TARGET = 1_000_000
_VALUE = b"x" * 100
_CHUNK = 100_000
_BURST = 200
_ALONE_S = 2.0


def fill(log: streamlog.StreamLog, records: int, keys: int) -> None:
    generator = random.Random(keys)
    names = [b"key-%08d" % key for key in range(keys)]
    log.create_topic("log", cleanup_policy="compact")
    with log.producer(acks=1) as producer:
        for _ in range(0, records, _CHUNK):
            producer.send_many(
                "log", [_VALUE] * _CHUNK, keys=generator.choices(names, k=_CHUNK)
            ).result()
    log.sync()


def append(ready: Ready, path: str, stop: str) -> list[tuple[float, int]]:
    """Append until the file `stop` is there; when how many records were appended."""
    times = []
    with streamlog.open(path, housekeeping=False) as log, log.producer(acks=1) as producer:
        producer.send("log", _VALUE, key=b"key").result()
        ready()
        while not Path(stop).exists():
            for _ in range(_BURST):
                producer.send("log", _VALUE, key=b"key-%08d" % (len(times) % 1000))
            producer.flush()
            times.append((time.perf_counter(), _BURST))
    return times


def rate(times: list[tuple[float, int]], start: float, end: float) -> float:
    """Records a second between two moments."""
    return sum(count for at, count in times if start < at <= end) / (end - start)


def compact(log: streamlog.StreamLog, records: int) -> float:
    """Records a second."""
    began = time.perf_counter()
    done = log.admin.compact("log")[streamlog.TopicPartition("log", 0)]
    took = time.perf_counter() - began
    assert done.records_before >= records
    assert done.records_after < done.records_before
    return records / took


def peak_bytes() -> int:
    """The most memory that this process had at once since that was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def beside_appends(options: Options, records: int, keys: int) -> tuple[float, float, float]:
    """Compaction's rate, and the appender's: alone, and meanwhile."""
    with new_log(options.scratch) as log:
        fill(log, records, keys)
        stop = options.scratch / "stop"
        team = Team([Job(append, (log.path, str(stop)))], callers=1)
        team.ready()
        alone_from = time.perf_counter()
        time.sleep(options.pick(1, 0) * _ALONE_S + 0.2)
        began = time.perf_counter()
        compacted = compact(log, records)
        ended = time.perf_counter()
        stop.touch()
        (times,) = team.results()
        stop.unlink()
    return compacted, rate(times, alone_from, began), rate(times, began, ended)


def measure(options: Options) -> list[Result]:
    records, keys = options.pick(10_000_000, 200_000), options.pick(1_000_000, 20_000)
    with new_log(options.scratch) as log:
        fill(log, records, keys)
        before = forget_peak()
        alone = compact(log, records)
        memory = (peak_bytes() - before) / 2**20
    beside, appended_alone, appended = beside_appends(options, records, keys)
    share = appended / appended_alone
    return [
        Row(
            f"compact {records:,} keyed records",
            f"{_TARGET:,} records/s",
            f"{alone:,.0f} records/s",
            alone >= _TARGET,
            SYNCED,
        ),
        Row(
            "memory that this takes, keys in 128 MiB",
            "bounded by the setting",
            f"{memory:.0f} MiB",
            memory < 128 + 64,
        ),
        Row(
            "compact them while another process appends to the partition",
            "",
            f"{beside:,.0f} records/s",
            None,
            SYNCED,
        ),
        Row(
            "append meanwhile",
            "0.5 x the rate before",
            f"{share:.2f} x ({appended:,.0f} of {appended_alone:,.0f} records/s)",
            share >= 0.5,
            WRITTEN,
        ),
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
