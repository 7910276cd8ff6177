"""How much memory of its own does a process take while it writes and then reads 5 GB?

`RssAnon` of /proc/self/status: memory that is not a file's page cache. A process of its own sends
100-byte values with the default settings except `acks=1`, then reads every record by iterating. It
notes the growth since before the first record, every 100,000 records. Done for 1 GB and for 5 GB,
to see that it does not depend on the size (`--quick`: 20 MB and 100 MB). `--full` writes 20 GB.

What is fair: the interpreter and the imported modules are left out, thread stacks and the
producer's buffers are not.
"""

from __future__ import annotations

from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.processes import Job, Ready, anonymous_mib, run_together
from rig.values import VALUE_BYTES

import streamlog

_LIMIT_MIB = 64
_SAMPLE_EVERY = 100_000


def write_and_read(ready: Ready, path: str, records: int) -> tuple[float, float]:
    """The growth in MiB while writing, and since then while reading too."""
    ready()
    filler = bytes(VALUE_BYTES - 8)
    with streamlog.open(path) as log:
        log.create_topic("log")
        began = anonymous_mib()
        writing = reading = 0.0
        with log.producer(acks=1) as producer:
            for number in range(records):
                producer.send("log", number.to_bytes(8, "big") + filler)
                if number % _SAMPLE_EVERY == 0:
                    writing = max(writing, anonymous_mib() - began)
        number = -1
        for number, record in enumerate(log.read("log")):
            assert record.value is not None
            if number % _SAMPLE_EVERY == 0:
                assert int.from_bytes(record.value[:8], "big") == number
                reading = max(reading, anonymous_mib() - began)
        assert number + 1 == records, "records were lost"
    return writing, reading


def measure(options: Options) -> list[Result]:
    sizes = [10**9, 20 * 10**9 if options.full else 5 * 10**9]
    if options.quick:
        sizes = [20 * 10**6, 100 * 10**6]
    grown = []
    for number, size in enumerate(sizes):
        path = options.scratch / f"memory-{number}"
        job = Job(write_and_read, (str(path), size // VALUE_BYTES))
        grown += run_together([job])
    peaks = [max(pair) for pair in grown]
    details = ", ".join(
        f"{size / 1e9:g} GB: {writing:.1f} MiB writing, {reading:.1f} MiB reading"
        for size, (writing, reading) in zip(sizes, grown, strict=True)
    )
    return [
        Row(
            f"anonymous memory (`RssAnon`) while writing, then reading {sizes[-1] / 1e9:g} GB",
            f"grows by less than {_LIMIT_MIB} MiB, and not with the size",
            details,
            peaks[-1] < _LIMIT_MIB and peaks[-1] - peaks[0] < 8,
            WRITTEN,
        )
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
