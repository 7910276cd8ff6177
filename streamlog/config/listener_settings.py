"""The settings of `listen()` and `streamlog serve`: those of Kafka's brokers that mean something.

Names and defaults are Kafka's (facts 9.2), with one exception: `queued_max_request_bytes`, which
Kafka leaves unlimited, besides those of `coordinator_settings`. Topics that are made through a
listener get what is a default of Kafka's brokers and not of this library, retention for seven
days, as settings of their own. What is committed through a listener expires as the directory was
opened to have it (`offsets_retention_minutes`), which by default is never: it may be others'.
`broker_settings` says which of them can be changed while the listener runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlog.config.client_settings import OPEN_SETTINGS
from streamlog.config.coordinator_settings import COORDINATOR_SETTINGS, CoordinatorConfig
from streamlog.config.parsing import parse_settings, parse_value
from streamlog.config.settings import INT_MAX, Setting, SettingTable

#: The settings of `open()` that Kafka's brokers have too.
DIRECTORY_SETTINGS = tuple(
    setting for setting in OPEN_SETTINGS if setting.name.startswith(("log_", "offsets_"))
)

LISTENER_SETTINGS = SettingTable(
    "listener",
    (
        Setting("num_partitions", "int", 1, "partitions of a topic that asks for no number", 1),
        Setting(
            "auto_create_topics_enable",
            "bool",
            True,
            "whether topics are created when a client asks about them",
        ),
        Setting("delete_topic_enable", "bool", True, "whether clients may delete topics"),
        Setting(
            "log_retention_ms",
            "long",
            604_800_000,
            "how long topics made through the listener keep records, -1 for ever",
            1,
            also=-1,
        ),
        Setting(
            "message_max_bytes",
            "int",
            1_048_588,
            "largest record batch of topics made through the listener",
            0,
        ),
        Setting("fetch_max_bytes", "int", 57_671_680, "bytes of one fetch response", 1024),
        Setting(
            "max_incremental_fetch_session_cache_slots",
            "int",
            1000,
            "fetch sessions that are remembered; 0 for none",
            0,
        ),
        Setting(
            "max_request_partition_size_limit",
            "int",
            2000,
            "partitions in one answer of DescribeTopicPartitions",
            1,
        ),
        Setting("socket_request_max_bytes", "int", 104_857_600, "bytes of one request, at most", 1),
        Setting(
            "queued_max_request_bytes",
            "long",
            268_435_456,
            "bytes of all connections' requests and answers in memory; a single request may exceed",
            65_536,
        ),
        Setting(
            "connections_max_idle_ms",
            "long",
            600_000,
            "after how long a connection without traffic is closed, -1 for never",
            -1,
        ),
        Setting("max_connections", "int", INT_MAX, "connections at the same time", 1),
        *COORDINATOR_SETTINGS,
    ),
    refused={setting.name: "it is a setting of open()" for setting in DIRECTORY_SETTINGS},
)


class ListenerConfig(CoordinatorConfig, frozen=True, kw_only=True):
    """The settings of one listener. Sizes are bytes, `*_ms` milliseconds.

    Those of coordinators are of its whole process: the listener that began last has its way.
    """

    num_partitions: int
    auto_create_topics_enable: bool
    delete_topic_enable: bool
    log_retention_ms: int
    message_max_bytes: int
    fetch_max_bytes: int
    max_incremental_fetch_session_cache_slots: int
    max_request_partition_size_limit: int
    socket_request_max_bytes: int
    queued_max_request_bytes: int
    connections_max_idle_ms: int
    max_connections: int

    @classmethod
    def from_settings(cls, given: Mapping[str, object]) -> ListenerConfig:
        """Check `given` and fill in the defaults. Raises `ConfigError` and its subclasses."""
        return cls(**parse_settings(LISTENER_SETTINGS, given))


def parse_broker_settings(given: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keywords of `open()` and of `listen()` for a broker's settings that are text.

    Raises as `from_settings` does.
    """
    of_directory = {setting.name for setting in DIRECTORY_SETTINGS} & given.keys()
    directory = {name: parse_value(OPEN_SETTINGS[name], given[name]) for name in of_directory}
    listener = {
        name: parse_value(LISTENER_SETTINGS[name], text)
        for name, text in given.items()
        if name not in of_directory
    }
    return directory, listener
