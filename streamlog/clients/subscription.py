"""What a consumer wants to read: named topics, topics that match a pattern, or partitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from streamlog.errors import ConfigError, UnknownTopicError
from streamlog.types import TopicDescription, TopicPartition

if TYPE_CHECKING:
    from streamlog.protocol import Uuid

#: Describes the topic of a name; raises `UnknownTopicError` naming the nearest.
FindTopic = Callable[[str], TopicDescription]


class Subscription(Protocol):
    """Resolves a wish against the topics that there are."""

    def resolve(self, topics: Mapping[str, TopicDescription]) -> list[TopicPartition]:
        """The partitions wanted, in a fixed order. Raises `UnknownTopicError`."""


class NamedTopics:
    """All partitions of these topics, also those that are added later."""

    __slots__ = ("_topics",)

    def __init__(self, topics: Iterable[str], find: FindTopic) -> None:
        names = list(topics)
        for topic in names:
            find(topic)
        self._topics = list(dict.fromkeys(names))

    @property
    def topics(self) -> frozenset[str]:
        """The names, also of topics that were deleted meanwhile."""
        return frozenset(self._topics)

    def resolve(self, topics: Mapping[str, TopicDescription]) -> list[TopicPartition]:
        """A topic deleted meanwhile has no partitions; made again, it is a new one."""
        return [
            partition
            for topic in self._topics
            if topic in topics
            for partition in partitions_of(topics[topic])
        ]


class TopicPattern:
    """All partitions of the topics whose whole name matches, internal topics excepted."""

    __slots__ = ("_pattern",)

    def __init__(self, pattern: str | re.Pattern[str]) -> None:
        try:
            self._pattern = re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ConfigError(f"{pattern!r} is not a pattern: {error}", value=pattern) from error

    def resolve(self, topics: Mapping[str, TopicDescription]) -> list[TopicPartition]:
        """No match is no error: a topic that matches may be made later."""
        return [
            partition
            for name in sorted(topics)
            if not topics[name].internal and self._pattern.fullmatch(name)
            for partition in partitions_of(topics[name])
        ]


class OwnedPartitions:
    """The partitions that a member of a group has, by the ids of their topics."""

    __slots__ = ("_partitions",)

    def __init__(self, partitions: Iterable[tuple[Uuid, int]]) -> None:
        self._partitions = frozenset((str(topic_id), number) for topic_id, number in partitions)

    def resolve(self, topics: Mapping[str, TopicDescription]) -> list[TopicPartition]:
        """What was deleted meanwhile is left out: the group will hear of it, too."""
        names = {topic.topic_id: name for name, topic in topics.items()}
        return sorted(
            TopicPartition(names[topic_id], number)
            for topic_id, number in self._partitions
            if topic_id in names
        )


class AssignedPartitions:
    """Exactly these partitions."""

    __slots__ = ("_partitions", "_topic_ids")

    def __init__(self, partitions: Iterable[TopicPartition], find: FindTopic) -> None:
        self._partitions = [checked_partition(each, find) for each in dict.fromkeys(partitions)]
        self._topic_ids = {each.topic: find(each.topic).topic_id for each in self._partitions}

    def resolve(self, topics: Mapping[str, TopicDescription]) -> list[TopicPartition]:
        """A topic deleted meanwhile is an error, also when there is another one of its name."""
        for topic, topic_id in self._topic_ids.items():
            if topic not in topics or topics[topic].topic_id != topic_id:
                raise UnknownTopicError(
                    f"topic {topic!r}, which this consumer was assigned, was deleted", topic=topic
                )
        return self._partitions


def typed_topics(topics: object) -> list[str]:
    """The topics meant by one name or several. Raises `ConfigError` for what are no names."""
    if isinstance(topics, str):
        return [topics]
    if not isinstance(topics, Iterable) or isinstance(topics, (bytes, bytearray, memoryview)):
        raise ConfigError(f"topics are a str or a list of them, not {topics!r}", value=topics)
    return list(topics)


def partitions_of(topic: TopicDescription) -> list[TopicPartition]:
    """All partitions of a topic, in order."""
    return [TopicPartition(topic.name, number) for number in range(topic.partitions)]


def checked_partition(partition: TopicPartition, find: FindTopic) -> TopicPartition:
    """The partition itself. Raises `UnknownTopicError` unless it is there."""
    topic, number = _typed(partition)
    description = find(topic)
    if not 0 <= number < description.partitions:
        raise UnknownTopicError(
            f"topic {topic!r} has partitions 0 to {description.partitions - 1}, not {number}",
            topic=topic,
            partition=number,
        )
    return TopicPartition(topic, number)


def typed_partitions(partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
    """What is meant by several partitions. Raises `ConfigError` for one alone, which iterates."""
    if isinstance(partitions, (str, TopicPartition)):
        raise ConfigError(
            f"a list of TopicPartition is expected, not {partitions!r} alone", value=partitions
        )
    return [_typed(each) for each in partitions]


def given_partitions(given: tuple[Any, ...]) -> list[Any] | None:
    """Partitions that are given one by one or, as in Kafka's clients, as one list.

    None when nothing is given, which stands for all.
    """
    if not given:
        return None
    first = given[0]
    if len(given) == 1 and isinstance(first, Iterable) and not isinstance(first, (str, tuple)):
        return list(first)
    return list(given)


def _typed(partition: object) -> TopicPartition:
    if isinstance(partition, tuple) and len(partition) == len(TopicPartition._fields):
        topic, number = partition
        if isinstance(topic, str) and isinstance(number, int) and not isinstance(number, bool):
            return TopicPartition(topic, number)
    raise ConfigError(f"a TopicPartition is expected, not {partition!r}", value=partition)
