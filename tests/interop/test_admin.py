"""What `Admin` says of a directory, and what the broker said that wrote it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, Producer

import streamlog
from streamlog import OffsetSpec, ProducerDescription, TopicPartition
from tests.interop.rig import admin, client
from tests.interop.rig.broker import Broker
from tests.interop.rig.jars import KafkaJars
from tests.interop.rig.samples import START_MS

pytestmark = pytest.mark.interop

TOPIC = "answers"
PLACE = TopicPartition(TOPIC, 0)
TIMES = (0, START_MS, START_MS + 25, START_MS + 1000, 4_102_444_800_000)
_LOGGER = logging.getLogger("tests.interop.librdkafka")


class Answers(NamedTuple):
    """The broker's directory after it stopped, and what it had answered before."""

    directory: Path
    offsets: dict[tuple[int, bool], tuple[int, int, int]]
    pending: str
    producers: list[tuple[Any, ...]]
    log_dirs: Any


def produce(broker: Broker, first: int, count: int, **settings: Any) -> Producer:
    """Records ten milliseconds apart, the times going back and forth; idempotent producers'."""
    servers = {"bootstrap.servers": broker.bootstrap, "batch.size": 5000}
    producer = Producer({**servers, **settings}, logger=_LOGGER)
    failures: list[KafkaError] = []
    transactional = "transactional.id" in settings
    if transactional:
        producer.init_transactions(client.DEADLINE_S)
        producer.begin_transaction()
    for number in range(first, first + count):
        timestamp = START_MS + 10 * (number ^ 1)
        producer.produce(
            TOPIC,
            b"x" * 500,
            partition=0,
            timestamp=timestamp,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    assert (producer.flush(client.DEADLINE_S), failures) == (0, [])
    return producer


@pytest.fixture(scope="module")
def answers(kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """Plain, idempotent, committed, aborted and undecided records, over several segments."""
    broker = Broker(kafka_jars, tmp_path_factory.mktemp("answers"))
    broker.format()
    broker.start()
    try:
        client.create_topics(broker.bootstrap, {TOPIC: 1, "other": 3})
        admin.alter(
            broker,
            ("--entity-type", "topics", "--entity-name", TOPIC),
            {"internal.segment.bytes": "20000", "index.interval.bytes": "1000"},
        )
        produce(broker, 0, 50, **{"enable.idempotence": False})
        produce(broker, 50, 50, **{"enable.idempotence": True})
        produce(broker, 100, 20, **{"transactional.id": "one"}).commit_transaction()
        produce(broker, 120, 20, **{"transactional.id": "two"}).abort_transaction()
        undecided = produce(broker, 140, 20, **{"transactional.id": "three"})
        produce(broker, 160, 20, **{"enable.idempotence": False})
        known = [int(spec) for spec in OffsetSpec if spec != OffsetSpec.EARLIEST_PENDING_UPLOAD]
        offsets = admin.list_offsets(broker, TOPIC, (*known, *TIMES))
        pending = admin.get_offsets(broker, TOPIC, "earliest-pending-upload")
        producers = admin.describe_producers(broker, TOPIC)
        log_dirs = admin.describe_log_dirs(broker)
        broker.kill()  # a clean stop would have the undecided transaction aborted
        del undecided
        yield Answers(broker.data, offsets, pending, producers, log_dirs)
    finally:
        broker.kill()


@pytest.fixture(scope="module")
def ours(answers: Answers) -> Iterator[streamlog.Admin]:
    with streamlog.open(str(answers.directory)) as log:
        yield log.admin


def test_offsets_are_the_same_in_every_form(answers: Answers, ours: streamlog.Admin) -> None:
    for (spec, committed), theirs in answers.offsets.items():
        level: Any = "read_committed" if committed else "read_uncommitted"
        found = ours.list_offsets({PLACE: spec}, isolation_level=level)[PLACE]
        expected = None if theirs[0] < 0 else tuple(theirs)
        assert found == expected, (spec, level)
    pending = ours.list_offsets({PLACE: OffsetSpec.EARLIEST_PENDING_UPLOAD})[PLACE]
    assert (answers.pending, pending) == ("", None)


def test_producers_are_the_same(answers: Answers, ours: streamlog.Admin) -> None:
    found = ours.describe_producers([PLACE, TopicPartition("other", 0)])
    assert found[TopicPartition("other", 0)] == []
    assert [tuple(each) for each in found[PLACE]] == [
        ProducerDescription(
            *theirs[:4],
            theirs[4] if theirs[4] is not None and theirs[4] >= 0 else None,
            theirs[5] if theirs[5] is not None and theirs[5] >= 0 else None,
        )
        for theirs in answers.producers
    ]
    assert len(found[PLACE]) == 4
    with streamlog.open(str(answers.directory), read_only=True) as reader:
        assert reader.admin.describe_producers([PLACE])[PLACE] == found[PLACE]


def test_sizes_are_the_same(answers: Answers, ours: streamlog.Admin) -> None:
    (broker,) = answers.log_dirs
    (theirs,) = broker["log_dirs"]
    ((path, found),) = ours.describe_log_dirs([TOPIC, "other"]).items()
    sizes = {
        (topic["name"], partition["partition_index"]): partition["partition_size"]
        for topic in theirs["topics"]
        for partition in topic["partitions"]
        if not topic["name"].startswith("__")
    }
    assert path == theirs["log_dir"]
    assert {tuple(place): info.size for place, info in found.replica_infos.items()} == sizes
    assert sizes[TOPIC, 0] > 80_000
    assert found.total_bytes == theirs["total_bytes"]
