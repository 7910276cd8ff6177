"""How does the cost of a record grow with the size of its value, from 10 bytes to 1 MB?

For each size: `send()` one by one to the end of `flush()`, `send_many()`, and a consumer that
iterates and touches offset, key and value. About the same number of bytes each time (at most
200,000 records). The default settings, except `acks=1`, and `buffer_memory` and
`max_message_bytes` large enough for 1 MB. Medians; checksums of all values are compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from rig.benchmark import Options, Result, Table, run_benchmark
from rig.measuring import repeat
from rig.ours import found, new_log
from rig.values import checksum, make_values

_SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_MAX_RECORDS = 200_000


def write(options: Options, values: Sequence[bytes], *, at_once: bool) -> float:
    """Seconds of writing; what was written is read back and compared."""
    with new_log(options.scratch) as log:
        log.create_topic("log", max_message_bytes=2_000_000)
        with log.producer(acks=1) as producer:
            began = time.perf_counter()
            if at_once:
                producer.send_many("log", values)
            else:
                for value in values:
                    producer.send("log", value)
            producer.flush()
            seconds = time.perf_counter() - began
        assert found(log, ["log"]) == (len(values), checksum(values))
    return seconds


def read(options: Options, values: Sequence[bytes], repetitions: int) -> float:
    with new_log(options.scratch) as log:
        log.create_topic("log", max_message_bytes=2_000_000)
        with log.producer(acks=1) as producer:
            producer.send_many("log", values)

        def iterate() -> float:
            began = time.perf_counter()
            for record in log.read("log"):
                _, _, _ = record.offset, record.key, record.value
            return time.perf_counter() - began

        return repeat(iterate, repetitions)


def measure(options: Options) -> list[Result]:
    total = options.pick(100_000_000, 4_000_000)
    lines = []
    for size in _SIZES:
        values = make_values(min(total // size, options.pick(_MAX_RECORDS, 5_000)), size)
        times = (
            repeat(lambda v=values: write(options, v, at_once=False), options.repetitions),
            repeat(lambda v=values: write(options, v, at_once=True), options.repetitions),
            read(options, values, options.repetitions),
        )
        cells = [f"{seconds / len(values) * 1e6:,.2f}" for seconds in times]
        speeds = " / ".join(f"{len(values) * size / seconds / 1e6:,.0f}" for seconds in times)
        lines.append([f"{size:,}", *cells, speeds])
    columns = ("bytes", "`send()`, us", "`send_many()`, us", "iterate, us", "MB/s of values")
    return [Table("Cost of a record, by the size of its value (`acks=1`)", columns, lines)]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
