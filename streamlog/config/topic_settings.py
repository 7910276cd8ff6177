"""Every topic setting of Kafka 4.4, as data.

Defaults and bounds are Kafka's, with one exception, which `KAFKA_DEFAULTS` in `topic_config`
undoes for a network listener: in process nothing is deleted unless asked for, so `retention_ms`
is -1. What is marked `honoured=False` is checked, stored, shown and handed on to a broker that
takes the directory over, and has no effect here; `reason` says why.
"""

from __future__ import annotations

from streamlog.config.settings import LONG_MAX, Setting, SettingTable

_COMPRESSION = ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")
_DAY_MS = 24 * 60 * 60 * 1000

_NO_REPLICAS = "a directory is its partitions' only replica"
_NO_TIERS = "there is no tiered storage"

_WRITING = (
    Setting("max_message_bytes", "int", 1_048_588, "largest record batch accepted", low=0),
    Setting(
        "message_timestamp_type",
        "string",
        "CreateTime",
        "whose clock a record's timestamp is: the producer's, or the log's at the append",
        choices=("CreateTime", "LogAppendTime"),
    ),
    Setting(
        "message_timestamp_before_max_ms",
        "long",
        LONG_MAX,
        "how far before now a producer's timestamp may lie",
        low=0,
    ),
    Setting(
        "message_timestamp_after_max_ms",
        "long",
        3_600_000,
        "how far after now a producer's timestamp may lie",
        low=0,
    ),
    Setting(
        "compression_type",
        "string",
        "producer",
        'the codec on disk; "producer" keeps each batch as it was sent',
        choices=_COMPRESSION,
    ),
    Setting("compression_gzip_level", "int", -1, "gzip's effort; -1 is its default", 1, 9, also=-1),
    Setting("compression_lz4_level", "int", 9, "lz4's effort", 1, 17),
    Setting("compression_zstd_level", "int", 3, "zstd's effort", -131_072, 22),
    Setting("flush_messages", "long", LONG_MAX, "records after which the log is synced", low=1),
    Setting("flush_ms", "long", LONG_MAX, "time after which an unsynced log is synced", low=0),
    Setting(
        "min_insync_replicas",
        "int",
        1,
        'replicas that must have a record before acks="all" resolves',
        low=1,
        honoured=False,
        reason=_NO_REPLICAS,
    ),
)

_FILES = (
    Setting(
        "segment_bytes",
        "int",
        1_073_741_824,
        "size at which a new segment file is begun",
        low=1_048_576,
    ),
    Setting("segment_ms", "long", 7 * _DAY_MS, "age at which a new segment is begun", low=1),
    Setting("segment_jitter_ms", "long", 0, "random part taken off segment_ms", low=0),
    Setting(
        "segment_index_bytes", "int", 10_485_760, "largest index file before a new segment", low=4
    ),
    Setting(
        "index_interval_bytes", "int", 4096, "bytes of records between two index entries", low=0
    ),
    Setting(
        "preallocate",
        "bool",
        False,
        "reserve a segment's size when it is begun",
        honoured=False,
        reason="a file is as long as what was written to it",
    ),
    Setting(
        "file_delete_delay_ms",
        "long",
        60_000,
        "how long a deleted segment's files stay on disk",
        low=0,
        honoured=False,
        reason="files go at once, and who reads them keeps them until done",
    ),
    Setting(
        "internal_segment_bytes",
        "int",
        None,
        "overrides segment_bytes below its lower bound, for tests",
        low=14,
        hidden=True,
    ),
)

_RETENTION = (
    Setting(
        "cleanup_policy",
        "list",
        ("delete",),
        "delete old segments, keep the latest record of each key, both, or neither (empty); "
        "compact demands a key of every record",
        choices=("delete", "compact"),
    ),
    Setting(
        "retention_ms",
        "long",
        -1,
        "age at which old segments may be deleted; -1 keeps them",
        low=-1,
    ),
    Setting(
        "retention_bytes",
        "long",
        -1,
        "size of a partition above which old segments may be deleted; -1 is no limit",
    ),
    Setting(
        "delete_retention_ms",
        "long",
        _DAY_MS,
        "how long a compacted topic keeps the mark of a deleted key",
        low=0,
    ),
    Setting(
        "min_cleanable_dirty_ratio",
        "double",
        0.5,
        "share of a log that must be uncleaned before it is compacted",
        0,
        1,
    ),
    Setting(
        "min_compaction_lag_ms",
        "long",
        0,
        "age before which a record is not compacted away",
        low=0,
    ),
    Setting(
        "max_compaction_lag_ms",
        "long",
        LONG_MAX,
        "age after which a record is compacted whatever the dirty ratio",
        low=1,
    ),
)

_BROKER = (
    Setting(
        "leader_replication_throttled_replicas",
        "throttled_replicas",
        (),
        "replicas whose outgoing replication is throttled",
        honoured=False,
        reason=_NO_REPLICAS,
    ),
    Setting(
        "follower_replication_throttled_replicas",
        "throttled_replicas",
        (),
        "replicas whose incoming replication is throttled",
        honoured=False,
        reason=_NO_REPLICAS,
    ),
    Setting(
        "unclean_leader_election_enable",
        "bool",
        False,
        "let a replica that lags become leader",
        honoured=False,
        reason=_NO_REPLICAS,
    ),
    Setting(
        "remote_storage_enable",
        "bool",
        False,
        "copy segments to tiered storage",
        honoured=False,
        reason=_NO_TIERS,
    ),
    Setting(
        "remote_log_copy_disable",
        "bool",
        False,
        "stop copying to tiered storage",
        honoured=False,
        reason=_NO_TIERS,
    ),
    Setting(
        "remote_log_delete_on_disable",
        "bool",
        False,
        "delete what is in tiered storage when it is turned off",
        honoured=False,
        reason=_NO_TIERS,
    ),
    Setting(
        "remote_copy_lag_ms",
        "long",
        0,
        "age at which a segment is copied to tiered storage (KIP-1241)",
        low=-1,
        honoured=False,
        reason=_NO_TIERS,
    ),
    Setting(
        "remote_copy_lag_bytes",
        "long",
        -1,
        "bytes behind the end at which a segment is copied (KIP-1241)",
        low=-1,
        honoured=False,
        reason=_NO_TIERS,
    ),
    Setting(
        "local_retention_ms",
        "long",
        -2,
        "retention of what tiered storage has too; -2 is retention_ms",
        low=-2,
        honoured=False,
        reason=_NO_TIERS,
    ),
    Setting(
        "local_retention_bytes",
        "long",
        -2,
        "size kept of what tiered storage has too; -2 is retention_bytes",
        low=-2,
        honoured=False,
        reason=_NO_TIERS,
    ),
    Setting(
        "errors_deadletterqueue_group_enable",
        "bool",
        False,
        "the topic may serve as a dead-letter queue of share groups (KIP-1191)",
        honoured=False,
        reason="there are no share groups",
    ),
)

TOPIC_SETTINGS = SettingTable("topic", _WRITING + _FILES + _RETENTION + _BROKER)
