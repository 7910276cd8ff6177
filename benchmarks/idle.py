"""Do 10,000 partitions work with 1,024 file descriptors, and what do they cost while idle?

A process of its own sets `RLIMIT_NOFILE` to 1,024, creates a topic of 10,000 partitions, appends a
record to each, and reads all of them with one consumer that was assigned all. Then nothing happens
for 10 seconds, in which the consumer waits in `poll()`. Counted is the processor time of the whole
process, all threads, user and system.

What is fair: the producer stays open, and so does its thread.
"""

from __future__ import annotations

import resource
import time

from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.processes import Job, Ready, run_together

import streamlog

_DESCRIPTORS = 1_024


def stay_idle(
    ready: Ready, path: str, partitions: int, idle_s: float
) -> tuple[float, float, float]:
    """Seconds of processor time while idle; seconds that writing and reading took."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))
    ready()
    with streamlog.open(path) as log:
        log.create_topic("many", partitions=partitions)
        with log.producer(acks=1) as producer:
            began = time.perf_counter()
            for partition in range(partitions):
                producer.send("many", b"%d" % partition, partition=partition)
            producer.flush()
            written = time.perf_counter()
            consumer = log.consumer("many", auto_offset_reset="earliest")
            missing = set(range(partitions))
            while missing:
                missing -= {record.partition for record in consumer.poll()}
            read = time.perf_counter()
            before = time.process_time()
            assert consumer.poll(timeout_ms=idle_s * 1000) == []
            used = time.process_time() - before
            consumer.close()
    return used, written - began, read - written


def measure(options: Options) -> list[Result]:
    partitions, idle_s = options.pick(10_000, 400), options.pick(10, 1)
    job = Job(stay_idle, (str(options.scratch / "idle"), partitions, idle_s))
    ((used, written, read),) = run_together([job])
    return [
        Row(
            f"{partitions:,} partitions under `RLIMIT_NOFILE` {_DESCRIPTORS:,}, idle, "
            "one consumer assigned all",
            f"works; under {5 * idle_s} ms of CPU in {idle_s} s",
            f"{used * 1e3:.0f} ms (a record appended to each: {written:.1f} s, read: {read:.1f} s)",
            used < 0.005 * idle_s,
            WRITTEN,
        )
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
