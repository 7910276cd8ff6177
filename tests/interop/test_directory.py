"""A directory that streamlog wrote, as Kafka's tools and a Kafka broker see it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import streamlog
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.client import ClientRecord
from tests.interop.rig.dump import Dump, DumpTool, partition_files
from tests.interop.rig.jars import KafkaJars
from tests.interop.rig.moving import CLEAN_SHUTDOWN, hand_over, log_bytes, segment_files
from tests.interop.rig.samples import CODECS, START_MS, binary_records, text_records

pytestmark = pytest.mark.interop

NODE_ID = 0
METADATA = "__cluster_metadata-0"
SEGMENT_BYTES = 16 * 1024
SEGMENTED = {"internal_segment_bytes": SEGMENT_BYTES, "index_interval_bytes": 512}


class OurDirectory(NamedTuple):
    """A closed directory, a copy of it as it lay there while open, and what was read from it."""

    closed: Path
    while_open: Path
    records: dict[str, list[ClientRecord]]


def fill(log: streamlog.StreamLog) -> None:
    """Topics with many segments in each codec, one with the log's own time, one left empty."""
    for codec in CODECS:
        for kind in ("text", "binary"):
            log.create_topic(f"{kind}-{codec}", **SEGMENTED)
            _send(log, f"{kind}-{codec}", codec, idempotent=kind == "text")
    log.create_topic("stamped", message_timestamp_type="LogAppendTime", **SEGMENTED)
    _send(log, "stamped", "none", idempotent=True)
    log.create_topic("two.partitions", partitions=2)
    with log.producer() as producer:
        for number in range(100):
            producer.send("two.partitions", b"%d" % number, key=b"%d" % number)
    log.create_topic("empty", partitions=3)


def _send(log: streamlog.StreamLog, topic: str, codec: str, *, idempotent: bool) -> None:
    records = binary_records(1000) if topic.startswith("binary") else text_records(topic, 1000)
    settings: dict[str, Any] = {"compression_type": codec, "enable_idempotence": idempotent}
    with log.producer(batch_size=2048, linger_ms=5, **settings) as producer:
        for record in records:
            producer.send(
                topic, record.value, record.key, list(record.headers), timestamp_ms=record.timestamp
            )


def read_all(log: streamlog.StreamLog) -> dict[str, list[ClientRecord]]:
    """Every record of partition 0 of every topic."""
    return {
        topic: [as_client_record(r) for r in log.read(topic, partition=0, start=0)]
        for topic in log.topics()
        if not topic.startswith("__")
    }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> OurDirectory:
    root = tmp_path_factory.mktemp("ours")
    with streamlog.open(str(root / "closed")) as log:
        fill(log)
        records = read_all(log)
        shutil.copytree(root / "closed", root / "open")
    return OurDirectory(root / "closed", root / "open", records)


@pytest.fixture(scope="module")
def partitions(ours: OurDirectory) -> list[Path]:
    found = [p for p in sorted(ours.closed.iterdir()) if p.is_dir() and p.name != METADATA]
    assert len(found) == 2 * len(CODECS) + 3  # topics with records: "empty" has no folder yet
    return found


@pytest.fixture(scope="module")
def dumped(partitions: list[Path], dump_tool: DumpTool) -> Dump:
    printable = [folder for folder in partitions if not folder.name.startswith("binary")]
    return dump_tool.dump(path for folder in printable for path in partition_files(folder))


def test_what_was_sent_is_what_is_read(ours: OurDirectory) -> None:
    for codec in CODECS:
        for kind in ("text", "binary"):
            topic = f"{kind}-{codec}"
            sent = binary_records(1000) if kind == "binary" else text_records(topic, 1000)
            numbered = [r._replace(offset=offset) for offset, r in enumerate(sent)]
            assert ours.records[topic] == numbered


def test_the_dump_tool_has_no_complaint_about_any_partition(
    partitions: list[Path], dumped: Dump, dump_tool: DumpTool
) -> None:
    assert dumped.problems == []
    files = [path for folder in partitions for path in partition_files(folder)]
    assert {path.suffix for path in files} == {".log", ".index", ".timeindex", ".snapshot"}
    assert dump_tool.check(files) == []


def test_both_index_checks_have_no_complaint(partitions: list[Path], dump_tool: DumpTool) -> None:
    indexes = [path for folder in partitions for path in folder.glob("*index")]
    assert dump_tool.check_sanity(indexes) == []
    assert dump_tool.verify_indexes(indexes) == []


def test_the_time_index_of_a_closed_segment_ends_with_its_largest_timestamp(
    ours: OurDirectory, dumped: Dump, dump_tool: DumpTool
) -> None:
    """A broker takes a segment's largest timestamp from there: retention and seeks rely on it."""
    metadata = dump_tool.dump(partition_files(ours.closed / METADATA), "--cluster-metadata-decoder")
    files = dumped.files | metadata.files
    logs = [path for path in files if path.suffix == ".log"]
    assert len(logs) > 10
    largest = {path: max(b.max_timestamp for b in files[path].batches) for path in logs}
    assert {
        path: files[path.with_suffix(".timeindex")].time_entries[-1][0] for path in logs
    } == largest


