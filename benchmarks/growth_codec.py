"""What does each codec cost, and what does it save?

200,000 JSON events of about 100 bytes, once with the default `batch_size` of 16 KiB and once with
256 KiB, which gives a codec more to find. Shown: `send()` one by one to the end of `flush()`,
iterating over everything with offset, key and value touched, and the bytes on disk beside those
without a codec. `acks=1`, defaults otherwise. Medians; checksums of all values are compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rig.benchmark import Options, Result, Table, run_benchmark
from rig.measuring import repeat
from rig.ours import found, new_log
from rig.values import checksum, make_events

_CODECS = ("none", "snappy", "lz4", "zstd", "gzip")
_BATCH_BYTES = (16_384, 262_144)


def write_and_read(
    options: Options, values: Sequence[bytes], codec: str, batch_size: int
) -> tuple[float, float, int]:
    """Seconds of writing, of reading, and the bytes of the log."""
    with new_log(options.scratch) as log:
        log.create_topic("log")
        settings = {"acks": 1, "compression_type": codec, "batch_size": batch_size}

        def write() -> float:
            with log.producer(**settings) as producer:
                began = time.perf_counter()
                for value in values:
                    producer.send("log", value)
                producer.flush()
                return time.perf_counter() - began

        def read() -> float:
            began = time.perf_counter()
            for record in log.read("log"):
                _, _, _ = record.offset, record.key, record.value
            return time.perf_counter() - began

        writing = repeat(write, options.repetitions)
        times = options.repetitions + 1  # so often everything was written
        reading = repeat(read, options.repetitions) / times
        assert found(log, ["log"]) == (len(values) * times, checksum(values) * times)
        size = sum(path.stat().st_size for path in Path(log.path, "log-0").glob("*.log"))
    return writing, reading, size // times


def measure(options: Options) -> list[Result]:
    values = make_events(options.pick(200_000, 10_000))
    lines = []
    for batch_size in _BATCH_BYTES:
        plain = 0
        for codec in _CODECS:
            writing, reading, size = write_and_read(options, values, codec, batch_size)
            plain = plain or size
            lines.append(
                [
                    codec,
                    f"{batch_size >> 10} KiB",
                    f"{writing / len(values) * 1e6:.2f}",
                    f"{reading / len(values) * 1e6:.2f}",
                    f"{size / plain:.0%}",
                ]
            )
    columns = ("codec", "`batch_size`", "`send()`, us", "iterate, us", "bytes on disk")
    return [Table("Cost of a record of 100 bytes of JSON, by codec (`acks=1`)", columns, lines)]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
