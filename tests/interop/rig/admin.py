"""What a broker answers to an administrator, asked through kafka-python; tools for settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.interop.rig.broker import Broker


class BrokerEntry(NamedTuple):
    """One setting of a topic as DescribeConfigs answers it; names of sources and types are Kafka's.

    `synonyms` are (name, value, source), the one that counts first.
    """

    value: str
    source: str
    type: str
    synonyms: Sequence[tuple[str, str, str]]


def describe_configs(broker: Broker, topic: str) -> dict[str, BrokerEntry]:
    """Every setting of a topic, by name."""

    def ask(admin: Any) -> Any:
        from kafka.admin import ConfigResource, ConfigResourceType

        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        return admin.describe_configs(asked, include_synonyms=True, config_filter="all")

    return {
        name: BrokerEntry(
            entry["value"],
            entry["config_source"],
            entry["config_type"],
            [(each["name"], each["value"], each["source"]) for each in entry["synonyms"]],
        )
        for name, entry in _ask(broker, ask)["topic"][topic].items()
    }


def list_offsets(
    broker: Broker, topic: str, timestamps: Iterable[int]
) -> dict[tuple[int, bool], tuple[int, int, int]]:
    """ListOffsets for partition 0 of a topic: offset, timestamp and leader epoch.

    By the time asked for, and whether only decided transactions count.
    """

    def ask(admin: Any) -> Any:
        from kafka import TopicPartition

        partition = TopicPartition(topic, 0)
        return {
            (timestamp, committed): admin.list_partition_offsets(
                {partition: timestamp}, isolation_level=int(committed)
            )[partition]
            for timestamp in timestamps
            for committed in (False, True)
        }

    return {
        asked: (found.offset, found.timestamp, found.leader_epoch)
        for asked, found in _ask(broker, ask).items()
    }


def get_offsets(broker: Broker, topic: str, time: str) -> str:
    """What `kafka-get-offsets.sh` prints: nothing where there is none."""
    return _run(broker, "org.apache.kafka.tools.GetOffsetShell", "--topic", topic, "--time", time)


def describe_producers(broker: Broker, topic: str) -> list[tuple[Any, ...]]:
    """The producers that partition 0 of a topic remembers, by id; Kafka's fields in their order."""

    def ask(admin: Any) -> Any:
        from kafka import TopicPartition

        return admin.describe_producers([TopicPartition(topic, 0)])[TopicPartition(topic, 0)]

    return sorted(
        (
            each.producer_id,
            each.producer_epoch,
            each.last_sequence,
            each.last_timestamp,
            each.coordinator_epoch,
            each.current_transaction_start_offset,
        )
        for each in _ask(broker, ask).active_producers
    )


def describe_log_dirs(broker: Broker) -> Any:
    """Kafka's answer for the broker's only directory."""
    return _ask(broker, lambda admin: admin.describe_log_dirs())


def _ask(broker: Broker, ask: Callable[[Any], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it reads its own files by old calls
        from kafka.admin import KafkaAdminClient

        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        try:
            return ask(admin)
        finally:
            admin.close()


def create_topic(broker: Broker, topic: str, settings: Mapping[str, str]) -> None:
    """`kafka-topics.sh --create`."""
    configs = [word for pair in settings.items() for word in ("--config", "=".join(pair))]
    _run(broker, "org.apache.kafka.tools.TopicCommand", "--create", "--topic", topic, *configs)


def alter(
    broker: Broker, entity: Sequence[str], add: Mapping[str, str], delete: Sequence[str] = ()
) -> None:
    """`kafka-configs.sh --alter` of a topic, a broker, or (`--entity-default`) all brokers."""
    words = ["--add-config", ",".join(f"{name}=[{value}]" for name, value in add.items())]
    if delete:
        words += ["--delete-config", ",".join(delete)]
    _run(broker, "kafka.admin.ConfigCommand", "--alter", *entity, *words)


def _run(broker: Broker, tool: str, *arguments: str) -> str:
    outcome = broker.jars.run(tool, "--bootstrap-server", broker.bootstrap, *arguments)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout.strip()
