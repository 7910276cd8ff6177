"""A whole directory that goes from one to the other and back: topics, settings, producers, groups.

A stopped broker's directory is opened by streamlog, written to, given back to the broker, and
opened once more; and the other way round. What each wrote the other one has.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import streamlog
from streamlog.broker import produce
from streamlog.errors import (
    BackupDestinationError,
    OutOfOrderSequenceError,
    ReadOnlyError,
    UnsupportedFeatureError,
)
from streamlog.protocol.coordinator_records import OFFSETS
from streamlog.types import OffsetSpec, TopicPartition
from tests.broker.test_read_only import fingerprint
from tests.interop import producer_connection as wire
from tests.interop.producer_connection import NO_ERROR, OUT_OF_ORDER_SEQUENCE, ProducerIdentity
from tests.interop.rig import admin, client
from tests.interop.rig.broker import Broker
from tests.interop.rig.client import ClientRecord
from tests.interop.rig.dump import DumpTool, partition_files
from tests.interop.rig.jars import KafkaJars
from tests.interop.rig.samples import CODECS, binary_records, text_records
from tests.interop.test_directory import as_client_record

pytestmark = pytest.mark.interop

Place = tuple[str, int]

SETTINGS = {
    "retention.ms": "604800000000",
    "segment.bytes": "1048576",
    "compression.type": "zstd",
    "max.message.bytes": "500000",
    "message.timestamp.type": "CreateTime",
}
TOPIC_SOURCE = "DYNAMIC_TOPIC_CONFIG"
FEW_PARTITIONS = {"offsets.topic.num.partitions": "3", "transaction.state.log.num.partitions": "3"}
#: Of every controller that begins its work, and of one that finds no `quorum-state` file.
USUAL_WARNINGS = ("Performing controller activation", "Epoch from quorum store file")
GROUP = "billing"
COMMITTED = {("spread", 0): 7, ("spread", 2): 11}
EACH = 8  # records of each transaction
NUMBERED_PLACE = TopicPartition("numbered", 0)
NUMBERED = 5  # records of each batch of the producer that is continued


class Stopped(NamedTuple):
    """The directory of a broker that was stopped cleanly, and what the broker said before."""

    directory: Path
    records: dict[Place, list[ClientRecord]]
    configs: dict[str, admin.BrokerEntry]
    producer: ProducerIdentity
    producers: list[tuple[Any, ...]]


def topic_of(codec: str) -> str:
    return f"codec-{codec}"


def one_by_one(bootstrap: str, topic: str, partitions: int) -> dict[Place, list[ClientRecord]]:
    return {(topic, p): client.consume(bootstrap, topic, p) for p in range(partitions)}


@pytest.fixture(scope="module")
def stopped(kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    broker = Broker(kafka_jars, tmp_path_factory.mktemp("broker"))
    broker.format()
    broker.start(FEW_PARTITIONS)
    try:
        yield fill_and_stop(broker)
    finally:
        broker.kill()


def fill_and_stop(broker: Broker) -> Stopped:
    at = broker.bootstrap
    client.create_topics(at, {"spread": 3}, SETTINGS)
    client.alter_topics(at, ["spread"], {"max.message.bytes": "600000"})
    names = ["transactions", "undecided", "numbered", *map(topic_of, CODECS)]
    client.create_topics(at, dict.fromkeys(names, 1))
    records: dict[Place, list[ClientRecord]] = {}
    for partition in range(3):
        sent = client.produce(at, "spread", text_records(f"p{partition}", 40), partition=partition)
        records["spread", partition] = sent
    for codec in CODECS:
        records[topic_of(codec), 0] = client.produce(
            at, topic_of(codec), binary_records(), codec=codec
        )
    for name, commit in (("kept", True), ("dropped", False)):
        client.produce_transaction(
            at, "transactions", name, text_records(name, EACH), commit=commit
        )
    records["transactions", 0] = client.consume(at, "transactions")
    client.commit_offsets(at, GROUP, COMMITTED)
    producer = wire.new_identity(at)
    for sequence in (0, NUMBERED):
        batch = wire.numbered_batch(producer, sequence, numbered(sequence))
        assert wire.produce(at, "numbered", batch) == (NO_ERROR, sequence)
    records["numbered", 0] = client.consume(at, "numbered")
    configs = admin.describe_configs(broker, "spread")
    producers = admin.describe_producers(broker, "numbered")
    undecided = client.open_transaction(at, "undecided", "nobody", text_records("late", EACH))
    broker.stop()
    del undecided
    return Stopped(broker.data, records, configs, producer, producers)


def numbered(sequence: int) -> list[bytes]:
    return [b"number %d" % number for number in range(sequence, sequence + NUMBERED)]


@pytest.fixture
def directory(stopped: Stopped, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped.directory, tmp_path / "data"))


def read(log: streamlog.StreamLog, topic: str, partition: int) -> list[ClientRecord]:
    return [as_client_record(record) for record in log.read(topic, partition)]


def committed_groups(log: streamlog.StreamLog) -> dict[tuple[str, str, int], int]:
    """What groups committed, by group, topic and partition, out of the records themselves."""
    found: dict[tuple[str, str, int], int] = {}
    for record in log.read("__consumer_offsets"):
        key = OFFSETS.decode_key(record.key)
        if type(key).__name__ == "OffsetCommitKey":
            value = OFFSETS.decode_value(key, record.value)
            found[key.group, key.topic, key.partition] = value.offset
    return found


def test_a_brokers_directory_is_read_and_nothing_else_unless_asked(
    stopped: Stopped, directory: Path
) -> None:
    before = fingerprint(str(directory))
    with streamlog.open(directory) as log:
        assert log.read_only
        with pytest.raises(ReadOnlyError, match=r"broker's.*read_only=False"):
            log.create_topic("more")
        check_what_we_see(stopped, log)
    assert fingerprint(str(directory)) == before


def check_what_we_see(stopped: Stopped, log: streamlog.StreamLog) -> None:
    topics = log.topics()
    assert {name for name, _ in stopped.records} <= set(topics)
    assert (topics["spread"].partitions, topics["__consumer_offsets"].partitions) == (3, 3)
    assert topics["spread"].settings == {**SETTINGS, "max.message.bytes": "600000"}
    described = log.admin.describe_configs(["spread"])["spread"]
    for name in SETTINGS:
        assert described[name].value == stopped.configs[name].value
    for (topic, partition), records in stopped.records.items():
        if topic != "transactions":
            assert read(log, topic, partition) == records, (topic, partition)
    assert committed_groups(log) == {
        (GROUP, topic, partition): offset for (topic, partition), offset in COMMITTED.items()
    }
    check_transactions(stopped, log)


def check_transactions(stopped: Stopped, log: streamlog.StreamLog) -> None:
    """Every record is read, aborted ones too, and no marker; who asks for less is told why."""
    found = [record.value for record in log.read("transactions")]
    assert found == [
        record.value for name in ("kept", "dropped") for record in text_records(name, EACH)
    ]
    assert [r.value for r in stopped.records["transactions", 0]] == found[:EACH]
    place = TopicPartition("transactions", 0)
    for level in ("read_uncommitted", "read_committed"):
        end = log.admin.list_offsets({place: OffsetSpec.LATEST}, isolation_level=level)[place]
        assert end is not None
        assert end.offset == 2 * (EACH + 1)  # each transaction ended with its marker
    undecided = TopicPartition("undecided", 0)
    for level, expected in (("read_uncommitted", EACH), ("read_committed", 0)):
        end = log.admin.list_offsets({undecided: OffsetSpec.LATEST}, isolation_level=level)
        assert end[undecided] is not None
        assert end[undecided].offset == expected
    with pytest.raises(UnsupportedFeatureError, match="aborted"):
        log.consumer("transactions", isolation_level="read_committed")


def test_a_broker_goes_on_after_us_and_we_after_the_broker(
    stopped: Stopped, directory: Path, kafka_jars: KafkaJars, dump_tool: DumpTool
) -> None:
    expected = {place: list(records) for place, records in stopped.records.items()}
    with streamlog.open(directory, read_only=False) as log:
        check_what_we_see(stopped, log)
        write_as_we_do(stopped, log, expected)
    files = [
        path for (topic, p) in expected for path in partition_files(directory / f"{topic}-{p}")
    ]
    assert dump_tool.dump([f for f in files if "codec" not in str(f)]).problems == []
    broker = Broker(kafka_jars, directory.parent)
    broker.start(FEW_PARTITIONS)
    try:
        check_what_the_broker_has(broker, expected)
        assert admin.describe_configs(broker, "spread")["retention.ms"].value == "604800000001"
        check_continued(broker, stopped.producer, 3 * NUMBERED, expected)
        assert client.consume(broker.bootstrap, "undecided") == []
        found = client.committed_offsets(broker.bootstrap, GROUP, COMMITTED)
        assert found == COMMITTED
        client.commit_offsets(broker.bootstrap, GROUP, {("ours", 1): 2})
        broker.stop()
    finally:
        broker.kill()
    with streamlog.open(directory) as log:
        assert not log.read_only  # since it was opened for writing it is ours as well
        for (topic, partition), records in expected.items():
            if topic != "transactions":
                assert read(log, topic, partition) == records, (topic, partition)
        assert len(read(log, "undecided", 0)) == EACH
        assert committed_groups(log)[GROUP, "ours", 1] == 2
        assert [str(each) for each in log.verify() if each.severity == "error"] == []


def write_as_we_do(
    stopped: Stopped, log: streamlog.StreamLog, expected: dict[Place, list[ClientRecord]]
) -> None:
    """A topic, a setting, records everywhere, and the broker's producer continued."""
    log.create_topic("ours", partitions=2, retention_ms=-1, max_message_bytes=2_000_000)
    log.alter_topic("spread", retention_ms=604800000001)
    with log.producer(enable_idempotence=True, compression_type="lz4") as producer:
        for place in (*expected, ("ours", 0), ("ours", 1)):
            for number in range(10):
                topic, partition = place
                producer.send(topic, b"ours %d" % number, b"k", partition=partition)
            producer.flush()
            if place != ("transactions", 0):
                expected[place] = read(log, *place)
            else:
                expected[place] += read(log, *place)[-10:]
    log_of = log.engine().partition("numbered", 0)
    (known, *_) = log.admin.describe_producers([NUMBERED_PLACE])[NUMBERED_PLACE]
    assert tuple(known)[:4] == stopped.producers[0][:4]
    again = wire.numbered_batch(stopped.producer, NUMBERED, numbered(NUMBERED))
    outcome = produce.append(log_of, again, acks=-1, now_ms=wire.NOW_MS)
    assert (outcome.duplicate, outcome.base_offset) == (True, NUMBERED)
    gap = wire.numbered_batch(stopped.producer, 4 * NUMBERED, numbered(0))
    with pytest.raises(OutOfOrderSequenceError):
        produce.append(log_of, gap, acks=-1, now_ms=wire.NOW_MS)
    batch = wire.numbered_batch(stopped.producer, 2 * NUMBERED, numbered(2 * NUMBERED))
    produce.append(log_of, batch, acks=-1, now_ms=wire.NOW_MS)
    expected["numbered", 0] = read(log, "numbered", 0)


