"""Settings that change: one durable batch, decided on what is, obeyed by whoever looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from streamlog.broker import metadata_records
from streamlog.broker.engine import Engine
from streamlog.broker.metadata_image import BROKER_RESOURCE, MetadataImage
from streamlog.config import AlterConfigOp
from streamlog.config.config_entry import ConfigSource
from streamlog.errors import (
    ConfigError,
    RecordTooLargeError,
    UnknownSettingError,
    UnknownTopicError,
)
from streamlog.protocol import message
from streamlog.record.kernel import RecordBatch
from streamlog.storage.filesystem import Filesystem
from streamlog.types import NewTopic
from tests.broker.conftest import OpenEngine, append, read


class Disk(Filesystem):
    """One process's files, said to lie on a disk."""

    def kind(self, path: str) -> str:
        return "ext4"


@pytest.fixture
def engines(path: str) -> Iterator[tuple[Engine, Engine]]:
    """Two engines on one directory, as two processes have them, and a topic "a"."""
    first = Engine.open(path, filesystem=Disk())
    first.create_topic("a", 2, {"retention.ms": "9"})
    second = Engine.open(path, filesystem=Disk())
    yield first, second
    second.close()
    first.close()


def set_for_brokers(engine: Engine, name: str, node: str = "", **settings: str | None) -> None:
    """What a broker's tools do to the defaults of all topics: `node` "" is the whole cluster."""
    config = message("ConfigRecord").Value
    record = config(
        resource_type=BROKER_RESOURCE, resource_name=node, name=name, value=settings["value"]
    )
    engine.metadata.change(lambda _: [record])


# -------------------------------------------------------------------- changing


def test_a_change_is_one_batch_on_the_disk_and_no_change_is_none(
    engines: tuple[Engine, Engine],
) -> None:
    engine, _ = engines
    engine.create_topic("b")
    log = engine.metadata.log
    before = log.log_end
    changes = {"a": {"flush_ms": 5, "segment.ms": 7, "retention_ms": None}, "b": {"flush_ms": 6}}
    first, second = engine.alter_topics(changes)
    assert first.settings == {"flush.ms": "5", "segment.ms": "7"}
    assert second.settings == {"flush.ms": "6"}
    assert RecordBatch(log.fetch(before, 1 << 20).view).next_offset == log.log_end == before + 4
    assert log.synced_end == log.log_end
    assert [each.settings for each in engine.alter_topics(changes)] == [
        first.settings,
        second.settings,
    ]
    assert log.log_end == before + 4


def test_all_topics_are_changed_or_none(engine: Engine) -> None:
    engine.create_topics([NewTopic("a"), NewTopic("b")])
    before = engine.metadata.log.log_end
    with pytest.raises(UnknownTopicError, match="'b'"):
        engine.alter_topics({"a": {"flush_ms": 5}, "bb": {"flush_ms": 5}})
    with pytest.raises(UnknownSettingError, match=r"topic 'b': .*did you mean flush_ms") as unknown:
        engine.alter_topics({"a": {"flush_ms": 5}, "b": {"flushms": 5}})
    assert (unknown.value.topic, unknown.value.nearest) == ("b", "flush_ms")
    with pytest.raises(ConfigError, match="topic 'b': flush_ms=-1 is not allowed") as caught:
        engine.alter_topics({"a": {"flush_ms": 5}, "b": {"flush_ms": -1}})
    assert (caught.value.topic, caught.value.name, caught.value.value) == ("b", "flush_ms", -1)
    assert engine.metadata.log.log_end == before


def test_what_would_be_is_told_and_not_done(engine: Engine) -> None:
    engine.create_topic("a", 1, {"cleanup_policy": "compact"})
    before = engine.metadata.log.log_end
    changes = {"a": {"cleanup_policy": AlterConfigOp("append", "delete"), "flush_ms": 1}}
    (would_be,) = engine.alter_topics(changes, validate_only=True)
    assert would_be.settings == {"cleanup.policy": "compact,delete", "flush.ms": "1"}
    (created,) = engine.create_topics([NewTopic("b", 3, {"flush_ms": 1})], validate_only=True)
    assert (created.partitions, created.settings, created.topic_id) == (3, {"flush.ms": "1"}, "")
    (grown,) = engine.grow_topics({"a": 5}, validate_only=True)
    assert grown.partitions == 5
    with pytest.raises(ConfigError):
        engine.create_topics([NewTopic("b", 1, {"flush_ms": -1})], validate_only=True)
    assert engine.metadata.log.log_end == before
    assert engine.configs.of("a").flush_ms == 2**63 - 1


