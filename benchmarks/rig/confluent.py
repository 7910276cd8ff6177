"""confluent-kafka against the mock cluster that librdkafka carries, or against a broker.

A broker is a real one, or a listener of streamlog.

The mock cluster is threads of this process that keep what is produced in memory: it has no disk
and no other process between it and the client. It drops data past 5 MiB a partition and gives
every topic four partitions, so work is cut into rounds: a topic of four partitions, 24,000
records of 100 bytes each, then `flush()` (librdkafka's own queue takes 100,000 records).
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Sequence

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from rig.values import checksum

PARTITIONS = 4
RECORDS_PER_PARTITION = 24_000
_TIMEOUT_S = 30.0
_numbers = itertools.count()


def name_of(broker: str | None) -> str:
    """What the peer is called in the table."""
    return "confluent-kafka, real broker," if broker else "confluent-kafka"


class Cluster:
    """A running cluster with one producer of `acks=1`, connected and warm."""

    def __init__(self, broker: str | None = None) -> None:
        self._broker = broker
        self.name = name_of(broker)
        where = {"bootstrap.servers": broker} if broker else {"test.mock.num.brokers": 1}
        self.producer = Producer({**where, "acks": 1, "log_level": 4})
        if broker is None:
            brokers = self.producer.list_topics(timeout=_TIMEOUT_S).brokers.values()
            self.bootstrap = ",".join(f"{each.host}:{each.port}" for each in brokers)
        else:
            self.bootstrap = broker
        (topic,) = self.create_topics(1)
        self.producer.produce(topic, b"connect", partition=0)
        self.producer.flush()

    def create_topics(self, count: int) -> list[str]:
        """New topics of `PARTITIONS` partitions, known to the producer."""
        names = [f"benchmark-{uuid.uuid4()}" for _ in range(count)]
        if self._broker is not None:
            admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 4})
            for future in admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in names]).values():
                future.result(_TIMEOUT_S)
        deadline = time.monotonic() + _TIMEOUT_S
        for name in names:
            while self._partitions(name) != PARTITIONS:  # a real broker takes its time
                assert time.monotonic() < deadline, f"no topic {name} of {PARTITIONS} partitions"
        return names

    def _partitions(self, topic: str) -> int:
        metadata = self.producer.list_topics(topic, timeout=_TIMEOUT_S)
        return len(metadata.topics[topic].partitions)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Only of a broker: the mock cluster is thrown away as a whole."""
        if self._broker is not None:
            admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 4})
            for future in admin.delete_topics(list(names)).values():
                future.result(_TIMEOUT_S)

    def consumer(self, topics: Sequence[str]) -> Consumer:
        """A consumer that was assigned all partitions, from their beginning."""
        settings = {"bootstrap.servers": self.bootstrap, "group.id": f"group-{next(_numbers)}"}
        consumer = Consumer(settings)
        consumer.assign(
            [TopicPartition(topic, each, 0) for topic in topics for each in range(PARTITIONS)]
        )
        return consumer

    def found(self, topics: Sequence[str], expected: int) -> tuple[int, int]:
        """How many records there are, and the checksum of their values.

        `expected` of them, the same number in each topic; raises `AssertionError` for fewer.
        """
        values: list[bytes] = []
        for topic in topics:
            self._read(topic, expected // len(topics), values)
        return len(values), checksum(values)

    def _read(self, topic: str, expected: int, values: list[bytes]) -> None:
        consumer = self.consumer([topic])
        while expected:
            messages = consumer.consume(min(10_000, expected), timeout=_TIMEOUT_S)
            assert messages, f"{expected} records are missing"
            for message in messages:
                assert message.error() is None, message.error()
                values.append(message.value())
            expected -= len(messages)
        consumer.close()
