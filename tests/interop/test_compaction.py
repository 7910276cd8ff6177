"""Compaction beside a real broker's: the same segments, the same survivors, byte for byte.

A broker fills topics and leaves them alone (their dirty ratio is never above 1); their folders
are copied; then it may compact, and so do we, what was copied. Three times over: tombstones and
markers get their time in one pass and go in another. Kafka of this version does not keep the
last batch of a round (4.4 does), so the last record of each round is one that survives.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import streamlog
from streamlog.broker.engine import Engine
from streamlog.config import TopicConfig
from streamlog.record.kernel import RecordBatch
from streamlog.storage.checkpoints import read_offset_checkpoint
from streamlog.storage.cleanable import describe_segments, find_cleanable
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.loading import sort_names
from streamlog.storage.log_cleaner import DedupeBuffer, LogCleaner
from streamlog.storage.log_settings import LogSettings
from streamlog.storage.names import CLEANED, CLEANER_OFFSETS
from streamlog.storage.producer_replay import load_producer_state
from streamlog.storage.segment_scan import next_offset_of
from streamlog.testing.clock import ManualClock
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.client import ClientRecord
from tests.interop.rig.dump import DumpTool
from tests.interop.rig.jars import KafkaJars
from tests.interop.rig.samples import CODECS, START_MS

pytestmark = pytest.mark.interop

DELETE_RETENTION_MS = 1
SETTINGS = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "1.0",
    "delete.retention.ms": str(DELETE_RETENTION_MS),
    "segment.ms": "5000",
    "index.interval.bytes": "1024",
}
BROKER_SETTINGS = {"log.cleaner.backoff.ms": "50"}
ROUNDS = 3
KEYED = [f"keyed-{codec}" for codec in CODECS]
APPEND_TIME, TRANSACTIONS, TOMBSTONES = "append-time", "transactions", "tombstones"
TOPICS = [*KEYED, APPEND_TIME, TRANSACTIONS, TOMBSTONES]


class Round(NamedTuple):
    """Copies of the data directory before and after one compaction by the broker."""

    before: Path
    after: Path


def some_records(seed: str, start_ms: int, count: int = 300) -> list[ClientRecord]:
    """Of a few keys, some of them tombstones, some with headers."""
    generator = random.Random(seed)
    return [
        ClientRecord(
            None,
            start_ms + generator.randrange(1000),
            b"key-%d" % generator.randrange(150),
            None if generator.random() < 0.1 else b"%x" % generator.getrandbits(400),
            (("h", b"x"), ("n", None)) if generator.random() < 0.2 else (),
        )
        for _ in range(count)
    ]


def last_record(number: int, start_ms: int) -> ClientRecord:
    """One that survives every round."""
    return ClientRecord(None, start_ms, b"last of round %d" % number, b"stays")


def fill(bootstrap: str, number: int) -> None:
    """Give every topic the segments of one round, and one record that rolls the last of them."""
    for chunk in range(3):
        start_ms = START_MS + (number * 10 + chunk) * 10_000
        for topic in KEYED:
            records = some_records(f"{topic} {start_ms}", start_ms)
            codec = topic.partition("-")[2]
            client.produce(bootstrap, topic, records, codec=codec, idempotent=chunk == 1)
        records = some_records(f"{start_ms}", start_ms)
        client.produce(bootstrap, APPEND_TIME, records)
        for name, commit in (("one", chunk != 1), ("two", False), ("one", True)):
            records = some_records(f"{name} {start_ms}", start_ms, 20)
            client.produce_transaction(bootstrap, TRANSACTIONS, name, records, commit=commit)
        keys = [b"gone-%d" % key for key in range(40)]
        deleted = [ClientRecord(None, start_ms, key, None if chunk else b"v") for key in keys]
        client.produce(bootstrap, TOMBSTONES, deleted if number == 0 else deleted[:3])
    for topic in TOPICS:
        for at in range(2):  # the second one is the first of the next, active segment
            start_ms = START_MS + (number * 10 + 5 + at) * 10_000
            client.produce(bootstrap, topic, [last_record(2 * number + at, start_ms)])


def cleaner_offsets(directory: Path) -> dict[tuple[str, int], int]:
    return read_offset_checkpoint(OS_FILESYSTEM, str(directory / CLEANER_OFFSETS))


def active_base(directory: Path, topic: str) -> int:
    return max(int(path.stem) for path in (directory / f"{topic}-0").glob("*.log"))


@pytest.fixture(scope="module")
def rounds(kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory) -> list[Round]:
    broker = Broker(kafka_jars, tmp_path_factory.mktemp("compacting"))
    broker.format()
    broker.start(BROKER_SETTINGS)
    try:
        client.create_topics(broker.bootstrap, dict.fromkeys(TOPICS, 1), SETTINGS)
        client.alter_topics(
            broker.bootstrap, [APPEND_TIME], {"message.timestamp.type": "LogAppendTime"}
        )
        client.alter_topics(broker.bootstrap, [APPEND_TIME, TRANSACTIONS], {"segment.ms": "1"})
        return [
            compact_once(broker, number, tmp_path_factory.mktemp(f"round-{number}"))
            for number in range(ROUNDS)
        ]
    finally:
        broker.kill()


def compact_once(broker: Broker, number: int, copies: Path) -> Round:
    fill(broker.bootstrap, number)
    found = Round(copies / "before", copies / "after")
    known = cleaner_offsets(broker.data)
    shutil.copytree(broker.data, found.before)
    goals = {(topic, 0): active_base(found.before, topic) for topic in TOPICS}
    assert all(known.get(key, 0) < goal for key, goal in goals.items()), "it has begun already"
    client.alter_topics(broker.bootstrap, TOPICS, {"min.cleanable.dirty.ratio": "0.0"})
    for _ in range(2000):
        if all(cleaner_offsets(broker.data).get(key) == goal for key, goal in goals.items()):
            break
        client.topic_partitions(broker.bootstrap)
    else:
        raise AssertionError(f"not compacted: {cleaner_offsets(broker.data)}, wanted {goals}")
    client.alter_topics(broker.bootstrap, TOPICS, {"min.cleanable.dirty.ratio": "1.0"})
    broker.stop()  # it takes the new settings for certain, and leaves files that are whole
    shutil.copytree(broker.data, found.after)
    broker.start(BROKER_SETTINGS)
    return found


def compact_ourselves(before: Path, topic: str, now_ms: int, target: Path) -> LogCleaner:
    """A pass over the broker's segments; what survives is written to `target`."""
    folder = str(before / f"{topic}-0")
    files = sort_names(OS_FILESYSTEM.listdir(folder))
    *sealed, active = files.segments
    log_path = f"{folder}/{active:020d}.log"
    log_end = next_offset_of(OS_FILESYSTEM, log_path, active)
    config = TopicConfig.from_overrides({**SETTINGS, "min.cleanable.dirty.ratio": "0.0"})
    log = find_cleanable(
        describe_segments(OS_FILESYSTEM, folder, sealed, topic=topic, partition=0),
        active_base_offset=active,
        checkpoint=cleaner_offsets(before).get((topic, 0)),
        log_start=0,
        log_end=log_end,
        last_stable_offset=log_end,
        now_ms=now_ms,
        config=config,
    )
    assert log.is_due(0.0)
    assert not log.has_bad_checkpoint
    producers = load_producer_state(
        OS_FILESYSTEM,
        folder,
        segments=files.segments,
        snapshots=files.snapshots,
        end_offset=log_end,
        end_position=OS_FILESYSTEM.file_size(log_path),
    )
    target.mkdir()
    cleaner = LogCleaner(
        OS_FILESYSTEM,
        folder,
        log,
        topic=topic,
        partition=0,
        config=config,
        settings=LogSettings(),
        producers=producers,
        dedupe_buffer=DedupeBuffer(bytes(16)),
        now_ms=now_ms,
        target=str(target),
    )
    for group in cleaner.run():
        for name in (name for segment in group.segments for name in segment.names):
            (target / (name + CLEANED)).rename(target / name)
    return cleaner