@pytest.mark.parametrize("codec", CODECS)
def test_the_dump_tool_decodes_each_record(ours: OurDirectory, dumped: Dump, codec: str) -> None:
    folder = ours.closed / f"text-{codec}-0"
    files = [dumped.files[path] for path in sorted(folder.glob("*.log"))]
    assert [
        (r.offset, r.timestamp, r.key, r.value, r.header_keys) for f in files for r in f.records
    ] == [
        (r.offset, r.timestamp, _text(r.key), _text(r.value), tuple(name for name, _ in r.headers))
        for r in ours.records[f"text-{codec}"]
    ]
    assert codec in {batch.codec for f in files for batch in f.batches}


def test_segments_indexes_and_snapshots_are_as_a_broker_makes_them(
    ours: OurDirectory, dumped: Dump
) -> None:
    folder = ours.closed / "text-none-0"
    logs = sorted(folder.glob("*.log"))
    assert len(logs) > 5
    assert all(path.stat().st_size <= SEGMENT_BYTES for path in logs)
    for path in logs[:-1]:
        assert dumped.files[path.with_suffix(".index")].offset_entries
        assert dumped.files[path.with_suffix(".timeindex")].time_entries
    last = ours.records["text-none"][-1]
    newest = max(folder.glob("*.snapshot"))
    (producer,) = dumped.files[newest].producers
    assert newest.name == f"{1000:020}.snapshot"
    assert (producer.last_offset, producer.last_sequence) == (last.offset, 999)
    assert producer.coordinator_epoch == -1


def test_the_dump_tool_decodes_the_metadata_log(ours: OurDirectory, dump_tool: DumpTool) -> None:
    files = segment_files(ours.closed / METADATA)
    dump = dump_tool.dump(files, "--cluster-metadata-decoder")
    assert dump.problems == []
    decoded = [
        json.loads(record.value)
        for path in files
        for record in dump.files[path].records
        if record.value is not None
    ]
    topics = {r["data"]["name"]: r["data"] for r in decoded if r["type"] == "TOPIC_RECORD"}
    assert set(ours.records) <= set(topics)
    for name in ("text-none", "two.partitions"):
        text = (ours.closed / f"{name}-0" / "partition.metadata").read_text()
        assert text == f"version: 0\ntopic_id: {topics[name]['topicId']}"
    partitions = [r["data"] for r in decoded if r["type"] == "PARTITION_RECORD"]
    assert sum(p["topicId"] == topics["empty"]["topicId"] for p in partitions) == 3
    assert all((p["leader"], p["replicas"], p["isr"]) == (0, [0], [0]) for p in partitions)


@pytest.mark.parametrize("recover", [True, False], ids=["rebuilding-indexes", "with-our-indexes"])
def test_a_broker_serves_our_partitions(broker: Broker, ours: OurDirectory, recover: bool) -> None:
    suffix = "-recovered" if recover else "-trusted"
    records = {name: r for name, r in ours.records.items() if r}
    folders = {f"{name}{suffix}": ours.closed / f"{name}-0" for name in records}
    hand_over(broker, folders, recover=recover)
    assert [line for line in broker.complaints if suffix in line] == []
    for name, expected in records.items():
        topic = f"{name}{suffix}"
        assert client.consume(broker.bootstrap, topic) == expected, topic
        assert log_bytes(broker.data / f"{topic}-0") == log_bytes(folders[topic]), topic
    topic = f"text-none{suffix}"
    for offset in (1, 123, 500, 999):
        found = client.consume(broker.bootstrap, topic, start=offset)
        assert found == records["text-none"][offset:]
        assert client.offset_for_time(broker.bootstrap, topic, START_MS + offset) == offset


@pytest.fixture(params=["closed", "while_open"])
def adopted(
    request: pytest.FixtureRequest, kafka_jars: KafkaJars, ours: OurDirectory, tmp_path: Path
) -> Iterator[Broker]:
    """A broker that is started on a copy of our whole directory, formatted by nobody else."""
    broker = Broker(kafka_jars, tmp_path, node_id=NODE_ID)
    shutil.copytree(getattr(ours, request.param), broker.data)
    assert (broker.data / CLEAN_SHUTDOWN).exists() == (request.param == "closed")
    broker.start()
    yield broker
    broker.kill()


def test_a_broker_started_on_our_directory_serves_it_and_we_read_what_it_added(
    adopted: Broker, ours: OurDirectory
) -> None:
    known = client.topic_partitions(adopted.bootstrap)
    assert {name: known.get(name) for name in ours.records} == dict.fromkeys(ours.records, 1) | {
        "two.partitions": 2,
        "empty": 3,
    }
    for topic, expected in ours.records.items():
        assert client.consume(adopted.bootstrap, topic) == expected, topic
    client.create_topics(adopted.bootstrap, {"made-by-the-broker": 1})
    added = {
        topic: client.produce(adopted.bootstrap, topic, text_records("late", 50), idempotent=True)
        for topic in ("text-zstd", "empty", "made-by-the-broker")
    }
    adopted.stop()
    with streamlog.open(str(adopted.data)) as log:
        found = read_all(log)
        for topic, records in added.items():
            assert found[topic] == ours.records.get(topic, []) + records, topic
        untouched = set(ours.records) - set(added)
        assert {t: found[t] for t in untouched} == {t: ours.records[t] for t in untouched}


def as_client_record(record: streamlog.Record) -> ClientRecord:
    return ClientRecord(
        offset=record.offset,
        timestamp=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        log_append_time=bool(record.timestamp_type),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
