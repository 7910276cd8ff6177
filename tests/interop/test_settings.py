"""Settings of topics, told by us and by a real broker: of our directories, and of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamlog
from streamlog.broker.metadata_image import BROKER_RESOURCE
from streamlog.config import KAFKA_DEFAULTS
from streamlog.config.config_entry import ConfigEntry
from streamlog.config.describing import describe_topic_settings
from streamlog.protocol import message
from tests.interop.rig import admin, client
from tests.interop.rig.admin import BrokerEntry
from tests.interop.rig.broker import Broker
from tests.interop.rig.jars import KafkaJars

pytestmark = pytest.mark.interop

# Kafka 4.4 has them, the broker of these tests has not.
LATER = {"errors.deadletterqueue.group.enable", "remote.copy.lag.ms", "remote.copy.lag.bytes"}

# A value for each setting that is not its default. A broker without tiers that is given
# `remote.storage.enable` says that it cannot serve the topic.
OTHER_VALUES = {
    "cleanup.policy": "compact,delete",
    "compression.type": "zstd",
    "compression.gzip.level": "7",
    "compression.lz4.level": "12",
    "compression.zstd.level": "-5",
    "delete.retention.ms": "1000",
    "file.delete.delay.ms": "2000",
    "flush.messages": "3000",
    "flush.ms": "4000",
    "follower.replication.throttled.replicas": "0:0,0:1",
    "index.interval.bytes": "500",
    "leader.replication.throttled.replicas": "*",
    "local.retention.bytes": "600",
    "local.retention.ms": "700",
    "max.compaction.lag.ms": "80000",
    "max.message.bytes": "90000",
    "message.timestamp.after.max.ms": "1000000",
    "message.timestamp.before.max.ms": "1100000",
    "message.timestamp.type": "LogAppendTime",
    "min.cleanable.dirty.ratio": "2.5E-4",
    "min.compaction.lag.ms": "120",
    "min.insync.replicas": "2",
    "preallocate": "true",
    "remote.log.copy.disable": "true",
    "remote.log.delete.on.disable": "true",
    "retention.bytes": "1300000000",
    "retention.ms": "1400000000",
    "segment.bytes": "15000000",
    "segment.index.bytes": "160000",
    "segment.jitter.ms": "170",
    "segment.ms": "180000",
    "unclean.leader.election.enable": "true",
}


def told_by_the_broker(entries: dict[str, BrokerEntry]) -> dict[str, tuple[str, str]]:
    return {name: (entry.value, entry.source) for name, entry in entries.items()}


def told_by_us(entries: dict[str, ConfigEntry]) -> dict[str, tuple[str, str]]:
    """Also what the broker is started with in these tests: it deletes nothing by age."""
    told = {name: (entry.value, entry.source.name) for name, entry in entries.items()}
    if told["retention.ms"] == ("-1", "DEFAULT_CONFIG"):
        told["retention.ms"] = ("-1", "STATIC_BROKER_CONFIG")
    return {name: found for name, found in told.items() if name not in LATER}


def test_our_table_is_the_brokers(broker: Broker) -> None:
    client.create_topics(broker.bootstrap, {"plain": 1})
    theirs = admin.describe_configs(broker, "plain")
    ours = describe_topic_settings({}, defaults=KAFKA_DEFAULTS)
    assert set(ours) - LATER == set(theirs)
    assert {name: ours[name].type.name for name in theirs} == {
        name: entry.type for name, entry in theirs.items()
    }
    hours = theirs["retention.ms"].synonyms[-1]
    assert hours == ("log.retention.hours", "168", "DEFAULT_CONFIG")
    defaults = {name: entry.value for name, entry in theirs.items()}
    defaults["retention.ms"] = str(int(hours[1]) * 3_600_000)
    assert {name: ours[name].default for name in theirs} == defaults


# -------------------------------------------------------------------- our directory


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Topics whose settings were given, changed, and taken away again, and a cluster's default."""
    path = tmp_path_factory.mktemp("ours") / "data"
    with streamlog.open(str(path)) as log:
        log.create_topic("plain")
        log.create_topic("created", **OTHER_VALUES)
        log.create_topic("altered", flush_ms=5)
        log.alter_topic("altered", **{**OTHER_VALUES, "flush.ms": None})
        log.create_topic("restored", **OTHER_VALUES)
        log.alter_topic("restored", **dict.fromkeys(OTHER_VALUES))
        log.create_topic("listed")
        log.create_topic("emptied", cleanup_policy="compact", internal_segment_bytes=5000)
        log.admin.alter_configs(
            {
                "listed": {"cleanup_policy": streamlog.AlterConfigOp("append", "compact")},
                "emptied": {"cleanup_policy": streamlog.AlterConfigOp("subtract", "compact")},
            }
        )
        config = message("ConfigRecord").Value
        default = config(
            resource_type=BROKER_RESOURCE, resource_name="", name="log.roll.ms", value="8888888"
        )
        log.engine().metadata.change(lambda _: [default])
        with log.producer() as producer:
            for topic in ("plain", "created", "altered"):
                producer.send(topic, b"value", key=b"key")
    return path


TOPICS = ("plain", "created", "altered", "restored", "listed", "emptied")