def batches(log: Path) -> Iterator[RecordBatch]:
    data, position = log.read_bytes(), 0
    while position < len(data):
        batch = RecordBatch(data, position)
        batch.check()
        yield batch
        position += batch.size


def described(log: Path) -> list[tuple[Any, ...]]:
    """Everything about the batches but how well they are compressed."""
    return [
        (
            *(batch.base_offset, batch.last_offset, batch.count, batch.attributes),
            *(batch.base_timestamp, batch.max_timestamp, batch.leader_epoch),
            *(batch.producer_id, batch.producer_epoch, batch.base_sequence),
            [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, r.headers) for r in batch],
        )
        for batch in batches(log)
    ]


def time_of_pass(before: Path, after: Path, topic: str) -> int:
    """When the broker compacted, to the millisecond: from a delete horizon that it set."""
    old = {batch.base_timestamp for log in logs(before, topic) for batch in batches(log)}
    set_now = [
        batch.base_timestamp - DELETE_RETENTION_MS
        for log in logs(after, topic)
        for batch in batches(log)
        if batch.has_delete_horizon and batch.base_timestamp not in old
    ]
    assert set_now, "the round had no new tombstone or marker"
    assert len(set(set_now)) == 1
    return set_now[0]


def logs(directory: Path, topic: str) -> list[Path]:
    return sorted((directory / f"{topic}-0").glob("*.log"))


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("topic", TOPICS)
def test_what_survives_is_what_survives_in_the_broker(
    rounds: list[Round], topic: str, number: int, tmp_path: Path
) -> None:
    before, after = rounds[number]
    ours, theirs = tmp_path / "ours", after / f"{topic}-0"
    cleaner = compact_ourselves(before, topic, time_of_pass(before, after, topic), ours)
    assert cleaner.end_offset == cleaner_offsets(after)[topic, 0]
    active = active_base(before, topic)
    names = {path.name for path in theirs.glob("*.log") if int(path.stem) < active}
    assert {path.name for path in ours.glob("*.log")} == names
    for name in names:
        assert described(ours / name) == described(theirs / name)
    if not topic.startswith("keyed") or topic == "keyed-none":
        for path in ours.iterdir():
            assert path.read_bytes() == (theirs / path.name).read_bytes(), path.name
    statistics = cleaner.statistics
    assert 0 < statistics.records_kept < statistics.records_read


