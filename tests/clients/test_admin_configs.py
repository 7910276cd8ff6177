"""`Admin` and `StreamLog` about settings: what they are, changing them, and what is refused."""

from __future__ import annotations

import pickle

import pytest

import streamlog
from streamlog import AlterConfigOp, ConfigSource, ConfigType, NewTopic
from streamlog.errors import (
    ConfigError,
    ReadOnlyError,
    TopicExistsError,
    UnknownSettingError,
    UnknownTopicError,
)
from tests.clients.conftest import Story


def test_every_setting_is_described(story: Story) -> None:
    story.log.alter_topic("orders", segment_ms=7, min_insync_replicas=2)
    found = story.log.admin.describe_configs(["orders"])
    assert set(found) == {"orders"}
    entries = found["orders"]
    assert list(entries) == sorted(entries)
    assert len(entries) == 36
    age = entries["segment.ms"]
    assert (age.value, age.default, age.type) == ("7", "604800000", ConfigType.LONG)
    assert (age.source, age.is_default) == (ConfigSource.DYNAMIC_TOPIC_CONFIG, False)
    assert (age.is_read_only, age.is_sensitive, age.is_honoured, age.reason) == (
        False, False, True, "",
    )  # fmt: skip
    assert (age.documentation, age.allowed) == (
        "age at which a new segment is begun",
        "an integer from 1 up",
    )
    replicas = entries["min.insync.replicas"]
    assert (replicas.value, replicas.is_honoured) == ("2", False)
    assert replicas.reason == "a directory is its partitions' only replica"
    assert [each.source.name for each in replicas.synonyms] == [
        "DYNAMIC_TOPIC_CONFIG",
        "DYNAMIC_DEFAULT_BROKER_CONFIG",
        "DEFAULT_CONFIG",
    ]
    assert pickle.loads(pickle.dumps(replicas)) == replicas


def test_all_topics_are_described_when_none_is_named(story: Story) -> None:
    assert set(story.log.admin.describe_configs()) == {"flights", "orders"}
    with pytest.raises(UnknownTopicError, match="'orders'"):
        story.log.admin.describe_configs(["oders"])
    with pytest.raises(ConfigError, match="list of topics"):
        story.log.admin.describe_configs("orders")


def test_settings_are_changed_one_by_one(story: Story) -> None:
    log = story.log
    assert log.alter_topic("orders", flush_ms=5, segment_ms=7).settings == {
        "flush.ms": "5",
        "segment.ms": "7",
    }
    changed = log.alter_topic("orders", flush_ms=None, **{"cleanup.policy": "compact"})
    assert changed.settings == {"segment.ms": "7", "cleanup.policy": "compact"}
    assert log.topics()["orders"] == changed
    assert log.alter_topic("orders") == changed


def test_lists_are_changed_item_by_item(story: Story) -> None:
    admin = story.log.admin
    changes = {
        "orders": {"cleanup_policy": AlterConfigOp("append", "compact")},
        "flights": {"cleanup.policy": AlterConfigOp("subtract", ["delete"]), "flush_ms": 9},
    }
    would_be = admin.alter_configs(changes, validate_only=True)
    assert admin.describe_configs(["orders"])["orders"]["cleanup.policy"].value == "delete"
    done = admin.alter_configs(changes)
    assert done == would_be
    assert [topic.settings for topic in done] == [
        {"cleanup.policy": "delete,compact"},
        {"cleanup.policy": "", "flush.ms": "9"},
    ]


def test_a_topic_is_created_with_dotted_names(story: Story) -> None:
    log = story.log
    dotted = log.create_topic("dotted", **{"cleanup.policy": "compact", "segment.ms": "7"})
    assert dotted.settings == {"cleanup.policy": "compact", "segment.ms": "7"}
    mixed = log.create_topic("mixed", 2, segment_ms=7, **{"cleanup.policy": ["compact", "delete"]})
    assert (mixed.partitions, mixed.settings["cleanup.policy"]) == (2, "compact,delete")
    with pytest.raises(ConfigError, match="topic 'other': segment_ms is given twice"):
        log.create_topic("other", segment_ms=7, **{"segment.ms": 8})


