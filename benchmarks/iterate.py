"""How fast does a consumer hand out records to a `for` loop that looks at offset, key and value?

Compared with confluent-kafka's `consume(10000)` and `poll()` on its mock cluster, and with an
LMDB cursor. 100-byte values, keys of 8 bytes. streamlog and confluent-kafka read four topics, one
after the other, of four partitions of 24,000 records each; LMDB as many records from one table.
(The mock cluster drops data past 5 MiB a partition, and librdkafka pauses for a second when it is
100,000 records ahead: with 96,000 records a topic neither happens.) The default batch size of
producers on both sides; caches are warm. Every side's records are counted and the checksums of
their values compared once before the clock starts.

What is fair: the peer's clock starts after the first message of each topic arrived, so that
connecting and what it had fetched by then cost it nothing; ours starts before the consumer is
made. Its messages are not asked for errors. LMDB's key is the offset: it has one field less to
hand out. CRCs are checked by us, and not by the peers (librdkafka's default).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import lmdb
from rig.benchmark import Options, Result, ratio_row, run_benchmark
from rig.client import Read, consume, fill_topics, poll, timed_read
from rig.confluent import PARTITIONS, RECORDS_PER_PARTITION, Cluster
from rig.embedded import open_lmdb, put_all
from rig.measuring import Run, hold_contest
from rig.ours import fill, found, new_log
from rig.values import checksum, make_values

import streamlog


def run_streamlog(log: streamlog.StreamLog, topics: Sequence[str]) -> Run:
    count = 0
    began = time.perf_counter()
    for topic in topics:
        with log.consumer(topic, auto_offset_reset="earliest", consumer_timeout_ms=0) as consumer:
            for record in consumer:
                _, _, _ = record.offset, record.key, record.value
                count += 1
    return Run(time.perf_counter() - began, count, 0)


def run_confluent(
    cluster: Cluster, topics: Sequence[str], records_per_topic: int, read: Read
) -> Run:
    seconds = timed_read(cluster, topics, records_per_topic, read)
    return Run(seconds, records_per_topic * len(topics), 0)


def run_lmdb(environment: lmdb.Environment) -> Run:
    count = 0
    began = time.perf_counter()
    with environment.begin() as transaction:
        for entry in transaction.cursor():
            _, _ = entry
            count += 1
    return Run(time.perf_counter() - began, count, 0)


def measure(options: Options) -> list[Result]:
    rounds = options.pick(4, 1)
    values = make_values(options.pick(RECORDS_PER_PARTITION, 5_000))
    per_topic = PARTITIONS * len(values)
    everything = (rounds * per_topic, rounds * PARTITIONS * checksum(values))
    cluster = Cluster(options.broker)
    theirs = cluster.create_topics(rounds)
    fill_topics(cluster, theirs, values)
    for topic in theirs:
        assert cluster.found([topic], per_topic) == (per_topic, PARTITIONS * checksum(values))
    ours = [f"topic-{number}" for number in range(rounds)]
    with new_log(options.scratch) as log, open_lmdb(options.scratch) as environment:
        for topic in ours:
            fill(log, topic, values, partitions=PARTITIONS)
        assert found(log, ours) == everything
        put_all(environment, list(values) * rounds * PARTITIONS)
        with environment.begin() as transaction:
            stored = [value for _, value in transaction.cursor()]
        assert (len(stored), checksum(stored)) == everything
        del stored
        contest = hold_contest(
            {
                "streamlog": lambda: run_streamlog(log, ours),
                "consume": lambda: run_confluent(cluster, theirs, per_topic, consume),
                "poll": lambda: run_confluent(cluster, theirs, per_topic, poll),
                "LMDB": lambda: run_lmdb(environment),
            },
            options.repetitions,
        )
    cluster.delete_topics(theirs)
    peers = (
        ("consume", f"{cluster.name} `consume(10000)`", 5),
        ("poll", f"{cluster.name} `poll()`", 10),
        ("LMDB", "an LMDB cursor", 1.2),
    )
    return [
        ratio_row(
            f"a consumer iterating, {contest.rate('streamlog') / 1e6:.2f} M records/s",
            target,
            peer,
            contest.ratio("streamlog", name),
            contest.ratios("streamlog", name),
            "",
        )
        for name, peer, target in peers
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
