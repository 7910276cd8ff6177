"""Produce and consume through librdkafka: a client that shares no code with us or with Java."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

DEADLINE_S = 60.0

Headers = tuple[tuple[str, bytes | None], ...]

# librdkafka writes to standard error unless it is given a logger.
_LOGGER = logging.getLogger("tests.interop.librdkafka")
_LOGGER.propagate = False
_LOGGER.addHandler(logging.NullHandler())


class ClientRecord(NamedTuple):
    """A record as a client sends or receives it; `offset` is None before it is sent."""

    offset: int | None
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    log_append_time: bool = False


def create_topics(
    bootstrap: str, topics: Mapping[str, int], settings: Mapping[str, str] | None = None
) -> None:
    """Create `topics` (names to partition counts), and return when they are created."""
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=_LOGGER)
    new = [NewTopic(n, count, 1, config=dict(settings or {})) for n, count in topics.items()]
    for future in admin.create_topics(new).values():
        future.result(DEADLINE_S)


def alter_topics(bootstrap: str, topics: Iterable[str], settings: Mapping[str, str]) -> None:
    """Change settings of `topics`, and return when the change is in the metadata."""
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=_LOGGER)
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resources = [
        ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries) for topic in topics
    ]
    for future in admin.incremental_alter_configs(resources).values():
        future.result(DEADLINE_S)


def produce_transaction(
    bootstrap: str,
    topic: str,
    transactional_id: str,
    records: Iterable[ClientRecord],
    *,
    commit: bool,
    codec: str = "none",
) -> None:
    """Send `records` to partition 0 as one transaction, which is in the log whole when it ends."""
    producer = open_transaction(bootstrap, topic, transactional_id, records, codec=codec)
    if commit:
        producer.commit_transaction(DEADLINE_S)
    else:
        producer.abort_transaction(DEADLINE_S)


def open_transaction(
    bootstrap: str,
    topic: str,
    transactional_id: str,
    records: Iterable[ClientRecord],
    *,
    codec: str = "none",
) -> Producer:
    """Send `records` to partition 0 in a transaction that is undecided: its producer may end it."""
    settings = {
        "bootstrap.servers": bootstrap,
        "transactional.id": transactional_id,
        "compression.type": codec,
    }
    producer = Producer(settings, logger=_LOGGER)
    producer.init_transactions(DEADLINE_S)
    producer.begin_transaction()
    for record in records:
        producer.produce(
            topic,
            partition=0,
            key=record.key,
            value=record.value,
            timestamp=record.timestamp,
            headers=list(record.headers),
        )
    unsent = producer.flush(DEADLINE_S)
    assert not unsent, f"{unsent} records were not sent in {DEADLINE_S} s"
    return producer


def produce(
    bootstrap: str,
    topic: str,
    records: Iterable[ClientRecord],
    *,
    codec: str = "none",
    idempotent: bool = False,
    partition: int = 0,
) -> list[ClientRecord]:
    """Send `records` to one partition in order; returns them with the offsets they were given."""
    sent = list(records)
    offsets: list[int] = []
    failures: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            offsets.append(message.offset())
        else:
            failures.append(str(error))

    settings = {
        "bootstrap.servers": bootstrap,
        "compression.type": codec,
        "enable.idempotence": idempotent,
        "acks": "all",
        "linger.ms": 50,
        "batch.num.messages": 100,
    }
    producer = Producer(settings, logger=_LOGGER)
    for record in sent:
        producer.produce(
            topic,
            partition=partition,
            key=record.key,
            value=record.value,
            timestamp=record.timestamp,
            headers=list(record.headers),
            on_delivery=delivered,
        )
    unsent = producer.flush(DEADLINE_S)
    assert not unsent, f"{unsent} records were not sent in {DEADLINE_S} s"
    assert not failures, failures[:3]
    return [record._replace(offset=offset) for record, offset in zip(sent, offsets, strict=True)]


def topic_partitions(bootstrap: str) -> dict[str, int]:
    """The topics that the broker knows, with their numbers of partitions."""
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=_LOGGER)
    found = admin.list_topics(timeout=DEADLINE_S).topics
    return {name: len(topic.partitions) for name, topic in found.items()}


def consume(
    bootstrap: str, topic: str, partition: int = 0, start: int = OFFSET_BEGINNING
) -> list[ClientRecord]:
    """Every record of one partition, from `start` to its end at this moment."""
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": "not used: partitions are assigned",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "check.crcs": True,
    }
    consumer = Consumer(settings, logger=_LOGGER)
    try:
        consumer.assign([TopicPartition(topic, partition, start)])
        return _read_to_end(consumer)
    finally:
        consumer.close()


def commit_offsets(bootstrap: str, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    """Commit a group's offsets, by topic and partition; none of its members need be there."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group}, logger=_LOGGER)
    try:
        wanted = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        for answer in consumer.commit(offsets=wanted, asynchronous=False) or []:
            assert answer.error is None, answer.error
    finally:
        consumer.close()


def committed_offsets(
    bootstrap: str, group: str, places: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """What a group committed."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group}, logger=_LOGGER)
    try:
        wanted = [TopicPartition(*place) for place in places]
        answers = consumer.committed(wanted, timeout=DEADLINE_S)
        return {(each.topic, each.partition): each.offset for each in answers}
    finally:
        consumer.close()


def offset_for_time(bootstrap: str, topic: str, timestamp_ms: int, partition: int = 0) -> int:
    """The first offset whose record is not older than `timestamp_ms`, as the broker finds it."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "not used", "enable.auto.commit": False}
    consumer = Consumer(settings, logger=_LOGGER)
    try:
        asked = [TopicPartition(topic, partition, timestamp_ms)]
        (answer,) = consumer.offsets_for_times(asked, timeout=DEADLINE_S)
        assert answer.error is None, answer.error
        return int(answer.offset)
    finally:
        consumer.close()


def _read_to_end(consumer: Consumer) -> list[ClientRecord]:
    records: list[ClientRecord] = []
    deadline = time.monotonic() + DEADLINE_S
    while (left := deadline - time.monotonic()) > 0:
        message = consumer.poll(left)
        error = None if message is None else message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            return records
        assert error is None, f"the broker answered {error}"
        if message is not None:
            records.append(_record(message))
    raise AssertionError(f"no end of the partition in {DEADLINE_S} s: {len(records)} records")


def _record(message: Message) -> ClientRecord:
    kind, timestamp = message.timestamp()
    return ClientRecord(
        offset=message.offset(),
        timestamp=timestamp,
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
        log_append_time=kind == TIMESTAMP_LOG_APPEND_TIME,
    )
