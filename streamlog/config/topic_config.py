"""The settings of one topic: from what the user asked for to typed values, and back to words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from streamlog.config.parsing import parse_value
from streamlog.config.topic_settings import TOPIC_SETTINGS
from streamlog.errors import ConfigError

KAFKA_DEFAULTS: Mapping[str, str] = {"retention.ms": "604800000"}
"""Where Kafka's default is not ours; given to `TopicConfig.from_overrides` by a listener."""


class TopicConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of one topic, resolved: its own overrides over defaults.

    Sizes are bytes, times milliseconds. `segment_bytes` is the size in effect: that of
    `internal_segment_bytes` where it is set. `overrides` holds what was set for this topic,
    by Kafka's dotted name, in Kafka's text. `max_batch_bytes` is the largest record batch that
    the log takes: it has to fit in a segment, too.
    """

    overrides: Mapping[str, str]
    max_batch_bytes: int

    max_message_bytes: int
    message_timestamp_type: str
    message_timestamp_before_max_ms: int
    message_timestamp_after_max_ms: int
    compression_type: str
    compression_gzip_level: int
    compression_lz4_level: int
    compression_zstd_level: int
    flush_messages: int
    flush_ms: int
    min_insync_replicas: int

    segment_bytes: int
    segment_ms: int
    segment_jitter_ms: int
    segment_index_bytes: int
    index_interval_bytes: int
    preallocate: bool
    file_delete_delay_ms: int
    internal_segment_bytes: int | None

    cleanup_policy: tuple[str, ...]
    retention_ms: int
    retention_bytes: int
    delete_retention_ms: int
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    max_compaction_lag_ms: int

    leader_replication_throttled_replicas: tuple[str, ...]
    follower_replication_throttled_replicas: tuple[str, ...]
    unclean_leader_election_enable: bool
    remote_storage_enable: bool
    remote_log_copy_disable: bool
    remote_log_delete_on_disable: bool
    remote_copy_lag_ms: int
    remote_copy_lag_bytes: int
    local_retention_ms: int
    local_retention_bytes: int
    errors_deadletterqueue_group_enable: bool

    @classmethod
    def from_overrides(
        cls, overrides: Mapping[str, str], defaults: Mapping[str, str] | None = None
    ) -> TopicConfig:
        """Resolve stored `overrides`, then `defaults` (both dotted), then the hard defaults.

        What is stored was accepted once, perhaps by a Kafka of another version: names that this
        version does not know are kept in `overrides` and mean nothing, and bounds are not checked
        again. Raises `ConfigError` for text that is not of the setting's type.
        """
        resolved = resolve(parse_stored({**(defaults or {}), **overrides}))
        if resolved["internal_segment_bytes"] is not None:
            resolved["segment_bytes"] = resolved["internal_segment_bytes"]
        largest = min(resolved["max_message_bytes"], resolved["segment_bytes"])
        return cls(overrides=dict(overrides), max_batch_bytes=largest, **resolved)

    @property
    def is_compacted(self) -> bool:
        """Whether the latest record of each key is kept; every record then needs a key."""
        return "compact" in self.cleanup_policy

    @property
    def max_segment_ms(self) -> int:
        """The age at which a segment is rolled: early enough for it to be compacted in time."""
        if self.is_compacted:
            return min(self.segment_ms, self.max_compaction_lag_ms)
        return self.segment_ms


def parse_stored(stored: Mapping[str, str]) -> dict[str, Any]:
    """Typed values of stored dotted settings; names that this version does not know are left out.

    Only their type is checked. Raises `ConfigError`.
    """
    return {
        name: parse_value(TOPIC_SETTINGS[name], text, ranges=False)
        for dotted, text in stored.items()
        if (name := dotted.replace(".", "_")) in TOPIC_SETTINGS
    }


def resolve(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting by name: as given, else its hard default."""
    return {setting.name: given.get(setting.name, setting.default) for setting in TOPIC_SETTINGS}


def check_together(values: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for settings that contradict each other: Kafka's `LogConfig.validate`."""
    _check_at_most(values, "min_compaction_lag_ms", "max_compaction_lag_ms")
    if not values["remote_storage_enable"]:
        return
    if "compact" in values["cleanup_policy"]:
        raise ConfigError(
            "remote_storage_enable=True is not allowed with cleanup_policy=compact",
            name="remote_storage_enable",
            value=True,
            allowed="False for a compacted topic",
        )
    for unit in ("ms", "bytes"):
        if values[f"retention_{unit}"] != -1:
            _check_at_most(values, f"local_retention_{unit}", f"retention_{unit}")


def _check_at_most(values: Mapping[str, Any], name: str, other: str) -> None:
    value, limit = values[name], values[other]
    if value > limit or value == -1:  # -1 is no limit at all, so more than any
        raise ConfigError(
            f"{name}={value} is not allowed: it must be at most {other}={limit}",
            name=name,
            value=value,
            allowed=f"at most {limit}",
        )
