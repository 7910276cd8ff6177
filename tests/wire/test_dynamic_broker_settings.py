"""Settings of a broker that are changed while it runs: kept, described, obeyed (KIP-226)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

import streamlog
from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from tests.broker.test_topic_configs import set_for_brokers
from tests.wire import requests
from tests.wire.connection import Connection
from tests.wire.test_broker_settings import described
from tests.wire.test_serve import serving

BROKER = 4
SET, DELETE, APPEND, SUBTRACT = range(4)
INVALID_CONFIG, INVALID_REQUEST = 40, 42
OF_NODE, OF_ALL, STATIC, DEFAULT = 2, 3, 4, 5

#: Another value for each, as it is told.
OTHER_VALUES = {
    "log.cleaner.backoff.ms": "14000",
    "log.cleaner.dedupe.buffer.size": "130000000",
    "log.cleaner.io.buffer.load.factor": "0.8",
    "log.cleaner.io.max.bytes.per.second": "5000000.0",
    "log.retention.ms": "9000000",
    "max.connections": "77",
    "message.max.bytes": "2000000",
}


def alter(connection: Connection, name: str, setting: str, value: str | None, **fields: Any) -> int:
    """Set it, or delete it where the value is None; the answer's code."""
    operation = SET if value is not None else DELETE
    return altered(connection, name, setting, operation, value, **fields)


def altered(
    connection: Connection,
    name: str,
    setting: str,
    operation: int,
    value: str | None,
    **fields: Any,
) -> int:
    answer = connection.ask(
        "IncrementalAlterConfigs",
        1,
        **requests.alter_config(BROKER, name, setting, operation, value, **fields),
    )
    code: int = answer.responses[0].error_code
    return code


def create(connection: Connection, topic: str) -> dict[str, tuple[str, int]]:
    """Make a topic; its settings and where they come from."""
    topics = [requests.create_topic(topic)]
    answer = connection.ask("CreateTopics", 7, topics=topics, timeout_ms=30_000)
    assert answer.topics[0].error_code == 0
    return {each.name: (each.value, each.config_source) for each in answer.topics[0].configs}


# -------------------------------------------------------------------- told


def test_what_may_be_changed_is_not_read_only(connection: Connection) -> None:
    found = described(connection, BROKER, "0").values()
    assert {each.name for each in found if not each.read_only} == OTHER_VALUES.keys()


@pytest.mark.parametrize("setting", OTHER_VALUES)
def test_a_nodes_own_comes_before_that_of_all(connection: Connection, setting: str) -> None:
    value = OTHER_VALUES[setting]
    before = described(connection, BROKER, "0")[setting]
    assert alter(connection, "", setting, value) == 0
    everyone = described(connection, BROKER, "0")[setting]
    assert (everyone.value, everyone.config_source) == (value, OF_ALL)
    own = str(before.value) if setting == "log.cleaner.io.buffer.load.factor" else "7654321"
    assert alter(connection, "0", setting, own) == 0
    entry = described(connection, BROKER, "0")[setting]
    sources = [each.source for each in entry.synonyms]
    assert sources == [OF_NODE, OF_ALL, *(each.source for each in before.synonyms)]
    assert [each.value for each in entry.synonyms][1] == value
    assert float(entry.value) == float(own)
    of_all = described(connection, BROKER, "")
    assert (of_all[setting].value, of_all[setting].config_source) == (value, OF_ALL)
    assert of_all.keys() == {setting, "min.insync.replicas"}
    for name in ("0", ""):
        assert alter(connection, name, setting, None) == 0
    assert described(connection, BROKER, "0")[setting] == before


def test_what_nobody_knows_may_be_a_secret(connection: Connection, log: StreamLog) -> None:
    set_for_brokers(log.engine(), "ssl.keystore.password", value="secret")
    entry = described(connection, BROKER, "")["ssl.keystore.password"]
    assert (entry.value, entry.synonyms[0].value, entry.is_sensitive) == (None, None, True)


def test_nodes_are_listed(connection: Connection, log: StreamLog) -> None:
    alter(connection, "", "max.connections", "9")
    with log.listen():
        listed = connection.ask("ListConfigResources", 1, resource_types=[BROKER]).config_resources
    assert [(each.resource_name, each.resource_type) for each in listed] == [("0", 4), ("1", 4)]


