"""The small values that calls take and return: immutable, comparable, cheap to make.

Offsets count records of a partition from 0. Timestamps and `*_ms` are integer milliseconds
since the epoch. Topic ids and the cluster's id are Kafka's text form of a UUID: URL-safe
base64 of 16 bytes without padding, 22 characters.

What is read from a log is not here: `streamlog.Record` and `streamlog.RecordBatch` are views
over bytes and live in the record package.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import msgspec

#: How safe a record is, by name: in this process, given to the operating system (survives the
#: process being killed), on the disk (survives power loss).
Durability = Literal["buffered", "written", "synced"]


#: Whether records of undecided transactions are seen, as Kafka's consumers are told.
IsolationLevel = Literal["read_uncommitted", "read_committed"]


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


class OffsetAndMetadata(NamedTuple):
    """How far a group has read a partition: the offset of the next record it wants.

    `metadata` is what its consumers want to remember with it. `leader_epoch` is that of the record
    before, where it is known (KIP-320).
    """

    offset: int
    metadata: str = ""
    leader_epoch: int | None = None


class GroupListing(NamedTuple):
    """A group. `type` is its protocol, "consumer" (KIP-848) or "classic"; `state` Kafka's word.

    `protocol_type` is "consumer" for consumers, and empty for a group that only holds offsets.
    """

    group_id: str
    type: str
    protocol_type: str
    state: str


class GroupMember(NamedTuple):
    """A member of a group, with what it has.

    `host` names the process of a member that lives in one (`process:NUMBER:PID`), or where it
    connects from. `epoch` is the member's, and -1 in a classic group.
    """

    member_id: str
    instance_id: str | None
    client_id: str
    host: str
    epoch: int
    assignment: tuple[TopicPartition, ...]


class GroupOffset(NamedTuple):
    """How far a group has read a partition. None where it has committed nothing.

    `log_end` is the offset that the next record gets; `lag` how many offsets there are to it.
    """

    committed: int | None
    metadata: str
    log_end: int
    lag: int | None


class GroupDescription(NamedTuple):
    """A group as it is now: its members, and how far it has read what they have or it committed.

    `assignor` is what shares out its partitions, `epoch` counts its rebalances.
    """

    group_id: str
    type: str
    protocol_type: str
    state: str
    assignor: str
    epoch: int
    members: tuple[GroupMember, ...]
    offsets: dict[TopicPartition, GroupOffset]


class OffsetReset(NamedTuple):
    """Where a group went on in a partition, None for nowhere, and where it goes on now."""

    before: int | None
    after: int


class OffsetSpec(IntEnum):
    """What `Admin.list_offsets` may be asked for instead of a time; the numbers are Kafka's."""

    LATEST = -1
    """The offset that the next record gets; where only decided transactions count, the first one
    that is not decided yet."""

    EARLIEST = -2
    """The first offset that can be read."""

    MAX_TIMESTAMP = -3
    """The first record that has the largest timestamp (KIP-734)."""

    EARLIEST_LOCAL = -4
    """The first offset on this disk: `EARLIEST`, since nothing is anywhere else (KIP-405)."""

    LATEST_TIERED = -5
    """The last offset in tiered storage: none (KIP-1005)."""

    EARLIEST_PENDING_UPLOAD = -6
    """The first offset that waits for tiered storage: none (KIP-1023)."""


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


class NewTopic(msgspec.Struct, frozen=True):
    """A topic to create: `settings` in snake_case or in Kafka's dotted names."""

    name: str
    partitions: int = 1
    settings: Mapping[str, Any] = {}


class TopicDescription(NamedTuple):
    """A topic: its id, its number of partitions and the settings that were set for it.

    `settings` has Kafka's dotted names and textual values (`{"cleanup.policy": "compact"}`);
    what all settings are, and which of them have an effect here, `Admin.describe_configs` says.
    `topic_id` is empty for a topic that was only validated.
    """

    name: str
    topic_id: str
    partitions: int
    settings: dict[str, str]
    internal: bool


class ReplicaInfo(NamedTuple):
    """What a partition takes in a directory: the bytes of its records' files.

    `offset_lag` is how far it is behind its leader, and `is_future` whether it is being moved
    here: there are no other replicas.
    """

    size: int
    offset_lag: int = 0
    is_future: bool = False


class LogDirDescription(NamedTuple):
    """A directory: the bytes of its file system, all and usable ones, and of each partition."""

    total_bytes: int
    usable_bytes: int
    replica_infos: dict[TopicPartition, ReplicaInfo]


class BackupReport(NamedTuple):
    """A backup that was made: where, up to where, and what it took.

    `ends` has the offset behind the last record that is in it, for each partition with a log.
    Segments that are linked share their bytes with the log, or with the backup that was there
    before; `bytes_copied` is everything that was written, indexes included.
    """

    path: str
    ends: dict[TopicPartition, int]
    segments_linked: int
    segments_copied: int
    bytes_linked: int
    bytes_copied: int


class ProducerDescription(NamedTuple):
    """An idempotent producer as a partition remembers it.

    `last_sequence` is that of its last record here, -1 for none in its epoch. `last_timestamp` is
    in ms. `coordinator_epoch` is that of the last transaction that was ended here, None for none,
    `current_transaction_start_offset` where the open one begins, None if none is.
    """

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp: int
    coordinator_epoch: int | None
    current_transaction_start_offset: int | None


class PartitionCompaction(NamedTuple):
    """What compacting a partition came to: records and bytes of its compacted part.

    What is before `first_dirty_offset` has been looked at by now; what follows was too young, is
    in the active segment, or belongs to a transaction that is not decided. All zeros where nothing
    was left to do.
    """

    records_before: int = 0
    records_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    first_dirty_offset: int = 0
