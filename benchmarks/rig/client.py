"""confluent-kafka's calls, timed: the same code whatever cluster is at the other end.

Its own queue takes 100,000 records, and it pauses for a second when it has read so many ahead:
with four partitions of 24,000 records to a topic, and `flush()` after each, neither happens.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer

from rig.confluent import PARTITIONS, Cluster

_TIMEOUT_S = 30.0

#: Reads so many records from a consumer.
Read = Callable[[Consumer, int], None]


def timed_produce(cluster: Cluster, topics: Sequence[str], values: Sequence[bytes]) -> float:
    """Seconds of `produce()`, all values to each partition, and a `flush()` after each topic.

    The clock starts when each partition has a first record, which is `values[0]` too.
    """
    producer = cluster.producer
    for topic, partition in itertools.product(topics, range(PARTITIONS)):
        producer.produce(topic, values[0], partition=partition)
    producer.flush()
    began = time.perf_counter()
    for topic in topics:
        for partition in range(PARTITIONS):
            for value in values:
                producer.produce(topic, value, partition=partition)
        producer.flush()
    return time.perf_counter() - began


def fill_topics(cluster: Cluster, topics: Sequence[str], values: Sequence[bytes]) -> None:
    """Give each partition of the topics these values, keyed by their position."""
    for topic in topics:
        for partition in range(PARTITIONS):
            for index, value in enumerate(values):
                key = index.to_bytes(8, "big")
                cluster.producer.produce(topic, value, key, partition=partition)
        cluster.producer.flush()


def timed_read(cluster: Cluster, topics: Sequence[str], records: int, read: Read) -> float:
    """Seconds that it takes to `read` topics of so many records each, one after the other.

    The clock starts after the first record of each topic: connecting, and what was fetched by
    then, cost nothing.
    """
    seconds = 0.0
    for topic in topics:
        consumer = cluster.consumer([topic])
        free = len(consumer.consume(1, timeout=_TIMEOUT_S))
        began = time.perf_counter()
        read(consumer, records - free)
        seconds += time.perf_counter() - began
        consumer.close()
    return seconds


def consume(consumer: Consumer, missing: int) -> None:
    """Read with `consume(10000)`, and look at offset, key and value."""
    while missing:
        for message in consumer.consume(min(10_000, missing), timeout=_TIMEOUT_S):
            _, _, _ = message.offset(), message.key(), message.value()
            missing -= 1


def poll(consumer: Consumer, missing: int) -> None:
    """Read with `poll()`, and look at offset, key and value."""
    for _ in range(missing):
        message = consumer.poll(_TIMEOUT_S)
        _, _, _ = message.offset(), message.key(), message.value()