# -------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("name", "setting", "operation", "value", "code"),
    [
        ("", "num.partitions", SET, "3", INVALID_REQUEST),
        ("0", "num.partitions", SET, "3", INVALID_REQUEST),
        ("", "offsets.retention.minutes", SET, "3", INVALID_REQUEST),
        ("", "message.max.bytes", SET, "x", INVALID_REQUEST),
        ("0", "message.max.bytes", SET, "-5", INVALID_REQUEST),
        ("", "message.max.bytes", SET, "", INVALID_REQUEST),
        ("", "message.max.bytes", SET, None, INVALID_REQUEST),
        ("", "message.max.bytes", 7, "5", INVALID_REQUEST),
        ("", "message.max.bytes", APPEND, "5", INVALID_CONFIG),
        ("", "message.max.bytes", SUBTRACT, "5", INVALID_CONFIG),
        ("", "max.connections", SET, "0", INVALID_REQUEST),
        ("", "log.retention.ms", SET, "0", INVALID_REQUEST),
        ("", "log.cleaner.backoff.ms", SET, "-1", INVALID_REQUEST),
        ("", "log.cleaner.dedupe.buffer.size", SET, "1000", INVALID_REQUEST),
        ("", "min.insync.replicas", DELETE, None, INVALID_CONFIG),
        ("99", "message.max.bytes", SET, "3", INVALID_REQUEST),
        ("abc", "message.max.bytes", SET, "3", INVALID_REQUEST),
        # A broker takes these.
        ("", "no.such.thing", SET, "3", INVALID_REQUEST),
        ("", "message_max_bytes", SET, "3", INVALID_REQUEST),
        ("", "log.retention.ms", SET, "-7", INVALID_REQUEST),
        ("", "log.cleaner.backoff.ms", SET, "0", INVALID_REQUEST),
        ("", "log.cleaner.io.buffer.load.factor", SET, "0", INVALID_REQUEST),
        ("", "log.cleaner.io.buffer.load.factor", SET, "NaN", INVALID_REQUEST),
    ],
)
def test_what_a_broker_refuses(
    connection: Connection,
    log: StreamLog,
    name: str,
    setting: str,
    operation: int,
    value: str | None,
    code: int,
) -> None:
    end = log.engine().metadata_end()
    assert altered(connection, name, setting, operation, value) == code
    assert log.engine().metadata_end() == end


def test_one_bad_value_changes_nothing(connection: Connection, log: StreamLog) -> None:
    api, end = "IncrementalAlterConfigs", log.engine().metadata_end()
    changes = [
        requests.struct(api, "AlterableConfig", "max.connections", SET, "9"),
        requests.struct(api, "AlterableConfig", "message.max.bytes", SET, "many"),
    ]
    resources = [requests.struct(api, "AlterConfigsResource", BROKER, "", changes)]
    assert connection.ask(api, 1, resources=resources).responses[0].error_code == INVALID_REQUEST
    assert log.engine().metadata_end() == end


def test_only_validated(connection: Connection, log: StreamLog) -> None:
    end = log.engine().metadata_end()
    assert alter(connection, "", "max.connections", "9", validate_only=True) == 0
    assert alter(connection, "", "max.connections", "x", validate_only=True) == INVALID_REQUEST
    assert log.engine().metadata_end() == end


def test_what_was_never_set_may_be_deleted(connection: Connection, log: StreamLog) -> None:
    end = log.engine().metadata_end()
    for setting in ("max.connections", "num.partitions", "no.such.thing"):
        assert alter(connection, "0", setting, None) == 0
    assert log.engine().metadata_end() == end


@pytest.mark.parametrize("name", ["99", "abc", "1"])
def test_of_another_node_nothing_is_said(connection: Connection, name: str) -> None:
    answer = connection.ask("DescribeConfigs", 4, **requests.describe_configs(BROKER, name))
    assert answer.results[0].error_code == INVALID_REQUEST


def test_a_node_is_the_number_that_it_is(connection: Connection) -> None:
    assert alter(connection, "00", "max.connections", "9") == 0
    assert described(connection, BROKER, "0")["max.connections"].config_source == OF_NODE


# -------------------------------------------------------------------- replaced


def test_all_are_replaced_but_what_has_to_be_there(connection: Connection) -> None:
    def replace(**settings: str) -> int:
        resource = requests.replace_configs("", **settings)["resources"][0]
        resource.resource_type = BROKER
        answer = connection.ask("AlterConfigs", 1, resources=[resource])
        code: int = answer.responses[0].error_code
        return code

    assert alter(connection, "", "max.connections", "9") == 0
    assert replace(num_partitions="3") == INVALID_REQUEST
    assert replace(message_max_bytes="2000") == 0
    assert {name: entry.value for name, entry in described(connection, BROKER, "").items()} == {
        "message.max.bytes": "2000",
        "min.insync.replicas": "1",
    }


