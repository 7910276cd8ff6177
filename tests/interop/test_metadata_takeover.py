"""Metadata that streamlog writes carries a real broker, from a log and from a snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.broker import metadata_records, metadata_snapshot
from streamlog.protocol import Uuid
from streamlog.record.kernel import RecordBatchBuilder
from streamlog.storage.properties import MetaProperties, format_meta_properties
from tests.interop.rig import client
from tests.interop.rig.broker import CLUSTER_ID, Broker
from tests.interop.rig.client import ClientRecord
from tests.interop.rig.dump import DumpTool
from tests.interop.rig.jars import KafkaJars
from tests.interop.rig.samples import START_MS, text_records
from tests.interop.rig.segment import place, write_segment

pytestmark = pytest.mark.interop

META = MetaProperties(CLUSTER_ID, 0, "s0Xh8KXcTtKvbXPRHyW1ng")
EPOCH = 1
ORDERS = Uuid(bytes(range(16)))
GONE = Uuid(bytes(range(1, 17)))
TOPICS = {"orders": 2}


def changes() -> list[list[Any]]:
    """A history: a topic, one that comes and goes, producer ids handed out, an epoch bumped."""
    return [
        metadata_records.bootstrap(),
        metadata_records.topic_created("orders", ORDERS, 2, {"retention.ms": "-1"}, META),
        metadata_records.topic_created("gone", GONE, 1, {}, META),
        [metadata_records.producer_ids_taken(5000, META.node_id)],
        [metadata_records.topic_removed(GONE)],
        [metadata_records.leader_epoch_bumped(ORDERS, 1, META.node_id)],
    ]


def final_records() -> list[Any]:
    """What of `changes` still matters, as a snapshot has it."""
    bootstrap, orders, _, producer_ids, _, bumped = changes()
    return [*bootstrap, *orders, *producer_ids, *bumped]


def write_log(folder: Path, history: list[list[Any]]) -> int:
    """One batch a change; returns the offset behind the last."""
    batches, offset = [], 0
    for records in history:
        batches.append(place(metadata_records.encode_batch(records, START_MS), offset, EPOCH))
        offset += len(records)
    write_segment(folder, batches)
    return offset


def write_snapshot(folder: Path, end_offset: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / metadata_snapshot.snapshot_name(end_offset, EPOCH)
    data = metadata_snapshot.encode_snapshot(
        final_records(), epoch=EPOCH, last_timestamp=START_MS, now_ms=START_MS + 1
    )
    path.write_bytes(data)
    return path


def write_partition(data: Path) -> list[ClientRecord]:
    """One partition of the topic, with records; the other has none, hence no folder."""
    records = [r._replace(offset=n) for n, r in enumerate(text_records("taken over"))]
    builder = RecordBatchBuilder()
    for record in records:
        builder.append(record.timestamp, record.key, record.value, record.headers)
    write_segment(data / "orders-0", [place(builder.build(), 0)])
    identity = f"version: 0\ntopic_id: {ORDERS}"
    (data / "orders-0" / "partition.metadata").write_text(identity)
    return records


@pytest.fixture
def node(kafka_jars: KafkaJars, tmp_path: Path) -> Iterator[Broker]:
    """A broker that is not started, over a directory with an identity and nothing else."""
    broker = Broker(kafka_jars, tmp_path, node_id=META.node_id)
    broker.data.mkdir()
    (broker.data / "meta.properties").write_bytes(format_meta_properties(META))
    yield broker
    broker.kill()


def check_that_it_serves(broker: Broker, records: list[ClientRecord]) -> None:
    assert client.topic_partitions(broker.bootstrap) == TOPICS
    assert client.consume(broker.bootstrap, "orders", 0) == records
    sent = client.produce(
        broker.bootstrap, "orders", text_records("new", 10), partition=1, idempotent=True
    )
    assert client.consume(broker.bootstrap, "orders", 1) == sent
    # The broker takes producer ids from where we stopped: an id is never given twice.
    log = (broker.data / "orders-1" / f"{0:020}.log").read_bytes()
    assert int.from_bytes(log[43:51]) >= 5000
    # Leaders count on from our epochs.
    assert int.from_bytes(log[12:16]) >= 1


def test_a_broker_takes_over_from_our_metadata_log(node: Broker) -> None:
    write_log(node.data / "__cluster_metadata-0", changes())
    records = write_partition(node.data)
    node.start()
    check_that_it_serves(node, records)


def test_a_broker_takes_over_from_our_snapshot_and_what_follows_it(node: Broker) -> None:
    folder = node.data / "__cluster_metadata-0"
    end_offset = write_log(folder, changes())
    for path in folder.iterdir():
        path.unlink()
    write_snapshot(folder, end_offset)
    more = metadata_records.topic_configured("orders", {"max.message.bytes": "2000000"})
    batch = place(metadata_records.encode_batch(more, START_MS), end_offset, EPOCH)
    write_segment(folder, [batch])
    epochs = f"0\n1\n{EPOCH} {end_offset}\n"
    (folder / "leader-epoch-checkpoint").write_text(epochs)
    records = write_partition(node.data)
    node.start()
    check_that_it_serves(node, records)


def test_a_broker_takes_over_a_directory_whose_metadata_log_was_trimmed(
    kafka_jars: KafkaJars, dump_tool: DumpTool, tmp_path: Path
) -> None:
    broker = Broker(kafka_jars, tmp_path, node_id=META.node_id)
    with streamlog.open(str(broker.data)) as log:
        log.create_topic("kept", partitions=2)
        with log.producer(enable_idempotence=True) as producer:
            producer.send_many("kept", [b"%d" % n for n in range(100)], partition=0)
        for number in range(30):
            log.create_topic(f"passing-{number}", partitions=1000)
            log.delete_topic(f"passing-{number}")
        expected = [(r.offset, r.timestamp, r.value) for r in log.read("kept", partition=0)]
    folder = broker.data / "__cluster_metadata-0"
    snapshots = sorted(folder.glob("*.checkpoint"))
    assert snapshots, "1 MiB of metadata calls for a snapshot"
    logs = sorted(folder.glob("*.log"))
    assert logs[0].name > f"{0:020}.log", "what the snapshot stands for is trimmed"
    dump = dump_tool.dump([*snapshots, *logs], "--cluster-metadata-decoder")
    assert dump.problems == []
    broker.start()
    try:
        assert client.topic_partitions(broker.bootstrap) == {"kept": 2}
        served = client.consume(broker.bootstrap, "kept")
        assert [(r.offset, r.timestamp, r.value) for r in served] == expected
    finally:
        broker.kill()


def test_the_dump_tool_reads_our_snapshot(dump_tool: DumpTool, tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "__cluster_metadata-0", 42)
    dump = dump_tool.dump([path], "--cluster-metadata-decoder")
    assert dump.problems == []
    first, *between, last = dump.files[path].records
    assert (first.control or "").startswith("SnapshotHeader ")
    assert (last.control or "").startswith("SnapshotFooter ")
    decoded = [json.loads(record.value or "null") for record in between]
    assert [record["type"] for record in decoded[-4:]] == [
        "PARTITION_RECORD",
        "PARTITION_RECORD",
        "PRODUCER_IDS_RECORD",
        "PARTITION_CHANGE_RECORD",
    ]
