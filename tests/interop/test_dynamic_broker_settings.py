"""A broker's settings changed while it runs: told, refused and taken over as by a real one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import streamlog
from tests.interop.rig.broker import Broker
from tests.interop.rig.jars import KafkaJars
from tests.wire import requests
from tests.wire.connection import Connection

pytestmark = pytest.mark.interop

BROKER = 4
SET, DELETE, APPEND, SUBTRACT = range(4)
OF_NODE, OF_ALL = 2, 3
PATIENCE_S = 30.0
ALL, OWN = "", "own"

#: Two values for each: of all nodes, and of one. Kafka keeps text as it was given.
VALUES = {
    "log.cleaner.backoff.ms": ("14000", "13000"),
    "log.cleaner.dedupe.buffer.size": ("130000000", "120000000"),
    "log.cleaner.io.buffer.load.factor": ("0.8", "0.7"),
    "log.cleaner.io.max.bytes.per.second": ("5000000.5", "4000000.5"),
    "log.retention.ms": ("9000000000", "8000000000"),
    "max.connections": ("77", "66"),
    "message.max.bytes": ("2000000", "1900000"),
}

#: Asked of a broker and of a listener: whose setting, which, and what is done with it. Kafka judges
#: a value of all nodes by what it makes of the one that is asked, which may have its own.
REQUESTS = [
    *((ALL, name, SET, values[0]) for name, values in VALUES.items()),
    *((OWN, name, SET, values[1]) for name, values in VALUES.items()),
    (OWN, "max.connections", DELETE, None),
    (ALL, "message.max.bytes", DELETE, None),
    (OWN, "num.partitions", SET, "3"),
    (ALL, "num.partitions", SET, "3"),
    (ALL, "num.partitions", DELETE, None),
    (ALL, "message.max.bytes", SET, "x"),
    (OWN, "message.max.bytes", SET, "-5"),
    (ALL, "message.max.bytes", SET, ""),
    (ALL, "message.max.bytes", SET, None),
    (ALL, "message.max.bytes", APPEND, "5"),
    (OWN, "message.max.bytes", SUBTRACT, "5"),
    (ALL, "message.max.bytes", 7, "5"),
    (ALL, "max.connections", SET, "0"),
    (OWN, "log.retention.ms", SET, "0"),
    (ALL, "log.cleaner.backoff.ms", SET, "-1"),
    (OWN, "log.cleaner.dedupe.buffer.size", SET, "1000"),
    (ALL, "min.insync.replicas", DELETE, None),
    ("99", "message.max.bytes", SET, "3"),
    ("abc", "message.max.bytes", SET, "3"),
]


def ask(
    connection: Connection, node: str, whose: str, setting: str, operation: int, value: Any
) -> int:
    name = node if whose == OWN else whose
    fields = requests.alter_config(BROKER, name, setting, operation, value)
    code: int = connection.ask("IncrementalAlterConfigs", 1, **fields).responses[0].error_code
    return code


def described(connection: Connection, name: str) -> dict[str, Any]:
    """What can be changed, and where it was; not what it was before."""
    fields = requests.describe_configs(BROKER, name, include_synonyms=True)
    (result,) = connection.ask("DescribeConfigs", 4, **fields).results
    return {
        each.name: (
            each.value,
            each.config_source,
            each.config_type,
            each.read_only,
            [
                (one.name, one.value, one.source)
                for one in each.synonyms
                if one.source in (OF_NODE, OF_ALL)
            ],
        )
        for each in result.configs
        if each.name in VALUES
    }


def all_answers(bootstrap: str, node: str) -> list[Any]:
    """The code of each request, and what is told when they were all made."""
    with Connection(bootstrap) as connection:
        answers: list[Any] = [(each, ask(connection, node, *each)) for each in REQUESTS]
        answers.append(settled(connection, node))
        answers.append(described(connection, ""))
        fields = {"resource_types": [BROKER]}
        listed = connection.ask("ListConfigResources", 1, **fields).config_resources
        answers.append([each.resource_name == node for each in listed])
        for name in VALUES:
            for whose in (ALL, OWN):
                assert ask(connection, node, whose, name, DELETE, None) == 0
        return answers


def settled(connection: Connection, node: str) -> dict[str, Any]:
    """A broker answers before it has heard of it itself."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = described(connection, node)
        told = {name: [text for _, text, _ in entry[4]] for name, entry in found.items()}
        expected = {name: [own, of_all] for name, (of_all, own) in VALUES.items()}
        expected |= {"max.connections": ["77"], "message.max.bytes": ["1900000"]}
        if told == expected:
            return found
        assert time.monotonic() < deadline, told


def test_the_answers_are_the_same(broker: Broker) -> None:
    theirs = all_answers(broker.bootstrap, "1")
    with streamlog.open(":memory:") as log, log.listen() as listener:
        ours = all_answers(listener.bootstrap_servers, "0")
    assert ours == theirs


def test_a_broker_takes_them_over(kafka_jars: KafkaJars, tmp_path: Path) -> None:
    data = tmp_path / "broker" / "data"
    with (
        streamlog.open(str(data)) as log,
        log.listen() as listener,
        Connection(listener.bootstrap_servers) as connection,
    ):
        for each in REQUESTS:
            ask(connection, "0", *each)
        ours = described(connection, "0"), described(connection, "")
    broker = Broker(kafka_jars, tmp_path / "broker", node_id=0)
    try:
        broker.start()
        with Connection(broker.bootstrap) as connection:
            assert (settled(connection, "0"), described(connection, "")) == ours
    finally:
        broker.kill()