def check_what_the_broker_has(broker: Broker, expected: dict[Place, list[ClientRecord]]) -> None:
    known = client.topic_partitions(broker.bootstrap)
    for (topic, partition), records in expected.items():
        assert known[topic] > partition
        found = client.consume(broker.bootstrap, topic, partition)
        assert found == records, (topic, partition)
    assert [
        line for line in broker.complaints if not any(usual in line for usual in USUAL_WARNINGS)
    ] == []


def check_continued(
    broker: Broker,
    producer: ProducerIdentity,
    sequence: int,
    expected: dict[Place, list[ClientRecord]],
) -> None:
    """A producer whose next sequence is `sequence` is known to the broker, and goes on there."""
    at, end = broker.bootstrap, expected["numbered", 0][-1]
    assert end.offset is not None
    last = wire.numbered_batch(producer, sequence - NUMBERED, numbered(sequence - NUMBERED))
    assert wire.produce(at, "numbered", last) == (NO_ERROR, end.offset - NUMBERED + 1)
    gap = wire.numbered_batch(producer, sequence + NUMBERED, numbered(0))
    assert wire.produce(at, "numbered", gap)[0] == OUT_OF_ORDER_SEQUENCE
    batch = wire.numbered_batch(producer, sequence, numbered(sequence))
    assert wire.produce(at, "numbered", batch) == (NO_ERROR, end.offset + 1)
    expected["numbered", 0] = client.consume(at, "numbered")
    assert len(expected["numbered", 0]) == end.offset + 1 + NUMBERED


