"""The records that streamlog writes to the metadata log, and the batches that carry them.

Each function returns the values of one change; `encode_batch` makes them one batch, so that a
change is in the log whole or not at all. The features are those of a broker formatted for
Kafka 4.3: a broker that takes the directory over continues from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from streamlog.broker.metadata_image import (
    BROKER_RESOURCE,
    TOPIC_RESOURCE,
    MetadataImage,
    TopicImage,
)
from streamlog.protocol import Uuid, message
from streamlog.protocol.metadata_frame import encode_metadata

if TYPE_CHECKING:
    from streamlog.storage.properties import MetaProperties

FEATURES = (
    ("metadata.version", 30),
    ("eligible.leader.replicas.version", 1),
    ("group.version", 1),
    ("share.version", 1),
    ("streams.version", 1),
    ("transaction.version", 2),
)
PARTITION_RECORD_VERSION = 2  # the newest that metadata.version 30 has
PRODUCER_ID_BLOCK = 1000


def bootstrap() -> list[Any]:
    """What a new metadata log begins with."""
    feature_level, config = message("FeatureLevelRecord").Value, message("ConfigRecord").Value
    return [
        *(feature_level(name=name, feature_level=level) for name, level in FEATURES),
        config(
            resource_type=BROKER_RESOURCE,
            resource_name="",
            name="min.insync.replicas",
            value="1",
        ),
    ]


def topic_created(
    name: str,
    topic_id: Uuid,
    partitions: int,
    settings: Mapping[str, str],
    meta: MetaProperties,
) -> list[Any]:
    """A topic, its partitions 0 to `partitions` - 1 and its settings."""
    topic = message("TopicRecord").Value
    return [
        topic(name=name, topic_id=topic_id),
        *topic_configured(name, settings),
        *partitions_created(topic_id, range(partitions), meta),
    ]


def topic_configured(name: str, settings: Mapping[str, str | None]) -> list[Any]:
    """Settings of a topic by dotted name; None removes one."""
    return configured(TOPIC_RESOURCE, name, settings)


def configured(kind: int, name: str, settings: Mapping[str, str | None]) -> list[Any]:
    """Settings of any resource by dotted name; None removes one."""
    config = message("ConfigRecord").Value
    return [
        config(resource_type=kind, resource_name=name, name=setting, value=value)
        for setting, value in settings.items()
    ]


def partitions_created(
    topic_id: Uuid, partitions: Iterable[int], meta: MetaProperties
) -> list[Any]:
    """Partitions led by this node, which is their only replica."""
    partition_record = message("PartitionRecord").Value
    nodes = [meta.node_id]
    directories = [Uuid.parse(meta.directory_id)]
    return [
        partition_record(
            partition_id=partition,
            topic_id=topic_id,
            replicas=nodes,
            isr=nodes,
            leader=meta.node_id,
            leader_epoch=0,
            partition_epoch=0,
            directories=directories,
        )
        for partition in partitions
    ]


def leader_epoch_bumped(topic_id: Uuid, partition: int, node_id: int) -> Any:
    """The partition's next leader epoch: a change that names a leader, be it the same, bumps it."""
    change = message("PartitionChangeRecord").Value
    return change(partition_id=partition, topic_id=topic_id, leader=node_id)


def topic_removed(topic_id: Uuid) -> Any:
    """The end of a topic."""
    return message("RemoveTopicRecord").Value(topic_id=topic_id)


def producer_ids_taken(next_producer_id: int, node_id: int) -> Any:
    """All ids below `next_producer_id` are taken (KIP-730)."""
    return message("ProducerIdsRecord").Value(
        broker_id=node_id, broker_epoch=-1, next_producer_id=next_producer_id
    )


def snapshot_records(image: MetadataImage, node_id: int) -> list[Any]:
    """Records that rebuild `image` when replayed into an empty one."""
    feature_level = message("FeatureLevelRecord").Value
    config = message("ConfigRecord").Value
    records: list[Any] = [
        feature_level(name=name, feature_level=level) for name, level in image.features.items()
    ]
    for (resource_type, resource_name), settings in image.settings.items():
        records += [
            config(resource_type=resource_type, resource_name=resource_name, name=name, value=value)
            for name, value in settings.items()
        ]
    for topic in image.topics.values():
        records += _topic_records(topic)
    if image.next_producer_id:
        records.append(producer_ids_taken(image.next_producer_id, node_id))
    return records


def _topic_records(topic: TopicImage) -> list[Any]:
    partition_record = message("PartitionRecord").Value
    return [
        message("TopicRecord").Value(name=topic.name, topic_id=topic.topic_id),
        *topic_configured(topic.name, topic.settings),
        *(
            partition_record(
                partition_id=partition.partition,
                topic_id=topic.topic_id,
                replicas=list(partition.replicas),
                isr=list(partition.replicas),
                leader=partition.leader,
                leader_epoch=partition.leader_epoch,
                partition_epoch=partition.partition_epoch,
                directories=list(partition.directories),
            )
            for partition in topic.partitions.values()
        ),
    ]


def encode_batch(records: Iterable[Any], now_ms: int) -> bytearray:
    """One ordinary batch: no producer id, keys null, each value in KRaft's frame."""
    from streamlog.record.kernel import RecordBatchBuilder

    builder = RecordBatchBuilder()
    for record in records:
        builder.append(now_ms, None, encode_record(record), ())
    return builder.build()


def encode_record(record: Any) -> bytes:
    """One record's value. Partitions are written in the version that the features stand for."""
    name = type(record).__name__
    if name in ("PartitionRecord", "PartitionChangeRecord"):
        return encode_metadata(record, PARTITION_RECORD_VERSION)
    return encode_metadata(record, 0)
