"""Topics by name: creating, growing, deleting and describing them, on the metadata log.

Each call is one metadata batch for all the topics it is about, synced before it counts: it is done
for all of them or for none. Deleting says so in the metadata first; then nobody can append (the
slots' deleted flag), then the folders go.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from streamlog.broker import metadata_records
from streamlog.config import alter_topic_settings, nearest
from streamlog.errors import ConfigError, InvalidTopicError, TopicExistsError, UnknownTopicError
from streamlog.protocol import Uuid
from streamlog.storage.names import (
    INTERNAL_TOPICS,
    METADATA_TOPIC,
    metric_name,
    validate_topic_name,
)
from streamlog.types import NewTopic, TopicDescription

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage, TopicImage
    from streamlog.broker.metadata_log import MetadataLog

MAX_PARTITIONS = 100_000


def create_topics(
    metadata: MetadataLog, topics: Sequence[NewTopic], *, validate_only: bool = False
) -> list[TopicDescription]:
    """Create topics, each with partitions from 0 on; what they are, or would be.

    Raises `InvalidTopicError`, `TopicExistsError` (also for a name that differs from another
    topic's only by `.` against `_`), `ConfigError` and `UnknownSettingError`.
    """
    for topic in topics:
        _validate_new_name(topic.name)
        _validate_count(topic.name, topic.partitions)
    ids = [draw_uuid() for _ in topics]
    overrides: dict[str, dict[str, str]] = {}

    def decide(image: MetadataImage) -> list[Any]:
        taken: dict[str, str] = {}
        records: list[Any] = []
        for topic, topic_id in zip(topics, ids, strict=True):
            _refuse_taken(image, taken, topic.name)
            with about_topic(topic.name):
                settings = alter_topic_settings({}, topic.settings, image.topic_defaults())
            overrides[topic.name] = settings
            records += metadata_records.topic_created(
                topic.name, topic_id, topic.partitions, settings, metadata.meta
            )
        return records

    metadata.change(decide, validate_only=validate_only)
    return [
        TopicDescription(
            name=topic.name,
            topic_id="" if validate_only else str(topic_id),
            partitions=topic.partitions,
            settings=overrides[topic.name],
            internal=topic.name in INTERNAL_TOPICS,
        )
        for topic, topic_id in zip(topics, ids, strict=True)
    ]


def create_partitions(
    metadata: MetadataLog, totals: Mapping[str, int], *, validate_only: bool = False
) -> list[TopicDescription]:
    """Let each topic have so many partitions in total; existing records stay where they are.

    Raises `UnknownTopicError`, `InvalidTopicError` for an internal topic, where a group's, or a
    producer's, partition comes of their number, and `ConfigError` unless a total is more than
    there are.
    """
    for name, total in totals.items():
        _validate_count(name, total)

    grown: dict[str, TopicDescription] = {}

    def decide(image: MetadataImage) -> list[Any]:
        records: list[Any] = []
        for name, total in totals.items():
            topic = find_topic(image, name)
            if name in INTERNAL_TOPICS:
                raise InvalidTopicError(
                    f"topic {name!r} keeps its number of partitions: with another one, groups "
                    "would be looked for where they are not",
                    topic=name,
                )
            present = len(topic.partitions)
            if total <= present:
                raise ConfigError(
                    f"topic {name!r} has {present} partitions already; their number can only grow",
                    name="partitions",
                    value=total,
                    allowed=f"an integer from {present + 1}",
                    topic=name,
                )
            grown[name] = describe_topic(topic)._replace(partitions=total)
            records += metadata_records.partitions_created(
                topic.topic_id, range(present, total), metadata.meta
            )
        return records

    metadata.change(decide, validate_only=validate_only)
    return list(grown.values())


def remove_topics(metadata: MetadataLog, names: Iterable[str]) -> list[TopicImage]:
    """Take topics out of the metadata; what they were. Their files are the caller's to remove.

    Raises `UnknownTopicError`.
    """
    wanted = list(dict.fromkeys(names))
    removed: list[TopicImage] = []

    def decide(image: MetadataImage) -> list[Any]:
        removed[:] = [find_topic(image, name) for name in wanted]
        return [metadata_records.topic_removed(topic.topic_id) for topic in removed]

    metadata.change(decide)
    return removed


def find_topic(image: MetadataImage, name: str) -> TopicImage:
    """The topic of that name. Raises `UnknownTopicError` naming the nearest there is."""
    if not isinstance(name, str):
        raise ConfigError(f"a topic's name is a str, not {name!r}", value=name)
    topic = image.topics.get(name)
    if topic is None:
        guess = nearest(name, image.topics)
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


def _validate_count(topic: str, partitions: int) -> None:
    allowed = f"an integer from 1 to {MAX_PARTITIONS}"
    if (
        isinstance(partitions, bool)
        or not isinstance(partitions, int)
        or not 1 <= partitions <= MAX_PARTITIONS
    ):
        raise ConfigError(
            f"topic {topic!r}: partitions={partitions!r} is not allowed: it must be {allowed}",
            name="partitions",
            value=partitions,
            allowed=allowed,
            topic=topic,
        )


def _refuse_taken(image: MetadataImage, taken: dict[str, str], name: str) -> None:
    """Take a name that no topic of `image` or of this call has, or one too like it."""
    alike = metric_name(name)
    other = image.name_like(name) or taken.get(alike)
    if other == name:
        raise TopicExistsError(f"topic {name!r} exists already", topic=name)
    if other is not None:
        raise TopicExistsError(
            f"topic {name!r} collides with {other!r}: Kafka's metrics cannot tell names "
            "apart that differ only by '.' and '_'; choose another",
            topic=name,
            nearest=other,
        )
    taken[alike] = name


@contextmanager
def about_topic(name: str) -> Iterator[None]:
    """Errors about settings raised inside say whose they are."""
    try:
        yield
    except ConfigError as error:
        raise type(error)(
            f"topic {name!r}: {error.message}", **{**error.context, "topic": name}
        ) from None
