"""Offsets by time and by position in the log, for consumers and for `Admin`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, get_args

from streamlog.broker.list_offsets import list_offset
from streamlog.clients.subscription import checked_partition, typed_partitions
from streamlog.errors import ConfigError
from streamlog.types import IsolationLevel, OffsetAndTimestamp, TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.storage.partition_log import PartitionLog


def beginning_offsets(
    engine: Engine, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """The first offset of each partition that can be read."""
    return {each: _log(engine, each).log_start for each in checked_partitions(engine, partitions)}


def end_offsets(engine: Engine, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """The offset that the next record of each partition gets."""
    return {
        each: _log(engine, each).high_watermark for each in checked_partitions(engine, partitions)
    }


def offsets_for_times(
    engine: Engine, timestamps: Mapping[TopicPartition, int]
) -> dict[TopicPartition, OffsetAndTimestamp | None]:
    """The first record of each partition at or after a time in ms; None when there is none.

    Raises `ConfigError` for a time that is not an integer from 0 up.
    """
    _check_times(timestamps)
    for partition, timestamp in timestamps.items():
        if not isinstance(timestamp, int) or isinstance(timestamp, bool) or timestamp < 0:
            raise ConfigError(
                f"{timestamp!r} is not a time for {partition}: integer milliseconds since 1970 "
                "are expected",
                value=timestamp,
            )
    return list_offsets(engine, timestamps)


def list_offsets(
    engine: Engine,
    timestamps: Mapping[TopicPartition, int],
    isolation_level: IsolationLevel = "read_uncommitted",
) -> dict[TopicPartition, OffsetAndTimestamp | None]:
    """Kafka's ListOffsets: for each partition a time in ms, or an `OffsetSpec`."""
    if isolation_level not in get_args(IsolationLevel):
        allowed = " or ".join(get_args(IsolationLevel))
        raise ConfigError(
            f"isolation_level={isolation_level!r} is not allowed: it must be {allowed}",
            name="isolation_level",
            value=isolation_level,
            allowed=allowed,
        )
    _check_times(timestamps)
    return {
        each: list_offset(_log(engine, each), timestamps[each], isolation_level)
        for each in checked_partitions(engine, timestamps)
    }


def checked_partitions(
    engine: Engine, partitions: Iterable[TopicPartition]
) -> list[TopicPartition]:
    """The partitions themselves. Raises `UnknownTopicError` unless all of them are there."""
    return [checked_partition(each, engine.topic) for each in typed_partitions(partitions)]


def _check_times(timestamps: object) -> None:
    if not isinstance(timestamps, Mapping):
        raise ConfigError(
            f"times, by partition, are a mapping, not {timestamps!r}", value=timestamps
        )


def _log(engine: Engine, partition: TopicPartition) -> PartitionLog:
    return engine.partition(partition.topic, partition.partition)