def test_errors_name_the_topic_the_setting_and_what_would_do(story: Story) -> None:
    log = story.log
    with pytest.raises(UnknownSettingError) as unknown:
        log.alter_topic("orders", retention=5)
    assert str(unknown.value) == (
        "topic 'orders': no topic setting is called 'retention'; did you mean retention_ms?"
    )
    assert (unknown.value.topic, unknown.value.nearest) == ("orders", "retention_ms")
    with pytest.raises(ConfigError) as caught:
        log.alter_topic("orders", compression_type="bzip2")
    assert str(caught.value) == (
        "topic 'orders': compression_type='bzip2' is not allowed: it must be one of producer, "
        "uncompressed, gzip, snappy, lz4, zstd"
    )
    assert caught.value.context == {
        "name": "compression_type",
        "value": "bzip2",
        "allowed": "one of producer, uncompressed, gzip, snappy, lz4, zstd",
        "topic": "orders",
    }
    with pytest.raises(UnknownTopicError, match="did you mean 'orders'"):
        log.alter_topic("order", flush_ms=5)
    with pytest.raises(ConfigError, match="topic 'new': partitions=0 is not allowed"):
        log.create_topic("new", 0)


def test_many_topics_are_changed_all_or_none(story: Story) -> None:
    admin = story.log.admin
    before = story.log.topics()
    with pytest.raises(TopicExistsError, match="'orders'"):
        admin.create_topics(["new", "orders"])
    with pytest.raises(TopicExistsError, match="'new'"):
        admin.create_topics(["new", "new"])
    with pytest.raises(TopicExistsError, match=r"'new_\.x' collides with 'new\._x'"):
        admin.create_topics(["new._x", "new_.x"])
    with pytest.raises(ConfigError, match="'newer'"):
        admin.create_topics(["new", NewTopic("newer", settings={"flush_ms": -5})])
    with pytest.raises(UnknownTopicError, match="'trains'"):
        admin.delete_topics(["orders", "trains"])
    with pytest.raises(ConfigError, match="'flights' has 1"):
        admin.create_partitions({"orders": 5, "flights": 1})
    with pytest.raises(ConfigError, match="'flights'"):
        admin.alter_configs({"orders": {"flush_ms": 5}, "flights": {"flush_ms": -5}})
    assert story.log.topics() == before
    grown = admin.create_partitions({"orders": 5, "flights": 2}, validate_only=True)
    assert [(topic.name, topic.partitions) for topic in grown] == [("orders", 5), ("flights", 2)]
    assert story.log.topics() == before
    assert admin.create_partitions({"orders": 5, "flights": 2}) == grown
    admin.delete_topics(["orders", "flights", "orders"])
    assert story.log.topics() == {}


def test_a_log_that_is_open_for_reading_describes_and_changes_nothing(directory: str) -> None:
    with streamlog.open(directory) as log:
        log.create_topic("orders", flush_ms=5)
        with streamlog.open(directory, read_only=True) as reader:
            assert reader.admin.describe_configs(["orders"])["orders"]["flush.ms"].value == "5"
            log.alter_topic("orders", flush_ms=6)
            assert reader.admin.describe_configs(["orders"])["orders"]["flush.ms"].value == "6"
            for change in (
                lambda: reader.alter_topic("orders", flush_ms=7),
                lambda: reader.admin.alter_configs({"orders": {}}, validate_only=True),
                lambda: reader.admin.create_topics(["new"], validate_only=True),
                lambda: reader.admin.create_partitions({"orders": 3}),
                lambda: reader.admin.delete_topics(["orders"]),
            ):
                with pytest.raises(ReadOnlyError):
                    change()