@pytest.fixture(scope="module")
def adopted(
    ours: Path, kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """A broker that is started on a copy of our directory."""
    broker = Broker(kafka_jars, tmp_path_factory.mktemp("adopted"), node_id=0)
    shutil.copytree(ours, broker.data)
    broker.start()
    yield broker
    broker.kill()


def described(path: Path) -> dict[str, dict[str, ConfigEntry]]:
    with streamlog.open(str(path), read_only=True) as log:
        return log.admin.describe_configs(name for name in log.topics() if name[:2] != "__")


def test_a_broker_tells_of_our_topics_what_we_tell(ours: Path, adopted: Broker) -> None:
    found = described(ours)
    assert set(found) == set(TOPICS)
    for topic in TOPICS:
        theirs = told_by_the_broker(admin.describe_configs(adopted, topic))
        assert theirs == told_by_us(found[topic]), topic
    set_here = {name: (value, "DYNAMIC_TOPIC_CONFIG") for name, value in OTHER_VALUES.items()}
    assert set_here.items() <= told_by_us(found["created"]).items()
    assert told_by_us(found["plain"])["segment.ms"] == ("8888888", "DYNAMIC_DEFAULT_BROKER_CONFIG")
    assert told_by_us(found["restored"]) == told_by_us(found["plain"])
    assert [line for line in adopted.complaints if "fault" in line] == []
    for topic in ("plain", "created", "altered"):
        assert [r.value for r in client.consume(adopted.bootstrap, topic)] == [b"value"]


def test_what_its_tools_change_of_our_topics_we_tell_too(adopted: Broker) -> None:
    entity = ("--entity-type", "topics", "--entity-name")
    changed = {"flush.ms": "77", "cleanup.policy": "compact,delete", "max.message.bytes": "4321"}
    admin.alter(adopted, (*entity, "plain"), changed)
    admin.alter(adopted, (*entity, "created"), {"segment.ms": "99"}, list(OTHER_VALUES)[3:9])
    theirs = {topic: told_by_the_broker(admin.describe_configs(adopted, topic)) for topic in TOPICS}
    adopted.stop()
    try:
        with streamlog.open(str(adopted.data)) as log:
            found = log.admin.describe_configs(TOPICS)
            assert {topic: told_by_us(found[topic]) for topic in TOPICS} == theirs
            assert log.alter_topic("plain", flush_ms=None).settings == {
                "cleanup.policy": "compact,delete",
                "max.message.bytes": "4321",
            }
            with pytest.raises(streamlog.errors.RecordTooLargeError):
                log.producer().send("plain", b"x" * 5000, key=b"k")
    finally:
        adopted.start()
    theirs = told_by_the_broker(admin.describe_configs(adopted, "plain"))
    assert theirs["flush.ms"][1] == "DEFAULT_CONFIG"
    assert theirs["max.message.bytes"] == ("4321", "DYNAMIC_TOPIC_CONFIG")


# -------------------------------------------------------------------- its directory


@pytest.fixture(scope="module")
def theirs(
    kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, dict[str, BrokerEntry]]]]:
    """A broker's directory whose topics and defaults its own tools made, and what it told."""
    broker = Broker(kafka_jars, tmp_path_factory.mktemp("theirs"))
    broker.format()
    broker.start()
    try:
        admin.create_topic(broker, "plain", {})
        admin.create_topic(broker, "every", OTHER_VALUES)
        admin.create_topic(broker, "altered", {"flush.ms": "5", "segment.ms": "6"})
        topic = ("--entity-type", "topics", "--entity-name", "altered")
        admin.alter(broker, topic, {"segment.ms": "7", "retention.ms": "8"}, ["flush.ms"])
        cluster = ("--entity-type", "brokers", "--entity-default")
        admin.alter(
            broker,
            cluster,
            {
                "log.segment.bytes": "2000000",
                "log.cleanup.policy": "compact",
                "log.roll.ms": "3000000",
                "message.max.bytes": "400000",
            },
        )
        node = ("--entity-type", "brokers", "--entity-name", "1")
        admin.alter(broker, node, {"message.max.bytes": "500000", "log.retention.ms": "-1"})
        told = {
            name: admin.describe_configs(broker, name) for name in ("plain", "every", "altered")
        }
        broker.stop()
        yield broker.data, told
    finally:
        broker.kill()


def test_of_a_brokers_topics_we_tell_what_it_told(
    theirs: tuple[Path, dict[str, dict[str, BrokerEntry]]],
) -> None:
    path, told = theirs
    found = described(path)
    assert {name: told_by_us(entries) for name, entries in found.items()} == {
        name: told_by_the_broker(entries) for name, entries in told.items()
    }
    plain = told_by_us(found["plain"])
    assert plain["max.message.bytes"] == ("500000", "DYNAMIC_BROKER_CONFIG")
    assert plain["segment.ms"] == ("3000000", "DYNAMIC_DEFAULT_BROKER_CONFIG")
    for name, entries in told.items():
        for setting, entry in entries.items():
            dynamic = [each for each in entry.synonyms if each[2].startswith("DYNAMIC")]
            assert dynamic == [
                (each.name, each.value, each.source.name)
                for each in found[name][setting].synonyms[:-1]
            ], (name, setting)


def test_a_brokers_settings_are_obeyed(
    theirs: tuple[Path, dict[str, dict[str, BrokerEntry]]], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(theirs[0], tmp_path / "data"))
    with streamlog.open(str(copy), read_only=False) as log, log.producer(acks=1) as producer:
        with pytest.raises(streamlog.errors.RecordTooLargeError, match="max_message_bytes=500000"):
            producer.send("plain", b"x" * 600_000, key=b"k")
        with pytest.raises(streamlog.errors.InvalidRecordError, match="compacted"):
            producer.send("plain", b"x")
        for _ in range(6):
            producer.send("plain", b"x" * 450_000, key=b"k").result()
        assert len(list((copy / "plain-0").glob("*.log"))) == 2