# -------------------------------------------------------------------- by its clients


def by_confluent_kafka(bootstrap: str) -> str:
    from confluent_kafka.admin import (
        AdminClient,
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        ResourceType,
    )

    admin = AdminClient({"bootstrap.servers": bootstrap})
    change = ConfigEntry("max.connections", "99", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.BROKER, "0", incremental_configs=[change])
    admin.incremental_alter_configs([resource])[resource].result(30)
    entry = admin.describe_configs([resource])[resource].result(30)["max.connections"]
    assert not entry.is_read_only
    value: str = entry.value
    return value


def by_kafka_python(bootstrap: str) -> str:
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.BROKER, "0", {"max.connections": "99"})]
        )
        found = admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "0")])
        value: str = found["broker"]["0"]["max.connections"]["value"]
        return value
    finally:
        admin.close()


@pytest.mark.parametrize("change", [by_confluent_kafka, by_kafka_python])
def test_administrators_change_it(listener: Listener, change: Callable[[str], str]) -> None:
    assert change(listener.bootstrap_servers) == "99"


# -------------------------------------------------------------------- obeyed


def test_topics_have_the_new_limits(log: StreamLog) -> None:
    with log.listen() as listener, Connection(listener.bootstrap_servers) as connection:
        assert create(connection, "before")["retention.ms"] == ("604800000", 1)
        alter(connection, "", "log.retention.ms", "8000000")
        alter(connection, "", "message.max.bytes", "400")
        made = create(connection, "after")
        assert made["retention.ms"] == ("8000000", OF_ALL)
        assert made["max.message.bytes"] == ("400", OF_ALL)
        too_large = requests.produce("after", bytes(requests.batch([bytes(500)])))
        answer = connection.ask("Produce", 9, **too_large)
        assert answer.responses[0].partition_responses[0].error_code == 10
        assert log.admin.describe_configs(["before"])["before"]["retention.ms"].value == "604800000"
        alter(connection, "", "log.retention.ms", None)
        assert create(connection, "later")["retention.ms"] == ("604800000", 1)


def test_a_topic_has_what_is_its_makers_own(log: StreamLog) -> None:
    """The second listener's, which topics of the first do not have."""
    with log.listen() as first, log.listen() as second:
        with Connection(second.bootstrap_servers) as connection:
            assert alter(connection, "1", "log.retention.ms", "70000") == 0
            assert alter(connection, "", "log.retention.ms", "80000") == 0
            assert create(connection, "of-second")["retention.ms"] == ("70000", 1)
            found = alter(connection, "1", "log.cleaner.backoff.ms", "7")
            assert found == INVALID_REQUEST, "it is the directory's"
        with Connection(first.bootstrap_servers) as connection:
            assert create(connection, "of-first")["retention.ms"] == ("80000", OF_ALL)


def test_connections_over_the_limit_are_refused_by_every_listener(directory: str) -> None:
    """By those of other processes, too, and until the limit is lifted."""
    with (
        serving(directory) as (_, elsewhere),
        streamlog.open(directory) as log,
        log.listen() as listener,
        Connection(elsewhere) as connection,
        ExitStack() as stack,
    ):
        assert alter(connection, "", "max.connections", "2") == 0
        for bootstrap, present in ((listener.bootstrap_servers, 0), (elsewhere, 1)):
            for _ in range(present, 2):
                stack.enter_context(Connection(bootstrap)).ask("ApiVersions", 0)
            with Connection(bootstrap) as surplus:
                assert surplus.is_closed_by_peer()
        assert alter(connection, "", "max.connections", None) == 0
        with Connection(listener.bootstrap_servers) as third:
            third.ask("ApiVersions", 0)


def test_it_outlives_the_process(directory: str) -> None:
    for retention in ("604800000", "5000000"):
        with (
            streamlog.open(directory) as log,
            log.listen() as listener,
            Connection(listener.bootstrap_servers) as connection,
        ):
            assert described(connection, BROKER, "0")["log.retention.ms"].value == retention
            assert alter(connection, "", "log.retention.ms", "5000000") == 0
            assert alter(connection, "0", "log.cleaner.backoff.ms", "70") == 0
    with streamlog.open(directory) as log:
        assert log.engine().broker_configs.of_directory().log_cleaner_backoff_ms == 70
