"""Fixtures over Kafka's own tools and broker. Java starts slowly: both are made once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.rig.broker import Broker
from tests.interop.rig.dump import DumpTool
from tests.interop.rig.jars import KafkaJars, fetch_kafka


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
