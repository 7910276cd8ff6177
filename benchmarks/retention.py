"""How fast do a thousand segments expire?

One partition of a thousand small segments, all of them older than `retention_ms`:
`apply_retention()` is timed from call to return. By then the log's start is published and on the
disk, the files are gone, and so are their names.
"""

from __future__ import annotations

import time

from rig.benchmark import SYNCED, Options, Result, Row, run_benchmark
from rig.ours import new_log

import streamlog

_TARGET_S = 1.0
_SEGMENT_BYTES = 2000
_VALUE = b"x" * 1900
_DAY_MS = 86_400_000


def expire(options: Options, segments: int) -> float:
    """Seconds."""
    with new_log(options.scratch) as log:
        log.create_topic("log", retention_ms=_DAY_MS, internal_segment_bytes=_SEGMENT_BYTES)
        with log.producer(acks=1, linger_ms=0) as producer:
            now_ms = time.time_ns() // 1_000_000
            for _ in range(segments):
                producer.send("log", _VALUE, timestamp_ms=now_ms - 2 * _DAY_MS).result()
        log.sync()
        began = time.perf_counter()
        moved = log.admin.apply_retention("log")
        took = time.perf_counter() - began
        assert moved == {streamlog.TopicPartition("log", 0): segments}
    return took


def measure(options: Options) -> list[Result]:
    segments = options.pick(1_000, 50)
    took = min(expire(options, segments) for _ in range(min(options.repetitions, 3)))
    return [
        Row(
            f"retention of {segments:,} segments",
            f"{_TARGET_S:g} s",
            f"{took:.2f} s",
            took < _TARGET_S,
            SYNCED,
        )
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
