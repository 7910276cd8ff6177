"""Fixtures over Kafka's own tools and broker. Java starts slowly: both are made once a session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.dump import DumpTool
from tests.interop.rig.jars import KafkaJars, fetch_kafka
from tests.interop.rig.samples import CODECS, BrokerData, binary_records, long_records, text_records


@pytest.fixture(scope="session")
def kafka_jars() -> KafkaJars:
    return fetch_kafka()


@pytest.fixture(scope="session")
def dump_tool(kafka_jars: KafkaJars) -> DumpTool:
    return DumpTool(kafka_jars)


@pytest.fixture(scope="session")
def broker(kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that is running. A test that stops it to get at its files starts it again."""
    broker = Broker(kafka_jars, tmp_path_factory.mktemp("broker"))
    broker.format()
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def broker_data(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> BrokerData:
    """What librdkafka sends: a topic of text (idempotent) and one of any bytes for each codec.

    And `long-none`, which has several segments.
    """
    records = {f"text-{codec}": text_records(codec) for codec in CODECS}
    records |= {f"binary-{codec}": binary_records() for codec in CODECS}
    records["long-none"] = long_records()
    settings = {"index.interval.bytes": "1024", "segment.bytes": str(1 << 20)}
    client.create_topics(broker.bootstrap, dict.fromkeys(records, 1), settings)
    sent = {
        topic: client.produce(
            broker.bootstrap,
            topic,
            to_send,
            codec=topic.partition("-")[2],
            idempotent=not topic.startswith("binary"),
        )
        for topic, to_send in records.items()
    }
    broker.stop()
    copy = tmp_path_factory.mktemp("stopped") / "data"
    shutil.copytree(broker.data, copy)
    broker.start()
    return BrokerData(copy, sent)
