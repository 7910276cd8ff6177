"""Groups: what a commit costs, and how soon others have what a killed member had.

* `commit()` of one partition after each record, to the operating system (`commit_acks=1`): the
  coordinator decides, one batch is appended on condition, all on the caller's thread.
* A process with a member is killed with -9. The time runs from the signal until a member in
  another process, which waits in `poll()`, has a record of a partition that the dead one had.
* A process commits for the first time: everything that a group has ever committed is there to be
  read, 1,000,000 commits of 100 partitions that nobody has compacted, and after compaction.

What is fair: nothing is synced. The million commits are appended in batches of 1,000, as a busy
broker's are. Kafka's own numbers for the second: 45 s (`session.timeout.ms`).
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.measuring import percentile
from rig.ours import new_log
from rig.processes import Job, Ready, Team

import streamlog
from streamlog.coordinator.records import make, offset_commit
from streamlog.protocol import Uuid
from streamlog.record.kernel import RecordBatchBuilder
from streamlog.storage.names import OFFSETS_TOPIC

_GROUP: dict[str, Any] = {
    "group_id": "billing",
    "auto_offset_reset": "earliest",
    "enable_auto_commit": False,
}
_A_BATCH = 1_000
_PARTITIONS = 100


def _commit_cost(options: Options) -> Row:
    count = options.pick(20_000, 500)
    delays = []
    with new_log(options.scratch) as log:
        log.create_topic("orders")
        with log.producer() as producer:
            producer.send_many("orders", [b"x" * 100] * count)
        with log.consumer("orders", **_GROUP) as consumer:
            for record in consumer:
                began = time.perf_counter()
                consumer.commit()
                delays.append(time.perf_counter() - began)
                if record.offset == count - 1:
                    break
    median, late = percentile(delays, 0.5) * 1e6, percentile(delays, 0.99) * 1e6
    return Row(
        "`commit()` of a group's member after each record",
        "median under 60 us",
        f"median {median:.0f} us, p99 {late:.0f} us",
        median < 60,
        WRITTEN,
    )


# ---------------------------------------------------------------- a killed member


def be_killed(path: str, started: int) -> None:
    """Be a member, say so when it has something, and wait for the end."""
    with streamlog.open(path, housekeeping=False) as log:
        consumer = log.consumer("orders", **_GROUP, on_assign=lambda _: os.write(started, b"\0"))
        while True:
            consumer.poll()


def _delivery(options: Options) -> Row:
    delays = []
    for number in range(options.pick(20, 2)):
        path = options.scratch / f"killed-{number}"
        path.mkdir()
        with new_log(path) as log:
            log.create_topic("orders", 2)
            delays.append(_kill_one(log))
    median, worst = percentile(delays, 0.5) * 1e3, max(delays) * 1e3
    return Row(
        "a killed member's partition read by another, from kill -9",
        "under 200 ms",
        f"median {median:.0f} ms, worst {worst:.0f} ms",
        worst < 200,
        WRITTEN,
    )


def _kill_one(log: streamlog.StreamLog) -> float:
    import multiprocessing

    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    child = multiprocessing.get_context("fork").Process(
        target=be_killed, args=(log.path, writing), daemon=True
    )
    consumer = log.consumer("orders", **_GROUP)
    child.start()
    while len(consumer.assignment()) == 2:
        consumer.poll(20)
    assert os.read(reading, 1) == b"\0"
    (own,) = consumer.assignment()
    with log.producer(acks=1) as producer:
        producer.send("orders", b"waits", partition=1 - own.partition).result()
        assert child.pid is not None
        began = time.perf_counter()
        os.kill(child.pid, signal.SIGKILL)
        while not (found := consumer.poll(10_000)):
            pass
        delay = time.perf_counter() - began
    assert found[0].value == b"waits"
    child.join()
    consumer.close()
    os.close(reading)
    os.close(writing)
    return delay


# ---------------------------------------------------------------- the first commit


def commit_first(ready: Ready, path: str) -> float:
    """Open, then time the first commit of this process."""
    with streamlog.open(path, housekeeping=False) as log:
        consumer = log.consumer(**_GROUP)
        ready()
        began = time.perf_counter()
        consumer.commit({streamlog.TopicPartition("orders", 0): 1})
        return time.perf_counter() - began


def _write_commits(log: streamlog.StreamLog, count: int) -> None:
    """What a member would have written, batch by batch."""
    engine = log.engine()
    coordinator = engine.groups.coordinator_of("billing")
    topic_id = Uuid.parse(engine.topic("orders").topic_id)
    for begin in range(0, count, _A_BATCH):
        builder, now_ms = RecordBatchBuilder(), engine.clock.now_ms()
        for number in range(begin, begin + _A_BATCH):
            partition = number % _PARTITIONS
            value = make(
                "OffsetCommitValue", offset=number, commit_timestamp=now_ms, topic_id=topic_id
            )
            record = offset_commit("billing", "orders", partition, value)
            builder.append(now_ms, *record.encode())
        coordinator.log.append(builder.build(), now_ms=now_ms)


def _first_commit(options: Options) -> list[Row]:
    count = options.pick(1_000_000, 20_000)
    path = options.scratch / "old"
    path.mkdir()
    rows = []
    with new_log(path) as log:
        log.create_topic("orders", _PARTITIONS)
        _write_commits(log, count)
        for what in ("", ", compacted"):
            if what:
                log.admin.compact(OFFSETS_TOPIC)
            delays = []
            for _ in range(options.repetitions):
                (delay,) = Team([Job(commit_first, (log.path,))]).results()
                delays.append(delay)
            best = min(delays) * 1e3
            rows.append(
                Row(
                    f"first commit in a new process over {count:,} old ones{what}",
                    "under 50 ms",
                    f"{best:.1f} ms",
                    best < 50,
                    WRITTEN,
                )
            )
    return rows


def measure(options: Options) -> list[Result]:
    return [_commit_cost(options), _delivery(options), *_first_commit(options)]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
