"""All settings of a topic, described: values, sources, and what has no effect here."""

from __future__ import annotations

import pytest

from streamlog.config import TOPIC_SETTINGS
from streamlog.config.broker_synonyms import BROKER_SYNONYMS, topic_defaults
from streamlog.config.config_entry import ConfigSource, ConfigSynonym, ConfigType
from streamlog.config.describing import describe_topic_settings
from streamlog.errors import ConfigError

TOPIC = ConfigSource.DYNAMIC_TOPIC_CONFIG
NODE = ConfigSource.DYNAMIC_BROKER_CONFIG
CLUSTER = ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
DEFAULT = ConfigSource.DEFAULT_CONFIG


def test_the_strongest_source_counts_and_all_are_listed() -> None:
    levels = [(NODE, {"log.roll.hours": "2"}), (CLUSTER, {"log.roll.ms": "7", "x": "y"})]
    entry = describe_topic_settings({"segment.ms": "5"}, levels)["segment.ms"]
    assert (entry.value, entry.source, entry.default) == ("5", TOPIC, "604800000")
    assert entry.synonyms == (
        ConfigSynonym("segment.ms", "5", TOPIC),
        ConfigSynonym("log.roll.hours", "7200000", NODE),
        ConfigSynonym("log.roll.ms", "7", CLUSTER),
        ConfigSynonym("segment.ms", "604800000", DEFAULT),
    )
    entry = describe_topic_settings({}, levels)["segment.ms"]
    assert (entry.value, entry.source, entry.is_default) == ("7200000", NODE, False)
    entry = describe_topic_settings({}, levels[1:])["segment.ms"]
    assert (entry.value, entry.source) == ("7", CLUSTER)
    assert describe_topic_settings({})["segment.ms"].is_default


def test_values_are_told_as_kafka_prints_them() -> None:
    stored = {
        "cleanup.policy": " compact , delete",
        "preallocate": "TRUE",
        "min.cleanable.dirty.ratio": "1",
        "segment.ms": "+5",
    }
    entries = describe_topic_settings(stored)
    assert {name: entries[name].value for name in stored} == {
        "cleanup.policy": "compact,delete",
        "preallocate": "true",
        "min.cleanable.dirty.ratio": "1.0",
        "segment.ms": "5",
    }


@pytest.mark.parametrize(
    ("text", "printed"),
    [("0", "0.0"), (".5", "0.5"), ("0.001", "0.001"), ("0.0005", "5.0E-4"), ("1.25e-7", "1.25E-7")],
)
def test_doubles_are_told_as_java_prints_them(text: str, printed: str) -> None:
    stored = {"min.cleanable.dirty.ratio": text}
    assert describe_topic_settings(stored)["min.cleanable.dirty.ratio"].value == printed


def test_types_are_kafkas() -> None:
    entries = describe_topic_settings({})
    assert {entry.type for entry in entries.values()} == set(ConfigType) - {ConfigType.UNKNOWN}
    assert entries["follower.replication.throttled.replicas"].type == ConfigType.LIST


def test_a_setting_of_another_version_is_shown_for_what_it_is() -> None:
    entry = describe_topic_settings({"setting.of.tomorrow": "x"})["setting.of.tomorrow"]
    assert (entry.value, entry.source, entry.type) == ("x", TOPIC, ConfigType.UNKNOWN)
    assert (entry.is_honoured, entry.reason) == (False, "this version does not know it")


def test_what_has_no_effect_says_why() -> None:
    # What comes with retention and compaction is a matter of time, and not of the kind of thing.
    coming = {
        "retention_ms",
        "retention_bytes",
        "delete_retention_ms",
        "min_cleanable_dirty_ratio",
        "min_compaction_lag_ms",
        "max_compaction_lag_ms",
    }
    silent = {each.name for each in TOPIC_SETTINGS if not each.honoured and not each.reason}
    assert silent <= coming
    assert [each.name for each in TOPIC_SETTINGS if each.honoured and each.reason] == []
    entry = describe_topic_settings({})["min.insync.replicas"]
    assert not entry.is_honoured
    assert "replica" in entry.reason


def test_a_brokers_names_lead_to_topic_settings() -> None:
    assert {name.replace(".", "_") in TOPIC_SETTINGS for name in BROKER_SYNONYMS} == {True}
    defaults = topic_defaults(
        {
            "log.retention.hours": "-1",
            "log.flush.scheduler.interval.ms": "3",
            "log.flush.interval.ms": "2",
            "message.max.bytes": "9",
            "num.io.threads": "8",
        }
    )
    assert {name: found.value for name, found in defaults.items()} == {
        "retention.ms": "-1",
        "flush.ms": "2",
        "max.message.bytes": "9",
    }


def test_text_of_the_wrong_type_is_told() -> None:
    with pytest.raises(ConfigError, match="segment_ms='soon'"):
        describe_topic_settings({"segment.ms": "soon"})