def test_a_change_is_decided_again_when_another_process_was_faster(
    engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, other = engines
    genuine = engine.metadata._append
    others = [{"min_compaction_lag_ms": 50}]

    def append_late(batch: bytearray) -> Any:
        if others:
            other.alter_topics({"a": others.pop()})
        return genuine(batch)

    monkeypatch.setattr(engine.metadata, "_append", append_late)
    with pytest.raises(ConfigError, match="at most max_compaction_lag_ms=40"):
        engine.alter_topics({"a": {"max_compaction_lag_ms": 40}})
    assert engine.topic("a").settings == {"min.compaction.lag.ms": "50", "retention.ms": "9"}


def test_a_topic_that_another_process_deletes_at_once_was_changed(
    engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, other = engines
    genuine = engine.metadata._append

    def append_and_lose(batch: bytearray) -> Any:
        outcome = genuine(batch)
        other.delete_topic("a")
        return outcome

    for change in (
        lambda: engine.alter_topics({"a": {"flush_ms": 5}}),
        lambda: engine.grow_topics({"a": 3}),
        lambda: engine.create_topics([NewTopic("a")]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(engine.metadata, "_append", append_and_lose)
            (told,) = change()
        assert told.name == "a"
        assert "a" not in engine.topics()
        if told.partitions == 2:
            engine.create_topic("a")


# -------------------------------------------------------------------- being seen


def test_logs_that_another_process_has_open_obey_what_it_looked_at(
    engines: tuple[Engine, Engine],
) -> None:
    engine, other = engines
    log = other.partition("a", 0)
    append(log, b"x" * 500)
    engine.alter_topics({"a": {"max_message_bytes": 300}})
    other.refresh()
    with pytest.raises(RecordTooLargeError) as caught:
        append(log, b"x" * 500)
    assert caught.value.limit == 300
    engine.alter_topics({"a": {"max_message_bytes": None}})
    other.refresh()
    append(log, b"x" * 500)


def test_nothing_that_did_not_change_is_configured_again(
    engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, other = engines
    engine.create_topic("b")
    log, unchanged = other.partition("a", 0), other.partition("b", 0)
    configured: list[str] = []
    for each in (log, unchanged):
        monkeypatch.setattr(each, "configure", lambda _, name=each.topic: configured.append(name))
    config = other.configs.of("b")
    engine.alter_topics({"a": {"flush_ms": 5_000}})
    engine.create_topic("c", 1, {"flush_ms": 5})
    other.refresh()
    assert configured == ["a"]
    assert other.configs.of("b") is config


def test_settings_are_what_they_are_also_after_the_metadata_was_trimmed(
    engines: tuple[Engine, Engine],
) -> None:
    """A process far behind starts again from the snapshot, which has no word of what is gone."""
    engine, other = engines
    engine.create_topic("b", 1, {"max_message_bytes": 300})
    log = other.partition("b", 0)
    assert log.config.max_message_bytes == 300
    engine.alter_topics({"b": {"max_message_bytes": None}})
    for number in range(8):
        engine.create_topic(f"t{number}", 2000)
    assert other.metadata.next_offset < engine.metadata.log.log_start
    other.refresh()
    assert log.config.max_message_bytes == 1_048_588
    assert other.topic("b").settings == {}


def test_who_only_reads_sees_them_too(engine: Engine, open_engine: OpenEngine) -> None:
    engine.create_topic("a")
    reader = open_engine(read_only=True)
    assert reader.configs.describe("a")["flush.ms"].is_default
    engine.alter_topics({"a": {"flush_ms": 5}})
    assert reader.configs.of("a").flush_ms == 5
    engine.alter_topics({"a": {"flush_ms": 6}})
    assert reader.configs.describe("a")["flush.ms"].value == "6"


def test_a_segment_that_outgrew_its_map_is_read_on(engines: tuple[Engine, Engine]) -> None:
    """Another process raised the size, and this one has not even heard of it."""
    engine, other = engines
    engine.alter_topics({"a": {"internal_segment_bytes": 2000}})
    log, reading = engine.partition("a", 0), other.partition("a", 0)
    append(log, b"first")
    assert [value for _, value in read(reading)] == [b"first"]
    engine.alter_topics({"a": {"internal_segment_bytes": None}})
    values = [b"%d" % number * 1000 for number in range(200)]
    for value in values:
        append(log, value)
    assert log.state().base_offset == 0
    assert [value for _, value in read(reading)] == [b"first", *values]
    assert reading.config.segment_bytes == 2000


def test_a_log_that_was_compacted_once_keeps_its_gaps(engines: tuple[Engine, Engine]) -> None:
    engine, _ = engines
    engine.alter_topics({"a": {"cleanup_policy": "compact"}})
    log = engine.partition("a", 0)
    for value in (b"x", b"y", b"z"):
        append(log, value, key=b"k")
    assert len(read(log)) == 3
    assert log._reader.has_gaps
    engine.alter_topics({"a": {"cleanup_policy": "delete"}})
    assert log._reader.has_gaps
    plain = engine.partition("a", 1)
    append(plain, b"x", key=b"k")
    read(plain)
    engine.alter_topics({"a": {"cleanup_policy": "compact,delete"}})
    assert all(segment.has_gaps for segment in plain._reader._segments.values())


# -------------------------------------------------------------------- flush.ms


def test_who_sets_flush_ms_syncs_what_others_wrote(engines: tuple[Engine, Engine]) -> None:
    """The other process wrote before, and does not look at the metadata again."""
    engine, other = engines
    log = other.partition("a", 1)
    append(log, b"x")
    assert log.synced_end == 0
    synced = threading.Event()
    timer = engine._factory.flush_timer
    genuine = timer._sync

    def sync(watched: Any) -> None:
        genuine(watched)
        if watched.partition == 1:
            synced.set()

    timer._sync = sync  # type: ignore[method-assign]
    engine.alter_topics({"a": {"flush_ms": 5}})
    assert synced.wait(30)
    assert log.synced_end == 1
    assert [each.partition for each in timer.watched] == [1], "partition 0 was never used"
    engine.alter_topics({"a": {"flush_ms": None}})
    assert timer.watched == []


def test_the_longest_flush_ms_is_a_long_wait(engine: Engine) -> None:
    engine.create_topic("a", 1, {"flush_ms": 2**63 - 2})
    log = engine.partition("a", 0)
    timer = engine._factory.flush_timer
    assert timer.watched == [log]
    engine.alter_topics({"a": {"flush_ms": 2**63 - 3}})
    assert timer._thread is not None
    assert timer._thread.is_alive()


# -------------------------------------------------------------------- a broker's defaults


def test_defaults_that_a_broker_keeps_in_the_metadata_are_obeyed(
    engines: tuple[Engine, Engine],
) -> None:
    engine, other = engines
    log = other.partition("a", 0)
    append(log, b"x" * 500)
    set_for_brokers(engine, "message.max.bytes", value="300")
    other.refresh()
    with pytest.raises(RecordTooLargeError):
        append(log, b"x" * 500)
    assert other.configs.of("a").max_message_bytes == 300
    set_for_brokers(engine, "message.max.bytes", "7", value="100")  # another node's
    assert other.configs.of("a").max_message_bytes == 300
    set_for_brokers(engine, "message.max.bytes", "0", value="400")
    entry = other.configs.describe("a")["max.message.bytes"]
    assert (entry.value, entry.source) == ("400", ConfigSource.DYNAMIC_BROKER_CONFIG)
    assert [each.value for each in entry.synonyms] == ["400", "300", "1048588"]
    engine.alter_topics({"a": {"max_message_bytes": 600}})
    other.refresh()
    append(log, b"x" * 500)
    set_for_brokers(engine, "log.cleaner.max.compaction.lag.ms", value="5")
    with pytest.raises(ConfigError, match="at most max_compaction_lag_ms=5"):
        engine.create_topic("b", 1, {"min_compaction_lag_ms": 6})
    set_for_brokers(engine, "message.max.bytes", "0", value=None)
    assert other.configs.describe("a")["max.message.bytes"].source == (
        ConfigSource.DYNAMIC_TOPIC_CONFIG
    )


def test_the_cluster_that_a_directory_says_it_is_has_one_default(engine: Engine) -> None:
    engine.create_topic("a")
    entry = engine.configs.describe("a")["min.insync.replicas"]
    assert (entry.value, entry.source) == ("1", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG)


def test_an_image_resolves_settings_once() -> None:
    image = MetadataImage(node_id=3)
    for record in metadata_records.bootstrap():
        image.replay(record)
    assert image.topic_defaults() == {"min.insync.replicas": "1"}
    assert image.reconfigured == set()


# -------------------------------------------------------------------- topics that go


def test_who_has_a_deleted_topic_open_closes_in_peace(engines: tuple[Engine, Engine]) -> None:
    """What it had written and not synced is of no use to anybody any more."""
    engine, other = engines
    for partition in (0, 1):
        log = other.partition("a", partition)
        for _ in range(3):
            append(log, b"x" * 1000)
    engine.alter_topics({"a": {"internal_segment_bytes": 1500}})
    other.refresh()
    append(other.partition("a", 1), b"x" * 1000)
    kept = other.partition("a", 0)
    engine.delete_topic("a")
    kept.close()
    other.create_topic("b")
    append(other.partition("b", 0), b"y", acks=-1)
