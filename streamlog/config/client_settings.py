"""The settings of `open()`, producers and consumers, and their typed results.

Names and defaults are Kafka's, except where a default answers to a network that is not there:
`enable_idempotence` is off, since under a lock no reply is ever lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from streamlog.config.checking import check_string
from streamlog.config.parsing import parse_settings
from streamlog.config.settings import Setting, SettingTable
from streamlog.errors import ConfigError

_NETWORK = (
    "bootstrap_servers", "client_dns_lookup", "client_rack", "connections_max_idle_ms",
    "enable_metrics_push", "metadata_max_age_ms", "metadata_recovery_rebootstrap_trigger_ms",
    "metadata_recovery_strategy", "receive_buffer_bytes", "reconnect_backoff_max_ms",
    "reconnect_backoff_ms", "request_timeout_ms", "retry_backoff_max_ms", "retry_backoff_ms",
    "security_protocol", "send_buffer_bytes", "socket_connection_setup_timeout_max_ms",
    "socket_connection_setup_timeout_ms",
)  # fmt: skip

_CLIENT_ID = Setting("client_id", "string", "", "a name for this client, for logs and metrics")

OPEN_SETTINGS = SettingTable(
    "open()",
    (
        Setting("lock_timeout_ms", "int", 10_000, "longest wait for another process's lock", 0),
        Setting(
            "max_open_files",
            "int",
            None,
            "files kept open; None is a quarter of the process's limit (RLIMIT_NOFILE)",
            16,
        ),
        Setting(
            "housekeeping", "bool", True, "whether this process does any: retention, compaction"
        ),
        Setting(
            "log_retention_check_interval_ms",
            "long",
            300_000,
            "time between two rounds of retention, of all processes together",
            1,
        ),
        Setting(
            "log_cleaner_backoff_ms", "long", 15_000, "time between two rounds of the cleaner", 1
        ),
        Setting(
            "log_cleaner_dedupe_buffer_size",
            "long",
            134_217_728,
            "bytes in which the cleaner remembers keys",
            1,
        ),
        Setting(
            "log_cleaner_io_buffer_load_factor",
            "double",
            0.9,
            "share of the cleaner's buffer that may be filled",
            0.01,
            1,
        ),
        Setting(
            "log_cleaner_io_max_bytes_per_second",
            "double",
            float("inf"),
            "bytes that the cleaner reads and writes in a second, at most",
            1,
        ),
        Setting(
            "offsets_topic_num_partitions",
            "int",
            50,
            "partitions of __consumer_offsets, for whose first use makes it",
            1,
            512,
        ),
        Setting(
            "offsets_retention_minutes",
            "int",
            None,
            "how long committed offsets that nobody uses are kept; None is for ever",
            1,
        ),
        Setting(
            "offsets_retention_check_interval_ms",
            "long",
            600_000,
            "time between two looks for offsets that are kept no longer",
            1,
        ),
    ),
)

PRODUCER_SETTINGS = SettingTable(
    "producer",
    (
        Setting("acks", "acks", -1, "what a resolved future means: buffered, written or synced"),
        Setting("linger_ms", "int", 5, "longest time a record waits for others of its batch", 0),
        Setting("batch_size", "int", 16_384, "bytes at which a batch is sent, linger or not", 0),
        Setting(
            "compression_type",
            "string",
            "none",
            "codec of the batches",
            choices=("none", "gzip", "snappy", "lz4", "zstd"),
        ),
        Setting("enable_idempotence", "bool", False, "number the batches, refuse duplicates"),
        Setting("max_block_ms", "long", 60_000, "longest wait of send() for room", 0),
        Setting("buffer_memory", "long", 33_554_432, "bytes of records not yet appended", 0),
        Setting("delivery_timeout_ms", "int", 120_000, "longest time until a send has failed", 0),
        Setting("partitioner", "callable", None, "chooses the partition instead of Kafka's rule"),
        Setting("key_serializer", "callable", None, "turns each key into bytes"),
        Setting("value_serializer", "callable", None, "turns each value into bytes"),
        _CLIENT_ID,
    ),
    refused={
        "transactional_id": "this version has no transactions",
        "transaction_timeout_ms": "this version has no transactions",
        "group_id": "it is a setting of consumers",
    },
    networked=(
        *_NETWORK, "max_in_flight_requests_per_connection", "max_request_size",
        "metadata_max_idle_ms", "partitioner_adaptive_partitioning_enable",
        "partitioner_availability_timeout_ms", "partitioner_rack_aware", "retries",
    ),
)  # fmt: skip

CONSUMER_SETTINGS = SettingTable(
    "consumer",
    (
        Setting("group_id", "string", None, "the group whose members share the partitions"),
        Setting("group_instance_id", "string", None, "a name that outlives restarts"),
        Setting(
            "group_remote_assignor",
            "string",
            None,
            "what this member wants its group's partitions assigned by",
            choices=("uniform", "range"),
        ),
        Setting(
            "group_protocol",
            "string",
            "consumer",
            "how members rebalance: in a process as KIP-848 has it",
            choices=("consumer",),
        ),
        Setting(
            "max_poll_interval_ms",
            "int",
            300_000,
            "time between two polls after which a member hangs, and others get its partitions",
            1,
        ),
        Setting(
            "enable_auto_commit",
            "bool",
            True,
            "whether the positions of a group's member are committed by themselves",
        ),
        Setting("auto_commit_interval_ms", "int", 5_000, "time between two such commits", 0),
        Setting("commit_acks", "acks", 1, "what a commit that returned means: written or synced"),
        Setting("on_assign", "callable", None, "called with the partitions that were given"),
        Setting("on_revoke", "callable", None, "called with those that are about to be given up"),
        Setting("on_lost", "callable", None, "called with those that others may have by now"),
        Setting(
            "auto_offset_reset",
            "string",
            "latest",
            "where to start without a position: at the end, the beginning, or not at all",
            choices=("latest", "earliest", "none"),
        ),
        Setting("fetch_min_bytes", "int", 1, "bytes that end the wait of a fetch", 0),
        Setting("fetch_max_wait_ms", "int", 500, "longest wait for fetch_min_bytes", 0),
        Setting("fetch_max_bytes", "int", 52_428_800, "bytes of one fetch, all partitions", 0),
        Setting(
            "max_partition_fetch_bytes", "int", 1_048_576, "bytes of one fetch, one partition", 0
        ),
        Setting("max_poll_records", "int", 500, "records that one poll() returns at most", 1),
        Setting(
            "consumer_timeout_ms",
            "long",
            None,
            "iteration ends after this long without a record; None waits for ever",
            0,
        ),
        Setting("check_crcs", "bool", True, "verify the checksum of every batch read"),
        Setting(
            "isolation_level",
            "string",
            "read_uncommitted",
            "whether records of undecided transactions are seen",
            choices=("read_uncommitted", "read_committed"),
        ),
        Setting("key_deserializer", "callable", None, "turns the bytes of each key into an object"),
        Setting(
            "value_deserializer", "callable", None, "turns the bytes of each value into an object"
        ),
        _CLIENT_ID,
    ),
    refused={
        "partition_assignment_strategy": "the group's coordinator assigns: group_remote_assignor",
        "session_timeout_ms": "a member in a process is missed when its process is gone, or when "
        "it does not poll for max_poll_interval_ms",
        "heartbeat_interval_ms": "members in a process send no heartbeats",
    },
    networked=(
        *_NETWORK, "allow_auto_create_topics", "default_api_timeout_ms", "exclude_internal_topics",
    ),
)  # fmt: skip


#: What only members of a group have.
_OF_MEMBERS = (
    "group_instance_id",
    "group_remote_assignor",
    "enable_auto_commit",
    "on_assign",
    "on_revoke",
    "on_lost",
)


class OpenConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What `open()` was asked for, about this process; what changes bytes lives in the topics."""

    lock_timeout_ms: int
    max_open_files: int | None
    housekeeping: bool
    log_retention_check_interval_ms: int
    log_cleaner_backoff_ms: int
    log_cleaner_dedupe_buffer_size: int
    log_cleaner_io_buffer_load_factor: float
    log_cleaner_io_max_bytes_per_second: float
    offsets_topic_num_partitions: int
    offsets_retention_minutes: int | None
    offsets_retention_check_interval_ms: int

    @classmethod
    def from_settings(cls, given: Mapping[str, object]) -> OpenConfig:
        """Check `given` and fill in the defaults. Raises `ConfigError` and its subclasses."""
        return cls(**parse_settings(OPEN_SETTINGS, given))


class ProducerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one producer. `acks` is 0, 1 or -1 for "all"; `*_ms` are milliseconds."""

    ACKS_ALL: ClassVar[int] = -1

    acks: int
    linger_ms: int
    batch_size: int
    compression_type: str
    enable_idempotence: bool
    max_block_ms: int
    buffer_memory: int
    delivery_timeout_ms: int
    partitioner: Callable[..., int] | None
    key_serializer: Callable[[Any], bytes | None] | None
    value_serializer: Callable[[Any], bytes | None] | None
    client_id: str

    @classmethod
    def from_settings(cls, given: Mapping[str, object]) -> ProducerConfig:
        """Check `given` and fill in the defaults. Raises `ConfigError` and its subclasses.

        Idempotence demands `acks="all"` (KIP-679), and a batch has to have time to linger.
        """
        config = cls(**parse_settings(PRODUCER_SETTINGS, given))
        if config.enable_idempotence and config.acks != cls.ACKS_ALL:
            raise _contradiction("acks", config.acks, '"all" with enable_idempotence=True')
        if config.delivery_timeout_ms < config.linger_ms:
            limit = f"at least linger_ms={config.linger_ms}"
            raise _contradiction("delivery_timeout_ms", config.delivery_timeout_ms, limit)
        if config.buffer_memory < config.batch_size:
            limit = f"at least batch_size={config.batch_size}"
            raise _contradiction("buffer_memory", config.buffer_memory, limit)
        return config


class ConsumerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one consumer. Sizes are bytes, `*_ms` milliseconds."""

    group_id: str | None
    group_instance_id: str | None
    group_remote_assignor: str | None
    group_protocol: str
    max_poll_interval_ms: int
    enable_auto_commit: bool
    auto_commit_interval_ms: int
    commit_acks: int
    on_assign: Callable[..., Any] | None
    on_revoke: Callable[..., Any] | None
    on_lost: Callable[..., Any] | None
    auto_offset_reset: str
    fetch_min_bytes: int
    fetch_max_wait_ms: int
    fetch_max_bytes: int
    max_partition_fetch_bytes: int
    max_poll_records: int
    consumer_timeout_ms: int | None
    check_crcs: bool
    isolation_level: str
    key_deserializer: Callable[[bytes], Any] | None
    value_deserializer: Callable[[bytes], Any] | None
    client_id: str

    @classmethod
    def from_settings(cls, given: Mapping[str, object]) -> ConsumerConfig:
        """Check `given` and fill in the defaults. Raises `ConfigError` and its subclasses."""
        resolved = parse_settings(CONSUMER_SETTINGS, given)
        for name in ("group_id", "group_instance_id"):
            if resolved[name] is not None and not resolved[name].strip():
                raise _contradiction(name, resolved[name], "a name, or None")
        for name in ("group_id", "group_instance_id", "client_id"):
            check_string(name, resolved[name] or "")
        if resolved["group_id"] is None:
            for name in _OF_MEMBERS:
                if given.get(name) not in (None, False):
                    raise _contradiction(name, resolved[name], "None without a group_id")
        if resolved["commit_acks"] == 0:
            raise _contradiction("commit_acks", 0, '1 or "all"')
        return cls(**resolved)


def _contradiction(name: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(
        f"{name}={value!r} is not allowed: it must be {allowed}",
        name=name,
        value=value,
        allowed=allowed,
    )