@pytest.mark.parametrize("topic", [*KEYED, TOMBSTONES])
def test_a_topic_of_ours_keeps_what_the_brokers_keeps(
    rounds: list[Round], topic: str, tmp_path: Path
) -> None:
    """By the public API alone: the same records, settings and times; the same is read back."""
    clock = ManualClock()
    engine = Engine.open(str(tmp_path), clock=clock, settings={"housekeeping": False})
    with streamlog.open(tmp_path) as log:
        log.create_topic(topic, **{name.replace(".", "_"): text for name, text in SETTINGS.items()})
        for before, after in rounds:
            clock.jump(time_of_pass(before, after, topic) - clock.now_ms())
            send_what_is_new(log, before, topic)
            log.admin.compact(topic)
            assert list(map(plain, log.read(topic))) == [
                plain(record) for path in logs(after, topic) for b in batches(path) for record in b
            ]
        assert log.verify() == []
    engine.close()


def send_what_is_new(log: streamlog.StreamLog, before: Path, topic: str) -> None:
    """What was appended to the broker's topic since the last round, batch by batch."""
    place = streamlog.TopicPartition(topic, 0)
    end = log.admin.end_offsets([place])[place]
    codec = topic.partition("-")[2] if topic in KEYED else "none"
    with log.producer(acks=1, compression_type=codec) as producer:
        for batch in (each for path in logs(before, topic) for each in batches(path)):
            for record in batch if batch.base_offset >= end else ():
                found = producer.send(
                    topic,
                    record.value,
                    record.key,
                    list(record.headers),
                    timestamp_ms=record.timestamp,
                )
            if batch.base_offset >= end:
                assert found.result().offset == batch.last_offset


def plain(record: Any) -> tuple[Any, ...]:
    headers = [(name, value and bytes(value)) for name, value in record.headers]
    key, value = (part and bytes(part) for part in (record.key, record.value))
    return record.offset, record.timestamp, key, value, headers


def test_kafkas_tool_finds_in_ours_what_it_finds_in_the_brokers(
    rounds: list[Round], tmp_path: Path, dump_tool: DumpTool
) -> None:
    """It remarks on offsets that are missing, which is as it should be, and on nothing else."""
    before, after = rounds[1]
    found = []
    for topic in TOPICS:
        ours = tmp_path / f"{topic}-0"
        compact_ourselves(before, topic, time_of_pass(before, after, topic), ours)
        found += [path.relative_to(tmp_path) for path in sorted(ours.iterdir())]
    ours, theirs = (remarks(dump_tool, root, found) for root in (tmp_path, after))
    assert ours == theirs
    expected = r"Non-consecutive offsets in .*|  -?\d+ is followed by \d+|version: 0 producerId: .*"
    assert [line for lines in ours for line in lines if not re.fullmatch(expected, line)] == []


def remarks(dump_tool: DumpTool, root: Path, names: list[Path]) -> list[list[str]]:
    """What the tool says that is no record, by file: it takes files in no certain order."""
    by_file: list[list[str]] = []
    for line in dump_tool.dump([root / name for name in names]).problems:
        if not line.startswith("  ") or not by_file:
            by_file.append([])
        by_file[-1].append(line.replace(str(root), ""))
    return sorted(by_file)


def test_the_rounds_show_what_they_are_for(rounds: list[Round]) -> None:
    """Several segments became one; horizons were set and reached; aborted data and markers went."""
    for before, after in rounds:
        assert len(logs(before, "keyed-none")) > len(logs(after, "keyed-none"))
    counts = [count_markers(directory) for each in rounds for directory in each]
    assert any(later < earlier for earlier, later in zip(counts[::2], counts[1::2], strict=True))
    tombstones = [
        sum(
            r.value is None for log in logs(each.after, TOMBSTONES) for b in batches(log) for r in b
        )
        for each in rounds
    ]
    assert tombstones[0] == 40
    assert 0 < tombstones[1] < 40


def count_markers(directory: Path) -> int:
    return sum(
        b.is_control and b.count for log in logs(directory, TRANSACTIONS) for b in batches(log)
    )
