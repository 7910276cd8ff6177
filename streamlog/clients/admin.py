"""`Admin`: what Kafka's Admin client has, for a directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from streamlog.clients import offsets
from streamlog.clients.group_admin import GroupAdmin
from streamlog.clients.subscription import checked_partition
from streamlog.errors import ConfigError
from streamlog.types import (
    IsolationLevel,
    LogDirDescription,
    NewTopic,
    OffsetAndTimestamp,
    PartitionCompaction,
    PartitionDescription,
    ProducerDescription,
    TopicDescription,
    TopicPartition,
)

if TYPE_CHECKING:
    from streamlog.clients.stream_log import StreamLog
    from streamlog.config import AlterConfigOp
    from streamlog.config.config_entry import ConfigEntry


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


class Admin(GroupAdmin):
    """Made by `StreamLog.admin`. Thread-safe; it has no state of its own.

    A call that changes several topics changes all of them or none, in one durable step: where
    Kafka answers for each topic, the first that cannot be done is raised here, naming its topic,
    and nothing was done. Who wants each by itself calls once for each. With `validate_only=True`
    a call checks everything, changes nothing and returns what would be.
    """

    __slots__ = ("_log",)

    def __init__(self, log: StreamLog) -> None:
        self._log = log

    def __repr__(self) -> str:
        return f"<Admin of {self._log}>"

    # Topics

    def create_topics(
        self, topics: Iterable[NewTopic | str], *, validate_only: bool = False
    ) -> list[TopicDescription]:
        """Create topics, all or none; a name alone gets one partition and default settings.

        Raises what `StreamLog.create_topic` raises.
        """
        if isinstance(topics, (str, NewTopic)):
            raise ConfigError(f"a list of topics is expected, not {topics!r} alone", value=topics)
        wanted = [NewTopic(each) if isinstance(each, str) else each for each in topics]
        for topic in wanted:
            if not isinstance(topic, NewTopic):
                raise ConfigError(f"a NewTopic or a name is expected, not {topic!r}", value=topic)
            _check_mapping(topic.settings, f"the settings of {topic.name!r}")
        return self._log.engine_for_writing().create_topics(wanted, validate_only=validate_only)

    def delete_topics(self, topics: Iterable[str]) -> None:
        """Delete topics and their records, all or none. Raises `UnknownTopicError`."""
        self._log.engine_for_writing().delete_topics(_names(topics))

    def create_partitions(
        self, totals: Mapping[str, int], *, validate_only: bool = False
    ) -> list[TopicDescription]:
        """Let each topic have so many partitions in total, all or none.

        Raises what `StreamLog.create_partitions` raises.
        """
        _check_mapping(totals, "totals, by topic,")
        return self._log.engine_for_writing().grow_topics(totals, validate_only=validate_only)

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

    # Settings

    def describe_configs(
        self, topics: Iterable[str] | None = None
    ) -> dict[str, dict[str, ConfigEntry]]:
        """Every setting of these topics, or of all, by dotted name: `ConfigEntry` has its value,
        where it comes from, what it means, and whether it has an effect here.

        Raises `UnknownTopicError`.
        """
        engine = self._log.engine()
        names = engine.topics() if topics is None else _names(topics)
        return {name: engine.configs.describe(name) for name in names}

    def alter_configs(
        self,
        changes: Mapping[str, Mapping[str, AlterConfigOp | Any]],
        *,
        validate_only: bool = False,
    ) -> list[TopicDescription]:
        """Change some settings of topics, all or none (Kafka's incremental alteration, KIP-339).

        `changes` has by topic the settings to change, in snake_case or dotted; those not named
        stay as they are. A value is set, None restores the default, `AlterConfigOp("append",
        "compact")` and `"subtract"` change a list. The result is checked as a whole and is durable
        when this returns. What is appended and read afterwards obeys it, in every process and
        without reopening anything. Raises `UnknownTopicError`, `UnknownSettingError` naming the
        nearest, `ConfigError` (`topic`, `name`, `value`, `allowed`), `ReadOnlyError`.
        """
        _check_mapping(changes, "changes, by topic,")
        for name, settings in changes.items():
            _check_mapping(settings, f"the settings of {name!r}")
        return self._log.engine_for_writing().alter_topics(changes, validate_only=validate_only)

    # Offsets

    def list_offsets(
        self,
        timestamps: Mapping[TopicPartition, int],
        *,
        isolation_level: IsolationLevel = "read_uncommitted",
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """Kafka's ListOffsets: the first record at or after a time in ms, None when there is none.

        An `OffsetSpec` instead of a time stands for an end of the log or for the record with the
        largest timestamp. With `isolation_level="read_committed"` a log ends where its first
        undecided transaction begins. Raises `UnknownTopicError`, and `ConfigError` for what is
        neither.
        """
        return offsets.list_offsets(self._log.engine(), timestamps, isolation_level)

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition."""
        return offsets.beginning_offsets(self._log.engine(), partitions)

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset that the next record of each partition gets."""
        return offsets.end_offsets(self._log.engine(), partitions)

    # What is there

    def describe_log_dirs(
        self, topics: Iterable[str] | None = None
    ) -> dict[str, LogDirDescription]:
        """The directory by its path: how large its file system is, and what each partition takes.

        Partitions of these topics, or of all. One entry, in Kafka's shape: a directory is one of a
        broker's `log.dirs`. Raises `UnknownTopicError`.
        """
        from streamlog.broker.log_dirs import describe_log_dir

        described = self.describe_topics(topics).values()
        return {self._log.path: describe_log_dir(self._log.engine(), described)}

    def describe_producers(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, list[ProducerDescription]]:
        """The idempotent producers that each partition remembers, by id. Plain ones leave no trace.

        Raises `UnknownTopicError`.
        """
        from streamlog.broker.active_producers import describe_producers

        engine = self._log.engine()
        return {
            each: describe_producers(engine.partition(*each))
            for each in offsets.checked_partitions(engine, partitions)
        }

    # Records

    def delete_records(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Delete the records before these offsets; the first offset that each partition has now.

        -1 deletes all there are (up to the high watermark). What is deleted is deleted for every
        process, and stays so, when this returns: reading it raises `OffsetOutOfRangeError`, and a
        consumer goes where its `auto_offset_reset` says. All partitions are checked first. Raises
        `OffsetOutOfRangeError` for an offset behind the high watermark, `PolicyViolationError` for
        a topic whose `cleanup_policy` is only "compact", `InvalidTopicError` for an internal one,
        `UnknownTopicError`, `ReadOnlyError`, `LockTimeoutError`.
        """
        engine = self._log.engine_for_writing()
        checked = {
            checked_partition(each, engine.topic): _checked_offset(each, offset)
            for each, offset in offsets.items()
        }
        return engine.delete_records(checked)

    def apply_retention(self, topic: str | None = None) -> dict[TopicPartition, int]:
        """Delete now what `retention_ms` and `retention_bytes` do not keep, of a topic or of all.

        The first offset of each partition that begins elsewhere now. Otherwise a thread does this
        every `log_retention_check_interval_ms`, in one of the processes that have the directory
        open. A record's age is what the clock says now less its timestamp; whole segments go, and
        never one that holds a record that is not due. Raises `UnknownTopicError`,
        `ReadOnlyError`, `LockTimeoutError` when another process does not get on with its
        housekeeping, and, when all were tried, the first failure of a partition.
        """
        return self._log.engine_for_writing().apply_retention(topic)

    def compact(self, topic: str) -> dict[TopicPartition, PartitionCompaction]:
        """Compact a topic now: of each key the latest record stays, with its offset.

        What that came to, by partition. The active segment is ended first, so that everything
        counts that is older than `min_compaction_lag_ms`; Kafka's other rules hold (a deleted key
        is remembered for `delete_retention_ms`). Otherwise a thread does this every
        `log_cleaner_backoff_ms`, in one of the processes that have the directory open, where
        `min_cleanable_dirty_ratio` or `max_compaction_lag_ms` asks for it, and leaves active
        segments as they are until they are old enough. Others append and read meanwhile; who holds
        batches keeps them. Raises `UnknownTopicError`, `PolicyViolationError` for a topic whose
        `cleanup_policy` is without "compact", `ReadOnlyError`, `LockTimeoutError` when another
        process does not get on with its housekeeping, and, when all were tried, the first failure
        of a partition (`CorruptRecordError` for damage: nothing is lost by that).
        """
        return self._log.engine_for_writing().compact(topic)

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


def _check_mapping(value: object, what: str) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{what} are a mapping, not {value!r}", value=value)


def _checked_offset(partition: TopicPartition, offset: object) -> int:
    if isinstance(offset, bool) or not isinstance(offset, int):
        raise ConfigError(
            f"{offset!r} is not an offset of {partition}: an integer is expected", value=offset
        )
    return offset


def _names(topics: Iterable[str]) -> list[str]:
    if isinstance(topics, str):
        raise ConfigError(f"a list of topics is expected, not the string {topics!r}", value=topics)
    names = list(topics)
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"a topic's name is a str, not {name!r}", value=name)
    return names
