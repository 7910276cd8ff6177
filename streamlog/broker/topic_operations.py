"""What is asked of topics, as the half of `Engine` that has it: made, changed, deleted, described.

Each is decided by a function elsewhere (`topics`, `topic_configs`, `delete_records`,
`housekeeping`) on the metadata as it is; here it gets its errors and its consequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from streamlog.broker import topics
from streamlog.broker.log_factory import mark_deleted, remove_partition
from streamlog.broker.typed_errors import typed_errors, with_typed_errors
from streamlog.errors import (
    InputOutputError,
    LockTimeoutError,
    PolicyViolationError,
    StreamlogError,
)
from streamlog.storage.checkpoints import forget_topic
from streamlog.storage.structure import structure_lock
from streamlog.types import NewTopic, PartitionCompaction, TopicDescription, TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.directory import Place
    from streamlog.broker.groups.groups import Groups
    from streamlog.broker.housekeeping import Housekeeper
    from streamlog.broker.metadata_image import MetadataImage, TopicImage
    from streamlog.broker.metadata_log import MetadataLog
    from streamlog.broker.opening import Opening
    from streamlog.broker.partitions import OpenPartitions
    from streamlog.broker.topic_configs import TopicConfigs
    from streamlog.storage.partition_log import PartitionLog


class TopicOperations:
    """The engine provides what is named here."""

    place: Place
    metadata: MetadataLog
    configs: TopicConfigs
    partitions: OpenPartitions
    _opening: Opening

    def check_usable(self) -> None:
        raise NotImplementedError

    def check_writable(self) -> None:
        raise NotImplementedError

    def refresh(self) -> MetadataImage:
        raise NotImplementedError

    def partition(self, topic: str, partition: int) -> PartitionLog:
        raise NotImplementedError

    @property
    def housekeeper(self) -> Housekeeper:
        raise NotImplementedError

    @property
    def groups(self) -> Groups:
        raise NotImplementedError

    # ---------------------------------------------------------------- described

    @with_typed_errors
    def topics(self) -> dict[str, TopicDescription]:
        """Every topic by name, in the order of their names."""
        self.check_usable()
        with self.metadata.lock:
            image = self.refresh()
            return {
                name: topics.describe_topic(image.topics[name]) for name in sorted(image.topics)
            }

    @with_typed_errors
    def topic(self, name: str) -> TopicDescription:
        """One topic. Raises `UnknownTopicError` naming the nearest there is."""
        self.check_usable()
        with self.metadata.lock:
            return topics.describe_topic(topics.find_topic(self.refresh(), name))

    @with_typed_errors
    def create_topics(
        self, wanted: Sequence[NewTopic], *, validate_only: bool = False
    ) -> list[TopicDescription]:
        """Create topics; they are on the disk when this returns. See `topics.create_topics`."""
        self.check_writable()
        present = self.refresh().topics
        for topic in wanted if not validate_only else ():
            if isinstance(topic.name, str) and topic.name not in present:
                # Who deleted one of that name may have died over it.
                self._forget_checkpoints(topic.name)
        created = topics.create_topics(self.metadata, wanted, validate_only=validate_only)
        self.refresh()
        return created

    def create_topic(
        self, name: str, partitions: int = 1, settings: Mapping[str, object] | None = None
    ) -> TopicDescription:
        """Create one topic."""
        return self.create_topics([NewTopic(name, partitions, settings or {})])[0]

    @with_typed_errors
    def grow_topics(
        self, totals: Mapping[str, int], *, validate_only: bool = False
    ) -> list[TopicDescription]:
        """Let topics have so many partitions in total. See `topics.create_partitions`."""
        self.check_writable()
        return topics.create_partitions(self.metadata, totals, validate_only=validate_only)

    def delete_records(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Delete the records before these offsets; where each partition begins now.

        See `delete_records.delete_records`. Raises `UnknownTopicError`.
        """
        from streamlog.broker.delete_records import delete_records

        self.check_writable()
        logs = {self.partition(*name): offset for name, offset in offsets.items()}
        with typed_errors(self.place.path):
            left = delete_records(self.metadata.log, logs)
        if left:
            self.housekeeper.start()  # they are restructured right now: its next round removes them
        return {name: self.partition(*name).log_start for name in offsets}

    def apply_retention(self, topic: str | None = None) -> dict[TopicPartition, int]:
        """Apply retention to a topic, or to all, now. See `Housekeeper.apply_retention`."""
        self.check_writable()
        names = None if topic is None else frozenset({self.topic(topic).name})
        return self.housekeeper.apply_retention(names)

    def compact(self, topic: str) -> dict[TopicPartition, PartitionCompaction]:
        """Compact a topic now. See `Housekeeper.compact`.

        Raises `PolicyViolationError` for one whose `cleanup_policy` says nothing of that.
        """
        self.check_writable()
        name = self.topic(topic).name
        policy = self.configs.of(name).cleanup_policy
        if "compact" not in policy:
            raise PolicyViolationError(
                f"topic {name!r} is not compacted: its cleanup_policy is "
                f"{','.join(policy) or 'empty'}; add compact to it",
                topic=name,
            )
        return self.housekeeper.compact(name)

    def create_partitions(self, name: str, total: int) -> TopicDescription:
        """Let one topic have `total` partitions."""
        return self.grow_topics({name: total})[0]

    @with_typed_errors
    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics and their records. Raises `UnknownTopicError`.

        The metadata says so first, then nobody can append, then the folders go. Views that
        somebody holds stay valid. Raises `LockTimeoutError` when another process does not let go
        of a partition: the topic is deleted, and its files go with the next lone opening.
        """
        self.check_writable()
        removed = topics.remove_topics(self.metadata, names)
        failures = [self._remove(topic) for topic in removed]
        self.groups.forget_topics(topic.name for topic in removed)
        for failure in filter(None, failures):
            raise failure

    def _remove(self, removed: TopicImage) -> StreamlogError | None:
        """Take the files of a topic away; what was in the way of that."""
        try:
            self._remove_files(removed)
        except LockTimeoutError as error:
            return error
        except OSError as error:
            failure = InputOutputError(
                f"topic {removed.name!r} is deleted, but not all of its files: {error}; who next "
                "opens the directory alone removes them",
                path=error.filename or self.place.path,
                errno=error.errno,
                outcome="unknown",
            )
            failure.__cause__ = error
            return failure
        return None

    def _remove_files(self, removed: TopicImage) -> None:
        for partition in removed.partitions:
            mark_deleted(self._opening, self.partitions, removed, partition)
        self._forget_checkpoints(removed.name)
        for partition in removed.partitions:
            remove_partition(self._opening, self.partitions, removed, partition)

    def delete_topic(self, name: str) -> None:
        """Delete one topic."""
        self.delete_topics([name])

    @with_typed_errors
    def alter_topics(
        self, changes: Mapping[str, Mapping[str, object]], *, validate_only: bool = False
    ) -> list[TopicDescription]:
        """Change settings of topics. See `TopicConfigs.alter`."""
        self.check_writable()
        altered = self.configs.alter(changes, validate_only=validate_only)
        self.refresh()
        return altered

    def _forget_checkpoints(self, topic: str) -> None:
        """Nobody writes them meanwhile (`storage.log_start`), and nothing of a marked topic."""
        opening = self._opening
        with structure_lock(self.metadata.log):
            forget_topic(opening.filesystem, self.place.path, topic, mode=opening.mode)
