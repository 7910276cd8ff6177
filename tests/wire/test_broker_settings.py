"""Settings of brokers, of coordinators and of groups: given, described, altered, obeyed."""

from __future__ import annotations

from typing import Any

import pytest

import streamlog
from streamlog.clients.stream_log import StreamLog
from streamlog.config.listener_settings import parse_broker_settings
from streamlog.errors import ConfigError, UnsupportedFeatureError
from tests.wire import group_requests as groups
from tests.wire import requests
from tests.wire.connection import Connection

BROKER, GROUP = 4, 32
INVALID_SESSION_TIMEOUT, INVALID_CONFIG, INVALID_REQUEST = 26, 40, 42
HEARTBEATS = "consumer.heartbeat.interval.ms"


def described(connection: Connection, kind: int, name: str) -> dict[str, Any]:
    (result,) = connection.ask(
        "DescribeConfigs", 4, **requests.describe_configs(kind, name, include_synonyms=True)
    ).results
    assert result.error_code == 0
    return {each.name: each for each in result.configs}


def altered(connection: Connection, name: str, operation: int, value: str | None) -> int:
    answer = connection.ask(
        "IncrementalAlterConfigs", 1, **requests.alter_config(GROUP, "wave", name, operation, value)
    )
    code: int = answer.responses[0].error_code
    return code


def test_settings_of_coordinators(log: StreamLog) -> None:
    with (
        log.listen(group_min_session_timeout_ms=50_000) as listener,
        Connection(listener.bootstrap_servers) as connection,
    ):
        refused = connection.ask("JoinGroup", 3, **groups.join("crew"))
        assert refused.error_code == INVALID_SESSION_TIMEOUT
        configs = described(connection, BROKER, "0")
    shortest = configs["group.min.session.timeout.ms"]
    assert (shortest.value, shortest.config_source) == ("50000", 4)
    assert configs["group.consumer.assignors"].value == "uniform,range"
    assert configs["group.initial.rebalance.delay.ms"].value == "0"


def test_settings_that_contradict_each_other(log: StreamLog) -> None:
    with pytest.raises(ConfigError, match="above group_max_session_timeout_ms"):
        log.listen(group_min_session_timeout_ms=5, group_max_session_timeout_ms=4)


def test_settings_of_the_directory(directory: str) -> None:
    """They are given to whoever opens it, and told by who listens."""
    with streamlog.open(directory, offsets_topic_num_partitions=3) as log:
        with log.listen() as listener, Connection(listener.bootstrap_servers) as connection:
            configs = described(connection, BROKER, "0")
            assert configs["offsets.topic.num.partitions"].value == "3"
            assert configs["offsets.retention.minutes"].value == ""  # for ever
            connection.ask("FindCoordinator", 0, key="crew")
            assert log.engine().image.topics["__consumer_offsets"].partitions.keys() == {0, 1, 2}
        with pytest.raises(UnsupportedFeatureError, match=r"setting of open\(\)"):
            log.listen(offsets_topic_num_partitions=3)


def test_a_group_has_settings_of_its_own(connection: Connection, log: StreamLog) -> None:
    log.create_topic("flights")
    member = groups.heartbeat("wave", "somebody")
    assert described(connection, GROUP, "wave")[HEARTBEATS].value == "5000"
    assert altered(connection, HEARTBEATS, 0, "7000") == 0
    entry = described(connection, GROUP, "wave")[HEARTBEATS]
    assert (entry.value, entry.config_source) == ("7000", 8)
    assert [each.source for each in entry.synonyms] == [8, 5]
    told = connection.ask("ConsumerGroupHeartbeat", 1, **member)
    assert told.heartbeat_interval_ms == 7000
    listed = connection.ask("ListConfigResources", 1, resource_types=[GROUP]).config_resources
    assert [(each.resource_name, each.resource_type) for each in listed] == [("wave", GROUP)]
    assert altered(connection, HEARTBEATS, 1, None) == 0
    assert described(connection, GROUP, "wave")[HEARTBEATS].config_source == 5


@pytest.mark.parametrize(
    ("name", "operation", "value"),
    [
        (HEARTBEATS, 0, "7"),
        (HEARTBEATS, 0, "soon"),
        (HEARTBEATS, 2, "7000"),
        ("consumer.heartbeat", 0, "7000"),
    ],
)
def test_what_a_group_cannot_have(
    connection: Connection, name: str, operation: int, value: str
) -> None:
    assert altered(connection, name, operation, value) == INVALID_CONFIG


def test_a_group_without_a_name_has_no_settings(connection: Connection) -> None:
    answer = connection.ask("DescribeConfigs", 4, **requests.describe_configs(GROUP, ""))
    assert answer.results[0].error_code == INVALID_REQUEST
    wanted = requests.alter_config(GROUP, "", HEARTBEATS, 0, "7000")
    answer = connection.ask("IncrementalAlterConfigs", 1, **wanted)
    assert answer.responses[0].error_code == INVALID_REQUEST


def test_settings_of_groups_outlive_the_process(directory: str) -> None:
    with (
        streamlog.open(directory) as log,
        log.listen() as listener,
        Connection(listener.bootstrap_servers) as connection,
    ):
        assert altered(connection, HEARTBEATS, 0, "9000") == 0
    with streamlog.open(directory) as log:
        assert log.engine().groups.settings().consumer_heartbeat_interval_ms("wave") == 9000


def test_a_brokers_settings_are_of_its_directory_or_its_listener() -> None:
    """`streamlog serve` is given both in one."""
    given = {"offsets_topic_num_partitions": "3", "group_max_size": "7"}
    assert parse_broker_settings(given) == (
        {"offsets_topic_num_partitions": 3},
        {"group_max_size": 7},
    )