def test_a_broker_starts_on_a_backup_and_the_log_is_what_it_was(
    stopped: Stopped, directory: Path, kafka_jars: KafkaJars, tmp_path: Path
) -> None:
    """Made while the log is open. What both share is not written to by either."""
    expected = {place: list(records) for place, records in stopped.records.items()}
    broker = Broker(kafka_jars, tmp_path / "node")
    with streamlog.open(directory, read_only=False) as log:
        write_as_we_do(stopped, log, expected)
        log.engine().partition("spread", 0).roll(now_ms=wire.NOW_MS)
        with log.producer() as producer:
            producer.send("spread", b"behind a roll", partition=0).result()
        expected["spread", 0] = read(log, "spread", 0)
        assert log.backup(broker.data).segments_linked > 0
        before = {
            path: path.read_bytes() for path in directory.rglob("*.log") if path.parent != directory
        }
        broker.start(FEW_PARTITIONS)
        try:
            check_what_the_broker_has(broker, expected)
            in_backup = dict(expected)
            check_continued(broker, stopped.producer, 3 * NUMBERED, in_backup)
            assert client.committed_offsets(broker.bootstrap, GROUP, COMMITTED) == COMMITTED
            assert client.consume(broker.bootstrap, "undecided") == []
            client.alter_topics(broker.bootstrap, ["spread"], {"cleanup.policy": "compact"})
            broker.stop()
        finally:
            broker.kill()
        assert {path: path.read_bytes() for path in before} == before
        with pytest.raises(BackupDestinationError):  # it has records of its own now
            log.backup(broker.data)
        assert read(log, "numbered", 0) == expected["numbered", 0]


