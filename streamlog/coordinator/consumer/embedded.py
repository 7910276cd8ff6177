"""The consumers' own protocol inside the classic one, read and written for a consumer group."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streamlog.coordinator.partitions import TopicIdPartition, by_topic
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.topics_image import TopicsImage
from streamlog.protocol import message
from streamlog.protocol.consumer_protocol import (
    decode_assignment,
    decode_subscription,
    encode_consumer_protocol,
)

_ASSIGNMENT = "ConsumerProtocolAssignment"


def subscription_of(metadata: bytes) -> Any:
    """The ConsumerProtocolSubscription in a member's metadata. SchemaError when it is none."""
    return decode_subscription(metadata)


def partitions_named(topic_partitions: Iterable[Any], image: TopicsImage) -> set[TopicIdPartition]:
    """Partitions by topic id of structures with a `topic`; topics that are gone are left out."""
    found: set[TopicIdPartition] = set()
    for entry in topic_partitions:
        topic = image.topic(entry.topic)
        if topic is not None:
            found.update((topic.topic_id, partition) for partition in entry.partitions)
    return found


def assigned_partitions(
    assignment: bytes, image: TopicsImage
) -> tuple[set[TopicIdPartition], bytes]:
    """What a member was assigned, and the assignor's own data. SchemaError when it is neither."""
    if not assignment:
        return set(), b""
    value = decode_assignment(assignment)
    return partitions_named(value.assigned_partitions, image), bytes(value.user_data or b"")


def embedded_assignment(
    partitions: Iterable[TopicIdPartition], subscription: bytes, image: TopicsImage
) -> bytes:
    """Partitions for a classic member, in the version that its subscription is in."""
    entries = []
    for topic_id, numbers in by_topic(partitions).items():
        topic = image.topic_by_id(topic_id)
        if topic is not None:
            entries.append(
                make_struct(_ASSIGNMENT, "TopicPartition", topic=topic.name, partitions=numbers)
            )
    highest = message(_ASSIGNMENT).valid_versions[1]
    version = min(int.from_bytes(subscription[:2], "big"), highest)
    return encode_consumer_protocol(make(_ASSIGNMENT, assigned_partitions=entries), version)
