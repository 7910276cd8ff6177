"""What the metadata log says: topics, their partitions and settings, producer id blocks.

The image is a pure function of the records replayed into it. `replay` is its only mutator, so
that a restart, an attach and a live change all go the same way. Records that mean nothing here
(a broker's registrations, quotas, access control) are kept out and stay in the log, where a
broker that takes the directory over finds them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streamlog.errors import CorruptDirectoryError
from streamlog.protocol import Uuid

TOPIC_RESOURCE = 2
BROKER_RESOURCE = 4


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
    """

    __slots__ = (
        "_by_id",
        "_pending_settings",
        "_transaction",
        "features",
        "is_complete",
        "next_producer_id",
        "removed",
        "settings",
        "topics",
    )

    def __init__(self) -> None:
        self.topics: dict[str, TopicImage] = {}
        self.features: dict[str, int] = {}
        self.settings: dict[tuple[int, str], dict[str, str]] = {}
        self.next_producer_id = 0
        self.removed: set[Uuid] = set()
        self.is_complete = True
        self._by_id: dict[Uuid, TopicImage] = {}
        self._pending_settings: dict[str, dict[str, str]] = {}
        self._transaction: list[Any] | None = None

    def topic_by_id(self, topic_id: Uuid) -> TopicImage | None:
        """The live topic of that id."""
        return self._by_id.get(topic_id)

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
        self.removed.add(record.topic_id)
        if topic is not None:
            del self.topics[topic.name]

    def _config(self, record: Any) -> None:
        if record.resource_type == TOPIC_RESOURCE:
            topic = self.topics.get(record.resource_name)
            # A broker's snapshot may name a topic's settings before the topic.
            settings = (
                self._pending_settings.setdefault(record.resource_name, {})
                if topic is None
                else topic.settings
            )
        else:
            key = (record.resource_type, record.resource_name)
            settings = self.settings.setdefault(key, {})
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