def test_our_topics_settings_and_producers_are_a_brokers_and_ours_again(
    kafka_jars: KafkaJars, tmp_path: Path
) -> None:
    ours = str(tmp_path / "ours")
    with streamlog.open(ours) as log:
        expected, producer = fill_our_own(log)
        overrides = {name: topic.settings for name, topic in log.topics().items()}
        producers = log.admin.describe_producers([NUMBERED_PLACE])[NUMBERED_PLACE]
    broker = Broker(kafka_jars, tmp_path / "node", node_id=0)
    shutil.copytree(ours, broker.data)
    broker.start(FEW_PARTITIONS)
    try:
        check_what_the_broker_has(broker, expected)
        assert "deleted" not in client.topic_partitions(broker.bootstrap)
        for topic, settings in overrides.items():
            found = admin.describe_configs(broker, topic)
            set_there = {n: e.value for n, e in found.items() if e.source == TOPIC_SOURCE}
            assert set_there == settings, topic
        assert [each[:4] for each in admin.describe_producers(broker, "numbered")] == [
            tuple(each)[:4] for each in producers
        ]
        assert wire.new_identity(broker.bootstrap).producer_id > producer.producer_id
        check_continued(broker, producer, 2 * NUMBERED, expected)
        client.alter_topics(broker.bootstrap, ["spread"], {"segment.bytes": "2097152"})
        client.commit_offsets(broker.bootstrap, GROUP, COMMITTED)
        broker.stop()
    finally:
        broker.kill()
    with streamlog.open(broker.data) as log:
        assert not log.read_only
        for place, records in expected.items():
            assert read(log, *place) == records, place
        assert log.topics()["spread"].settings["segment.bytes"] == "2097152"
        assert set(committed_groups(log).values()) == set(COMMITTED.values())
        again = wire.numbered_batch(producer, 2 * NUMBERED, numbered(2 * NUMBERED))
        log_of = log.engine().partition("numbered", 0)
        outcome = produce.append(log_of, again, acks=-1, now_ms=wire.NOW_MS)
        assert (outcome.duplicate, outcome.base_offset) == (True, 2 * NUMBERED)
        assert [str(each) for each in log.verify() if each.severity == "error"] == []


def fill_our_own(
    log: streamlog.StreamLog,
) -> tuple[dict[Place, list[ClientRecord]], ProducerIdentity]:
    """Topics of several partitions and codecs, changed and deleted ones, and a known producer."""
    log.create_topic("spread", partitions=2, **{**SETTINGS, "cleanup.policy": "compact,delete"})
    log.create_partitions("spread", 3)
    log.alter_topic("spread", message_timestamp_type=None, max_message_bytes=700_000)
    for codec in CODECS:
        log.create_topic(topic_of(codec))
        with log.producer(compression_type=codec) as producer:
            for record in binary_records():
                sent = (record.value, record.key, list(record.headers))
                producer.send(topic_of(codec), *sent, timestamp_ms=record.timestamp)
    with log.producer(enable_idempotence=True) as producer:
        for number in range(60):
            producer.send("spread", b"%d" % number, b"key %d" % number, partition=number % 3)
    log.create_topic("deleted")
    log.delete_topic("deleted")
    log.create_topic("numbered", min_insync_replicas=1)
    identity = ProducerIdentity(log.engine().producer_ids.next_id(), 0)
    for sequence in (0, NUMBERED):
        batch = wire.numbered_batch(identity, sequence, numbered(sequence))
        produce.append(log.engine().partition("numbered", 0), batch, acks=-1, now_ms=wire.NOW_MS)
    places = [("spread", p) for p in range(3)] + [(topic_of(codec), 0) for codec in CODECS]
    return {place: read(log, *place) for place in [*places, ("numbered", 0)]}, identity
