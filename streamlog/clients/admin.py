"""`Admin`: what Kafka's Admin client has, for a directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from streamlog.clients import offsets
from streamlog.errors import ConfigError
from streamlog.types import (
    OffsetAndTimestamp,
    PartitionDescription,
    TopicDescription,
    TopicPartition,
)

if TYPE_CHECKING:
    from streamlog.clients.stream_log import StreamLog


class NewTopic(msgspec.Struct, frozen=True):
    """A topic to create: `settings` in snake_case or in Kafka's dotted names."""

    name: str
    partitions: int = 1
    settings: Mapping[str, Any] = {}


class DirectoryDescription(msgspec.Struct, frozen=True):
    """What a directory is: Kafka's cluster, node and directory ids, and how many things it holds.

    `file_system` is the kind that holds it ("ext4", "tmpfs", ...); `durable` says whether a sync
    there survives power loss.
    """

    path: str
    cluster_id: str
    node_id: int
    directory_id: str
    file_system: str
    durable: bool
    read_only: bool
    topics: int
    partitions: int


class Admin:
    """Made by `StreamLog.admin`. Thread-safe; it has no state of its own.

    Raises what the single calls of `StreamLog` raise. What Kafka does for several topics in one
    request happens one after the other here: an error leaves those before it done.
    """

    __slots__ = ("_log",)

    def __init__(self, log: StreamLog) -> None:
        self._log = log

    # Topics

    def create_topics(self, topics: Iterable[NewTopic | str]) -> list[TopicDescription]:
        """Create topics; a name alone gets one partition and default settings."""
        created = []
        for each in topics:
            topic = NewTopic(each) if isinstance(each, str) else each
            if not isinstance(topic, NewTopic):
                raise ConfigError(f"a NewTopic or a name is expected, not {each!r}", value=each)
            created.append(
                self._log.engine_for_writing().create_topic(
                    topic.name, topic.partitions, topic.settings
                )
            )
        return created

    def delete_topics(self, topics: Iterable[str]) -> None:
        """Delete topics and their records."""
        for name in _names(topics):
            self._log.delete_topic(name)

    def create_partitions(self, totals: Mapping[str, int]) -> list[TopicDescription]:
        """Let each topic have so many partitions in total."""
        return [self._log.create_partitions(name, total) for name, total in totals.items()]

    def list_topics(self, *, internal: bool = False) -> list[str]:
        """The names of all topics, sorted; internal ones when asked for."""
        topics = self._log.topics()
        return sorted(name for name in topics if internal or not topics[name].internal)

    def describe_topics(self, topics: Iterable[str] | None = None) -> dict[str, TopicDescription]:
        """These topics, or all of them."""
        if topics is None:
            return self._log.topics()
        engine = self._log.engine()
        return {name: engine.topic(name) for name in _names(topics)}

    def describe_partitions(self, topic: str) -> list[PartitionDescription]:
        """Each partition of a topic as it is now: its ends, how far it is synced, its health."""
        engine = self._log.engine()
        return [
            engine.describe_partition(topic, number)
            for number in range(engine.topic(topic).partitions)
        ]

    # Offsets

    def list_offsets(
        self, timestamps: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """Kafka's ListOffsets: the first record at or after a time in ms, None when there is none.

        -1 stands for the end, -2 for the beginning, -3 for the record with the largest timestamp.
        """
        return offsets.list_offsets(self._log.engine(), timestamps)

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition."""
        return offsets.beginning_offsets(self._log.engine(), partitions)

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset that the next record of each partition gets."""
        return offsets.end_offsets(self._log.engine(), partitions)

    # Repairs

    def recover_partition(self, topic: str, partition: int) -> PartitionDescription:
        """Let a partition be written again after a sync of it failed.

        What lies past the synced end is copied to a new file and synced; the partition gets a new
        leader epoch. Raises `UnknownTopicError`, `ReadOnlyError`, and `InputOutputError` when the
        disk fails again. A healthy partition stays as it is.
        """
        engine = self._log.engine_for_writing()
        engine.recover_partition(topic, partition)
        return engine.describe_partition(topic, partition)

    def describe(self) -> DirectoryDescription:
        """What this directory is."""
        engine = self._log.engine()
        topics = engine.topics().values()
        return DirectoryDescription(
            path=self._log.path,
            cluster_id=engine.metadata.meta.cluster_id,
            node_id=engine.metadata.meta.node_id,
            directory_id=engine.metadata.meta.directory_id,
            file_system=engine.place.kind,
            durable=engine.place.durable,
            read_only=self._log.read_only,
            topics=len(topics),
            partitions=sum(topic.partitions for topic in topics),
        )


def _names(topics: Iterable[str]) -> list[str]:
    if isinstance(topics, str):
        raise ConfigError(f"a list of topics is expected, not the string {topics!r}", value=topics)
    return list(topics)
