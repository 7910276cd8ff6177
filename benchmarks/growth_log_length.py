"""What gets slower as a log gets longer, from 10,000 to 10 million records (`--full`: 100 million)?

One partition of values of 10 bytes with timestamps one second apart. At each length: `send_many()`
of 10,000 records more, opening the directory, the first record at a random offset, the offset of a
random time, and the last record; all with warm caches. Medians of many, each checked for being the
record that was asked for.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from rig.benchmark import Options, Result, Table, run_benchmark

import streamlog

_LENGTHS = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
_AT_ONCE = 10_000
_PARTITION = streamlog.TopicPartition("log", 0)
_STEP_MS = 1_000


def extend(log: streamlog.StreamLog, start: int, end: int) -> float:
    """Append up to `end`; the median seconds of a call."""
    seconds = []
    with log.producer(acks=1) as producer:
        for base in range(start, end, _AT_ONCE):
            numbers = range(base, base + _AT_ONCE)
            values = [b"%010d" % number for number in numbers]
            timestamps = [number * _STEP_MS for number in numbers]
            began = time.perf_counter()
            producer.send_many("log", values, timestamps_ms=timestamps)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def microseconds(look: Callable[[int], int], length: int, times: int) -> str:
    """The median of looking at random positions."""
    chosen = random.Random(length)
    seconds = []
    for number in (chosen.randrange(length) for _ in range(times)):
        began = time.perf_counter()
        found = look(number)
        seconds.append(time.perf_counter() - began)
        assert found == number, (found, number)
    return f"{statistics.median(seconds) * 1e6:.0f}"


def look_up(path: str, length: int, times: int) -> list[str]:
    """Opening in ms, then a random offset, a random time and the last record in us."""
    began = time.perf_counter()
    with streamlog.open(path) as log:
        opened = time.perf_counter() - began

        def by_offset(number: int) -> int:
            record = next(log.read("log", partition=0, start=number))
            return int(record.value or b"")

        with log.consumer() as consumer:
            consumer.assign([_PARTITION])

            def by_time(number: int) -> int:
                wanted = {_PARTITION: number * _STEP_MS}
                found = consumer.offsets_for_times(wanted)[_PARTITION]
                return -1 if found is None else found.offset

            def last(number: int) -> int:
                end = consumer.end_offsets([_PARTITION])[_PARTITION]
                by_offset(end - 1)
                return number

            looks = (by_offset, by_time, last)
            return [f"{opened * 1e3:.1f}"] + [microseconds(each, length, times) for each in looks]


def measure(options: Options) -> list[Result]:
    path = str(options.scratch / "long")
    lengths = _LENGTHS[: options.pick(5 if options.full else 4, 2)]
    with streamlog.open(path) as log:
        log.create_topic("log", message_timestamp_before_max_ms=2**63 - 1,
                         message_timestamp_after_max_ms=2**63 - 1)  # fmt: skip
    lines = []
    for before, length in zip((0, *lengths), lengths, strict=False):
        with streamlog.open(path) as log:
            seconds = extend(log, before, length)
        per_record = f"{seconds / _AT_ONCE * 1e6:.2f}"
        lines.append([f"{length:,}", per_record, *look_up(path, length, options.pick(2_000, 50))])
    columns = (
        "records",
        "`send_many()`, us a record",
        "open, ms",
        "record at an offset, us",
        "offset of a time, us",
        "last record, us",
    )
    return [Table("Costs by the length of a partition (`acks=1`)", columns, lines)]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
