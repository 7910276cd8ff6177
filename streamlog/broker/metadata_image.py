"""What the metadata log says: topics, their partitions and settings, producer id blocks.

The image is a pure function of the records replayed into it. `replay` is its only mutator, so
that a restart, an attach and a live change all go the same way. Records that mean nothing here
(a broker's registrations, quotas, access control) are kept out and stay in the log, where a
broker that takes the directory over finds them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streamlog.config import TopicConfig
from streamlog.config.broker_synonyms import topic_defaults
from streamlog.errors import CorruptDirectoryError
from streamlog.protocol import Uuid
from streamlog.storage.names import metric_name

TOPIC_RESOURCE = 2
BROKER_RESOURCE = 4
GROUP_RESOURCE = 32

# What topics ask of housekeeping: bits of `MetadataImage.cleanup`.
RETENTION = 1
COMPACTION = 2


class PartitionImage(msgspec.Struct, frozen=True):
    """One partition as the metadata has it. `partition_epoch` counts its changes."""

    partition: int
    leader: int
    leader_epoch: int
    partition_epoch: int
    replicas: tuple[int, ...]
    directories: tuple[Uuid, ...]


class TopicImage(msgspec.Struct):
    """One topic: `settings` are its overrides by Kafka's dotted name, in Kafka's text."""

    name: str
    topic_id: Uuid
    partitions: dict[int, PartitionImage]
    settings: dict[str, str]


class MetadataImage:
    """Everything that the records replayed so far amount to.

    `next_producer_id` is the first id that no block covers. `removed` holds the ids of topics
    whose removal was replayed: what lies in their folders may be deleted. `is_complete` says
    that nothing was left out that only the log has, so that a snapshot could stand for it.
    `reconfigured` gathers the topics whose settings changed, for who empties it. `node_id` is
    whose settings as a broker, besides those of the whole cluster, are the topics' defaults.
    `cleanup` says what some topic asked for, now or before: `RETENTION`, `COMPACTION`.
    """

    __slots__ = (
        "_by_id",
        "_configs",
        "_metric_names",
        "_pending_settings",
        "_transaction",
        "cleanup",
        "features",
        "is_complete",
        "next_producer_id",
        "node_id",
        "reconfigured",
        "removed",
        "settings",
        "topics",
    )

    def __init__(self, node_id: int = 0) -> None:
        self.node_id = node_id
        self.topics: dict[str, TopicImage] = {}
        self.features: dict[str, int] = {}
        self.settings: dict[tuple[int, str], dict[str, str]] = {}
        self.next_producer_id = 0
        self.removed: set[Uuid] = set()
        self.is_complete = True
        self.reconfigured: set[Uuid] = set()
        self.cleanup = 0
        self._by_id: dict[Uuid, TopicImage] = {}
        self._configs: dict[Uuid, TopicConfig] = {}
        self._metric_names: dict[str, str] = {}
        self._pending_settings: dict[str, dict[str, str]] = {}
        self._transaction: list[Any] | None = None

    def topic_by_id(self, topic_id: Uuid) -> TopicImage | None:
        """The live topic of that id."""
        return self._by_id.get(topic_id)

    def name_like(self, name: str) -> str | None:
        """The topic of that name, or of one that Kafka cannot tell from it ('.' against '_')."""
        return name if name in self.topics else self._metric_names.get(metric_name(name))

    def config_of(self, topic: TopicImage) -> TopicConfig:
        """All settings of a topic, resolved; the same object until one of them changes."""
        config = self._configs.get(topic.topic_id)
        if config is None:
            config = TopicConfig.from_overrides(topic.settings, self.topic_defaults())
            self._configs[topic.topic_id] = config
        return config

    def topic_defaults(self) -> dict[str, str]:
        """What topics without an override have, where a broker's settings say so: dotted, text."""
        defaults: dict[str, str] = {}
        for level in reversed(self.broker_settings()):
            defaults |= {name: found.value for name, found in topic_defaults(level).items()}
        return defaults

    def broker_settings(self, node_id: int | None = None) -> tuple[dict[str, str], dict[str, str]]:
        """The dynamic settings of a node as a broker, this one's, and those of all brokers."""
        own = self.node_id if node_id is None else node_id
        return (
            self.settings.get((BROKER_RESOURCE, str(own)), {}),
            self.settings.get((BROKER_RESOURCE, ""), {}),
        )

    def reconfigure_all(self) -> None:
        """Any setting of any topic may be another one now."""
        self._configs.clear()
        self.reconfigured.update(self._by_id)

    def replay(self, record: Any) -> None:
        """Apply one record's value, in log order.

        Raises `CorruptDirectoryError` for a record that refers to what is not there.
        """
        name = type(record).__name__
        if name == "BeginTransactionRecord":
            self._transaction = []
        elif name == "AbortTransactionRecord":
            self._transaction = None
        elif name == "EndTransactionRecord":
            held, self._transaction = self._transaction or [], None
            for one in held:
                self.replay(one)
        elif self._transaction is not None:
            self._transaction.append(record)  # KIP-868: whole, or not at all
        elif name in _REPLAY:
            _REPLAY[name](self, record)
        elif name not in _RENEWED:
            self.is_complete = False

    # ------------------------------------------------------------ one method a record

    def _feature_level(self, record: Any) -> None:
        self.features[record.name] = record.feature_level

    def _topic(self, record: Any) -> None:
        settings = self._pending_settings.pop(record.name, {})
        topic = TopicImage(record.name, record.topic_id, {}, settings)
        self.topics[record.name] = topic
        self._by_id[record.topic_id] = topic
        self._metric_names[metric_name(record.name)] = record.name

    def _partition(self, record: Any) -> None:
        topic = self._known(record.topic_id, "PARTITION_RECORD")
        topic.partitions[record.partition_id] = PartitionImage(
            record.partition_id,
            record.leader,
            record.leader_epoch,
            record.partition_epoch,
            tuple(record.replicas),
            tuple(record.directories),
        )

    def _partition_change(self, record: Any) -> None:
        topic = self._known(record.topic_id, "PARTITION_CHANGE_RECORD")
        partition = topic.partitions.get(record.partition_id)
        if partition is None:
            raise CorruptDirectoryError(
                f"the metadata log changes partition {topic.name}-{record.partition_id}, "
                "which it never created",
                file="__cluster_metadata-0",
            )
        # Kafka bumps the leader epoch whenever a change names a leader, the same one or another.
        led = record.leader != _NO_LEADER_CHANGE
        topic.partitions[record.partition_id] = PartitionImage(
            partition.partition,
            record.leader if led else partition.leader,
            partition.leader_epoch + led,
            partition.partition_epoch + 1,
            partition.replicas if record.replicas is None else tuple(record.replicas),
            partition.directories if record.directories is None else tuple(record.directories),
        )

    def _remove_topic(self, record: Any) -> None:
        topic = self._by_id.pop(record.topic_id, None)
        self._configs.pop(record.topic_id, None)
        self.removed.add(record.topic_id)
        if topic is not None:
            del self.topics[topic.name]
            self._metric_names.pop(metric_name(topic.name), None)

    def _config(self, record: Any) -> None:
        self.cleanup |= _cleanup_asked_by(record.name, record.value)
        if record.resource_type == TOPIC_RESOURCE:
            topic = self.topics.get(record.resource_name)
            # A broker's snapshot may name a topic's settings before the topic.
            settings = (
                self._pending_settings.setdefault(record.resource_name, {})
                if topic is None
                else topic.settings
            )
            if topic is not None:
                self._configs.pop(topic.topic_id, None)
                self.reconfigured.add(topic.topic_id)
        else:
            key = (record.resource_type, record.resource_name)
            settings = self.settings.setdefault(key, {})
            if record.resource_type == BROKER_RESOURCE:
                self.reconfigure_all()
        if record.value is None:
            settings.pop(record.name, None)
        else:
            settings[record.name] = record.value

    def _producer_ids(self, record: Any) -> None:
        self.next_producer_id = record.next_producer_id

    def _known(self, topic_id: Uuid, what: str) -> TopicImage:
        topic = self._by_id.get(topic_id)
        if topic is None:
            raise CorruptDirectoryError(
                f"the metadata log has a {what} for topic id {topic_id}, which it never created",
                file="__cluster_metadata-0",
            )
        return topic


def _cleanup_asked_by(name: str, value: str | None) -> int:
    """What a setting of a topic, or of the broker for its topics, asks of housekeeping."""
    name = name.removeprefix("log.")
    if name.startswith("retention.") and value not in (None, "-1"):
        return RETENTION
    if name == "cleanup.policy" and value is not None and "compact" in value:
        return COMPACTION
    return 0


_NO_LEADER_CHANGE = -2

# What a broker writes again by itself at each start.
_RENEWED = frozenset(
    {
        "BrokerRegistrationChangeRecord",
        "FenceBrokerRecord",
        "NoOpRecord",
        "RegisterBrokerRecord",
        "RegisterControllerRecord",
        "UnfenceBrokerRecord",
    }
)

_REPLAY = {
    "FeatureLevelRecord": MetadataImage._feature_level,
    "TopicRecord": MetadataImage._topic,
    "PartitionRecord": MetadataImage._partition,
    "PartitionChangeRecord": MetadataImage._partition_change,
    "RemoveTopicRecord": MetadataImage._remove_topic,
    "ConfigRecord": MetadataImage._config,
    "ProducerIdsRecord": MetadataImage._producer_ids,
}
