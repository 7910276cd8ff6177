"""Two processes listen on one directory: their clients are in one group; its coordinator dies."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator

import pytest

import streamlog
from streamlog.clients.stream_log import StreamLog
from tests.wire import requests
from tests.wire.connection import Connection
from tests.wire.consumers import CONSUMERS
from tests.wire.crews import Crew
from tests.wire.test_serve import serving

PARTITIONS = 4
TOPIC = "flights"


@pytest.fixture(params=CONSUMERS, ids=lambda kind: kind.name)
def crew(request: pytest.FixtureRequest, log: StreamLog) -> Iterator[Crew]:
    crew = Crew(request.param, "crew", TOPIC)
    yield crew
    crew.close()


@pytest.fixture
def log(directory: str) -> Iterator[StreamLog]:
    """The directory, in this process, which does not listen."""
    with streamlog.open(directory) as log:
        log.create_topic(TOPIC, PARTITIONS)
        yield log


@pytest.fixture
def settings(crew: Crew) -> list[str]:
    delay_ms = crew.kind.initial_delay_ms
    return ["--config", f"group.initial.rebalance.delay.ms={delay_ms}"]


def produce(log: StreamLog, first: int) -> set[bytes]:
    values = [b"%d" % number for number in range(first, first + 200)]
    with log.producer() as producer:
        for partition in range(PARTITIONS):
            mine = values[partition::PARTITIONS]
            producer.send_many(TOPIC, mine, partition=partition).result()
    return set(values)


def coordinator(bootstrap: str) -> str:
    """Where the group's coordinator listens, as that listener says."""
    with Connection(bootstrap) as connection:
        found = connection.ask("FindCoordinator", 3, key="crew")
        assert found.error_code == 0
        return f"{found.host}:{found.port}"


def nodes(bootstrap: str) -> list[str]:
    """Where every node listens, as that listener says, the leader of all partitions first."""
    with Connection(bootstrap) as connection:
        found = connection.ask("Metadata", 12, **requests.metadata(TOPIC))
        leaders = {each.leader_id for each in found.topics[0].partitions}
        brokers = sorted(found.brokers, key=lambda each: each.node_id not in leaders)
        assert len(leaders) == 1
        return [f"{each.host}:{each.port}" for each in brokers]


def test_one_group_at_two_listeners(
    crew: Crew, log: StreamLog, directory: str, settings: list[str]
) -> None:
    with serving(directory, *settings) as (_, one), serving(directory, *settings) as (_, other):
        assert coordinator(one) == coordinator(other) == one
        assert nodes(one) == nodes(other) == [one, other]
        crew.hire("a", one)
        crew.wait_until_shared(PARTITIONS)
        crew.hire("b", other)
        crew.wait_until_shared(PARTITIONS)
        crew.wait_until_processed(produce(log, 0))
        crew.close()


def close_forgotten_sockets() -> None:
    """kafka-python leaves those whose connection was refused to the garbage collector."""
    for each in gc.get_objects():
        if type(each) is not socket.socket or each.family != socket.AF_INET or each.fileno() < 0:
            continue
        if each.getsockname()[0] == "0.0.0.0":
            each.close()


# The garbage collector may come by before that, too.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_group_whose_coordinator_is_killed(
    crew: Crew, log: StreamLog, directory: str, settings: list[str]
) -> None:
    """The other listener takes it over, with who was at the dead one; everything is processed."""
    with serving(directory, *settings) as (process, one), serving(directory, *settings) as served:
        other = served[1]
        assert coordinator(one) == one
        crew.hire("a", other)
        crew.wait_until_shared(PARTITIONS)
        crew.hire("b", one)
        crew.wait_until_shared(PARTITIONS)
        values = produce(log, 0)
        process.kill()
        values |= produce(log, 200)
        crew.wait_until_processed(values)
        crew.hire("c", other)
        crew.wait_until_shared(PARTITIONS)
        crew.wait_until_processed(produce(log, 400))
        assert coordinator(other) == other
        assert nodes(other) == [other]
        crew.close()
    close_forgotten_sockets()
