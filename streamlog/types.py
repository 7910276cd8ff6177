"""The small values that calls take and return: immutable, comparable, cheap to make.

Offsets count records of a partition from 0. Timestamps and `*_ms` are integer milliseconds
since the epoch. Topic ids and the cluster's id are Kafka's text form of a UUID: URL-safe
base64 of 16 bytes without padding, 22 characters.

What is read from a log is not here: `streamlog.Record` and `streamlog.RecordBatch` are views
over bytes and live in the record package.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

#: How safe a record is, by name: in this process, given to the operating system (survives the
#: process being killed), on the disk (survives power loss).
Durability = Literal["buffered", "written", "synced"]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class RecordMetadata(NamedTuple):
    """Where one record went: the result of a send.

    `offset` is -1 with `acks=0`, which resolves before the record has one. `timestamp` is the
    record's, or the log's where the topic stamps records itself (`LogAppendTime`).
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    durability: Durability


class AppendedBatch(NamedTuple):
    """Where a run of records went: `count` records from `base_offset` on, one batch."""

    topic: str
    partition: int
    base_offset: int
    count: int  # type: ignore[assignment]  # hides tuple.count, as the name is Kafka's


class OffsetAndTimestamp(NamedTuple):
    """A record found by time (Kafka's ListOffsets)."""

    offset: int
    timestamp: int
    leader_epoch: int | None = None


class PartitionDescription(NamedTuple):
    """One partition as it is now.

    `log_start` is the first offset that can be read, `log_end` the next one to be written.
    `end_position` is the length in bytes of the active segment. `synced_end` is the offset
    below which the disk has everything. `poisoned` is the errno of a failed sync, or 0.
    """

    topic: str
    partition: int
    leader_epoch: int
    log_start: int
    log_end: int
    high_watermark: int
    synced_end: int
    end_position: int
    poisoned: int


class TopicDescription(NamedTuple):
    """A topic: its id, its number of partitions and the settings that differ from the default.

    `settings` has Kafka's dotted names and textual values (`{"cleanup.policy": "compact"}`).
    """

    name: str
    topic_id: str
    partitions: int
    settings: dict[str, str]
    internal: bool
