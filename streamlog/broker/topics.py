"""Topics by name: creating, growing, deleting and describing them, on the metadata log.

Each change is one metadata batch, synced before it counts. Deleting says so in the metadata
first; then nobody can append (the slots' deleted flag), then the folders go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streamlog.broker import metadata_records
from streamlog.config import nearest, parse_topic_settings
from streamlog.errors import ConfigError, TopicExistsError, UnknownTopicError
from streamlog.protocol import Uuid
from streamlog.storage.names import INTERNAL_TOPICS, METADATA_TOPIC, collides, validate_topic_name
from streamlog.types import TopicDescription

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage, TopicImage
    from streamlog.broker.metadata_log import MetadataLog

MAX_PARTITIONS = 100_000


def create_topic(
    metadata: MetadataLog, name: str, partitions: int, settings: Mapping[str, object]
) -> TopicImage:
    """Create `name` with partitions 0 to `partitions` - 1.

    Raises `InvalidTopicError`, `TopicExistsError` (also for a name that differs from another
    topic's only by `.` against `_`), `ConfigError` and `UnknownSettingError`.
    """
    _validate_new_name(name)
    _validate_count(partitions)
    overrides = parse_topic_settings(settings)
    topic_id = draw_uuid()

    def decide(image: MetadataImage) -> list[Any]:
        _refuse_taken(image, name)
        return metadata_records.topic_created(name, topic_id, partitions, overrides, metadata.meta)

    with metadata.lock:
        return metadata.change(decide).topics[name]


def create_partitions(metadata: MetadataLog, name: str, total: int) -> TopicImage:
    """Let topic `name` have `total` partitions; existing records stay where they are.

    Raises `UnknownTopicError`, and `ConfigError` unless `total` is more than there are.
    """
    _validate_count(total)

    def decide(image: MetadataImage) -> list[Any]:
        topic = find_topic(image, name)
        present = len(topic.partitions)
        if total <= present:
            raise ConfigError(
                f"topic {name!r} has {present} partitions already; their number can only grow",
                name="partitions",
                value=total,
                allowed=f"an integer from {present + 1}",
            )
        return metadata_records.partitions_created(
            topic.topic_id, range(present, total), metadata.meta
        )

    with metadata.lock:
        return metadata.change(decide).topics[name]


def remove_topic(metadata: MetadataLog, name: str) -> TopicImage:
    """Take `name` out of the metadata; what it was. Its files are the caller's to remove.

    Raises `UnknownTopicError`.
    """
    removed: list[TopicImage] = []

    def decide(image: MetadataImage) -> list[Any]:
        removed[:] = [find_topic(image, name)]
        return [metadata_records.topic_removed(removed[0].topic_id)]

    metadata.change(decide)
    return removed[0]


def find_topic(image: MetadataImage, name: str) -> TopicImage:
    """The topic of that name. Raises `UnknownTopicError` naming the nearest there is."""
    topic = image.topics.get(name)
    if topic is None:
        guess = nearest(name, image.topics) if isinstance(name, str) else None
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise UnknownTopicError(f"no topic is called {name!r}{hint}", topic=name, nearest=guess)
    return topic


def check_partition(topic: TopicImage, partition: int) -> None:
    """Raises `UnknownTopicError` (`partition`) unless `topic` has that partition."""
    if isinstance(partition, bool) or not isinstance(partition, int):
        raise ConfigError(
            f"a partition is an integer, not {type(partition).__name__}",
            name="partition",
            value=partition,
        )
    if partition not in topic.partitions:
        raise UnknownTopicError(
            f"topic {topic.name!r} has no partition {partition}; it has 0 to "
            f"{len(topic.partitions) - 1}",
            topic=topic.name,
            partition=partition,
            nearest=None,
        )


def describe_topic(topic: TopicImage) -> TopicDescription:
    """What a user is told about a topic."""
    return TopicDescription(
        name=topic.name,
        topic_id=str(topic.topic_id),
        partitions=len(topic.partitions),
        settings=dict(topic.settings),
        internal=topic.name in INTERNAL_TOPICS,
    )


def draw_uuid() -> Uuid:
    """A fresh identifier of the kind that Kafka draws."""
    while (drawn := Uuid.from_random(os.urandom(16))) is None:
        pass
    return drawn


def _validate_new_name(name: str) -> None:
    validate_topic_name(name)
    if name == METADATA_TOPIC:
        raise TopicExistsError(f"{name} is the metadata log's own name", topic=name)


def _validate_count(partitions: int) -> None:
    allowed = f"an integer from 1 to {MAX_PARTITIONS}"
    if (
        isinstance(partitions, bool)
        or not isinstance(partitions, int)
        or not 1 <= partitions <= MAX_PARTITIONS
    ):
        raise ConfigError(
            f"partitions={partitions!r} is not allowed: it must be {allowed}",
            name="partitions",
            value=partitions,
            allowed=allowed,
        )


def _refuse_taken(image: MetadataImage, name: str) -> None:
    if name in image.topics:
        raise TopicExistsError(f"topic {name!r} exists already", topic=name)
    if "." in name or "_" in name:
        for other in image.topics:
            if collides(name, other):
                raise TopicExistsError(
                    f"topic {name!r} collides with {other!r}: Kafka's metrics cannot tell names "
                    "apart that differ only by '.' and '_'; choose another",
                    topic=name,
                    nearest=other,
                )
