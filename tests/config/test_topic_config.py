from __future__ import annotations

import msgspec
import pytest

from streamlog.config import KAFKA_DEFAULTS, TOPIC_SETTINGS, TopicConfig, parse_topic_settings
from streamlog.config.config_entry import ConfigSource
from streamlog.config.describing import describe_topic_settings
from streamlog.errors import ConfigError, UnknownSettingError

MAX = 2**63 - 1
# Name, default and type as Kafka's own documentation of its topic settings has them.
KAFKA = """
cleanup.policy delete
compression.type producer
compression.gzip.level -1
compression.lz4.level 9
compression.zstd.level 3
delete.retention.ms 86400000
errors.deadletterqueue.group.enable false
file.delete.delay.ms 60000
flush.messages 9223372036854775807
flush.ms 9223372036854775807
follower.replication.throttled.replicas
leader.replication.throttled.replicas
index.interval.bytes 4096
local.retention.bytes -2
local.retention.ms -2
max.compaction.lag.ms 9223372036854775807
max.message.bytes 1048588
message.timestamp.after.max.ms 3600000
message.timestamp.before.max.ms 9223372036854775807
message.timestamp.type CreateTime
min.cleanable.dirty.ratio 0.5
min.compaction.lag.ms 0
min.insync.replicas 1
preallocate false
remote.copy.lag.ms 0
remote.copy.lag.bytes -1
remote.log.copy.disable false
remote.log.delete.on.disable false
remote.storage.enable false
retention.bytes -1
retention.ms 604800000
segment.bytes 1073741824
segment.index.bytes 10485760
segment.jitter.ms 0
segment.ms 604800000
unclean.leader.election.enable false
"""


def test_every_setting_of_kafka_is_there_with_its_default() -> None:
    kafka = {name: value for name, _, value in (line.partition(" ") for line in KAFKA.split("\n"))}
    del kafka[""]
    entries = describe_topic_settings({}, defaults=KAFKA_DEFAULTS)
    assert {entry.name: entry.value for entry in entries.values()} == kafka


def test_in_process_nothing_is_deleted_unless_asked() -> None:
    assert TopicConfig.from_overrides({}).retention_ms == -1
    assert TopicConfig.from_overrides({"retention.ms": "5"}, KAFKA_DEFAULTS).retention_ms == 5


def test_struct_has_the_settings_of_the_table() -> None:
    fields = {field.name for field in msgspec.structs.fields(TopicConfig)} - {
        "overrides",
        "max_batch_bytes",
    }
    assert fields == {setting.name for setting in TOPIC_SETTINGS}


def test_defaults_are_allowed_values() -> None:
    defaults = {setting.name: setting.default for setting in TOPIC_SETTINGS}
    stored = parse_topic_settings(defaults)
    assert TopicConfig.from_overrides(stored) == msgspec.structs.replace(
        TopicConfig.from_overrides({}), overrides=stored
    )


def test_settings_are_stored_as_kafka_stores_them() -> None:
    stored = parse_topic_settings(
        {
            "cleanup_policy": ["compact", "delete"],
            "segment.bytes": "2097152",
            "min_cleanable_dirty_ratio": 1,
            "preallocate": True,
            "retention_ms": None,
        }
    )
    assert stored == {
        "cleanup.policy": "compact,delete",
        "segment.bytes": "2097152",
        "min.cleanable.dirty.ratio": "1.0",
        "preallocate": "true",
    }
    assert parse_topic_settings(stored) == stored
    config = TopicConfig.from_overrides(stored)
    assert config.overrides == stored
    assert (config.cleanup_policy, config.segment_bytes) == (("compact", "delete"), 2_097_152)
    assert config.is_compacted


def test_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownSettingError, match="did you mean retention_ms"):
        parse_topic_settings({"retention.msec": 1})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"segment_bytes": 1_048_575}, "segment_bytes"),
        ({"cleanup_policy": "archive"}, "cleanup_policy"),
        ({"retention_ms": -2}, "retention_ms"),
        ({"compression_gzip_level": 0}, "compression_gzip_level"),
        ({"message_timestamp_type": "createtime"}, "message_timestamp_type"),
        ({"internal_segment_bytes": 13}, "internal_segment_bytes"),
        ({"segment_ms": 1, "segment.ms": 1}, "segment_ms"),
        ({"min_compaction_lag_ms": 6, "max_compaction_lag_ms": 5}, "min_compaction_lag_ms"),
        ({"remote_storage_enable": True, "cleanup_policy": "compact"}, "remote_storage_enable"),
        (
            {"remote_storage_enable": True, "retention_ms": 5, "local_retention_ms": 6},
            "local_retention_ms",
        ),
        (
            {"remote_storage_enable": True, "retention_bytes": 5, "local_retention_bytes": -1},
            "local_retention_bytes",
        ),
    ],
)
def test_what_is_not_allowed_is_refused(settings: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_topic_settings(settings)
    assert caught.value.name == name
    assert caught.value.allowed


@pytest.mark.parametrize(
    "settings",
    [
        {"remote_storage_enable": True, "retention_ms": 5},
        {"remote_storage_enable": True, "local_retention_ms": -1},
        {"local_retention_ms": 6, "retention_ms": 5},
        {"min_compaction_lag_ms": 5, "max_compaction_lag_ms": 5},
        {"cleanup_policy": ""},
    ],
)
def test_what_is_allowed_together(settings: dict[str, object]) -> None:
    assert parse_topic_settings(settings)


def test_tests_may_have_small_segments() -> None:
    config = TopicConfig.from_overrides(parse_topic_settings({"internal_segment_bytes": 200}))
    assert config.segment_bytes == 200
    assert "internal.segment.bytes" not in describe_topic_settings({})
    entries = describe_topic_settings(config.overrides)
    assert entries["internal.segment.bytes"].value == "200"
    assert entries["segment.bytes"].value == "1073741824"


def test_what_another_kafka_stored_is_kept_and_not_judged() -> None:
    stored = {"segment.bytes": "14", "setting.of.tomorrow": "x"}
    config = TopicConfig.from_overrides(stored)
    assert config.segment_bytes == 14
    assert config.overrides == stored
    with pytest.raises(ConfigError, match="segment_bytes='many'"):
        TopicConfig.from_overrides({"segment.bytes": "many"})


def test_description_says_what_each_setting_means() -> None:
    entries = describe_topic_settings({"retention.ms": "5"})
    assert all(entry.documentation and entry.allowed for entry in entries.values())
    assert entries["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG
    assert entries["segment.ms"].is_default
    assert entries["segment.bytes"].allowed == "an integer from 1048576 up"
    assert entries["compression.gzip.level"].allowed == "an integer from 1 to 9, or -1"
