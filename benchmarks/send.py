"""How fast is `send()`, one record a call from one thread, and `send_many()`?

Compared with confluent-kafka's `produce()` + `flush()`, the fastest client of any broker, on the
mock cluster that librdkafka carries. All write 100-byte values without keys to given partitions:
rounds of 4 x 24,000 records, each ended by `flush()`, which is part of the time. Everybody is
connected, and has written one record to each partition, when the clock starts. What was written is
then read back and counted, and the checksum of the values compared.

What is fair: the peer has no disk and no other process behind it, no delivery callback and no
`poll()` in its loop. streamlog writes files. Both hand the records over (`acks=1`); neither syncs.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from rig.benchmark import WRITTEN, Options, Result, ratio_row, run_benchmark
from rig.client import timed_produce
from rig.confluent import PARTITIONS, RECORDS_PER_PARTITION, Cluster, name_of
from rig.measuring import Run, hold_contest
from rig.ours import found, new_log
from rig.values import make_values

_ROUNDS = 4
_AT_ONCE = 10_000


def run_send(options: Options, values: Sequence[bytes], topics: Sequence[str]) -> Run:
    with new_log(options.scratch) as log:
        for topic in topics:
            log.create_topic(topic, partitions=PARTITIONS)
        with log.producer(acks=1) as producer:
            for topic, partition in itertools.product(topics, range(PARTITIONS)):
                producer.send(topic, values[0], partition=partition)
            producer.flush()
            began = time.perf_counter()
            for topic in topics:
                for partition in range(PARTITIONS):
                    for value in values:
                        producer.send(topic, value, partition=partition)
                producer.flush()
            seconds = time.perf_counter() - began
        return Run(seconds, *found(log, topics))


def run_send_many(options: Options, values: Sequence[bytes], topics: Sequence[str]) -> Run:
    chunks = [values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE)]
    with new_log(options.scratch) as log:
        for topic in topics:
            log.create_topic(topic, partitions=PARTITIONS)
        with log.producer(acks=1) as producer:
            for topic, partition in itertools.product(topics, range(PARTITIONS)):
                producer.send(topic, values[0], partition=partition)
            producer.flush()
            began = time.perf_counter()
            for topic in topics:
                for partition in range(PARTITIONS):
                    for chunk in chunks:
                        producer.send_many(topic, chunk, partition=partition)
                producer.flush()
            seconds = time.perf_counter() - began
        return Run(seconds, *found(log, topics))


def run_produce(options: Options, values: Sequence[bytes], rounds: int) -> Run:
    cluster = Cluster(options.broker)
    topics = cluster.create_topics(rounds)
    seconds = timed_produce(cluster, topics, values)
    run = Run(seconds, *cluster.found(topics, rounds * PARTITIONS * (len(values) + 1)))
    cluster.delete_topics(topics)
    return run


def measure(options: Options) -> list[Result]:
    rounds = options.pick(_ROUNDS, 1)
    values = make_values(options.pick(RECORDS_PER_PARTITION, 5_000))
    topics = [f"topic-{number}" for number in range(rounds)]
    contest = hold_contest(
        {
            "send": lambda: run_send(options, values, topics),
            "produce": lambda: run_produce(options, values, rounds),
            "send_many": lambda: run_send_many(options, values, topics),
        },
        options.repetitions,
    )
    peer = f"{name_of(options.broker)} `produce()`"
    return [
        ratio_row(
            f"`{name}()`, {contest.rate(name) / 1e6:.2f} M records/s",
            target,
            peer,
            contest.ratio(name, "produce"),
            contest.ratios(name, "produce"),
            WRITTEN,
        )
        for name, target in (("send", 4), ("send_many", 10))
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
