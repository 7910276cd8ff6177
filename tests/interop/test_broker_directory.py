"""A directory that a broker wrote, opened by streamlog: read, continued, and given back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import streamlog
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.client import ClientRecord
from tests.interop.rig.dump import DumpTool, partition_files
from tests.interop.rig.jars import KafkaJars
from tests.interop.rig.moving import CLEAN_SHUTDOWN
from tests.interop.rig.samples import CODECS, BrokerData

RECOVERY_POINTS = "recovery-point-offset-checkpoint"
EMPTY_SNAPSHOT_BYTES = 10

pytestmark = pytest.mark.interop


@pytest.fixture(params=["cleanly-stopped", "killed"])
def directory(request: pytest.FixtureRequest, broker_data: BrokerData, tmp_path: Path) -> Path:
    """A copy of the broker's directory; for a killed broker without the mark of a clean stop."""
    copy = Path(shutil.copytree(broker_data.directory, tmp_path / "node" / "data"))
    if request.param == "killed":
        (copy / CLEAN_SHUTDOWN).unlink()
    return copy


def read(log: streamlog.StreamLog, topic: str) -> list[ClientRecord]:
    return [
        ClientRecord(
            offset=record.offset,
            timestamp=record.timestamp,
            key=record.key,
            value=record.value,
            headers=tuple(record.headers),
            log_append_time=bool(record.timestamp_type),
        )
        for record in log.read(topic, partition=0, start=0)
    ]


def test_we_read_every_record_in_every_codec(directory: Path, broker_data: BrokerData) -> None:
    with streamlog.open(str(directory), read_only=False) as log:
        assert set(broker_data.sent) <= set(log.topics())
        for topic, sent in broker_data.sent.items():
            assert read(log, topic) == sent, topic
        with log.consumer("text-zstd", auto_offset_reset="earliest") as consumer:
            assert len(consumer.poll(max_records=1000)) > 0


def test_we_read_it_without_touching_it(directory: Path, broker_data: BrokerData) -> None:
    before = _content(directory)
    with streamlog.open(str(directory), read_only=True) as log:
        for topic, sent in broker_data.sent.items():
            assert read(log, topic) == sent, topic
    assert _content(directory) == before


def test_what_we_append_the_broker_serves(
    directory: Path, broker_data: BrokerData, kafka_jars: KafkaJars, dump_tool: DumpTool
) -> None:
    expected: dict[str, list[ClientRecord]] = {}
    with streamlog.open(str(directory), read_only=False) as log:
        for codec in CODECS:
            topic = f"text-{codec}"
            with log.producer(compression_type=codec, enable_idempotence=True) as producer:
                for number in range(500):
                    producer.send(topic, b"appended %d" % number, key=b"k", headers=[("h", None)])
            expected[topic] = read(log, topic)
            assert expected[topic][:250] == broker_data.sent[topic]
            assert len(expected[topic]) == 750
    files = [path for topic in expected for path in partition_files(directory / f"{topic}-0")]
    assert dump_tool.dump(files).problems == []
    broker = Broker(kafka_jars, directory.parent)
    broker.start()
    try:
        for topic, records in expected.items():
            assert client.consume(broker.bootstrap, topic) == records, topic
    finally:
        broker.kill()


def test_what_we_rebuild_is_what_the_broker_had_written(
    broker_data: BrokerData, tmp_path: Path
) -> None:
    """After a crash that left only the logs, indexes and producer snapshots come back the same."""
    copy = Path(shutil.copytree(broker_data.directory, tmp_path / "data"))
    (copy / CLEAN_SHUTDOWN).unlink()
    (copy / RECOVERY_POINTS).unlink()
    expected: dict[Path, bytes] = {}
    for topic in broker_data.sent:
        folder = copy / f"{topic}-0"
        for path in folder.glob("*index"):
            expected[path] = path.read_bytes()
            path.unlink()
        newest = max(folder.glob("*.snapshot"))
        if newest.stat().st_size > EMPTY_SNAPSHOT_BYTES:  # where nobody is idempotent we write none
            expected[newest] = newest.read_bytes()
        for path in folder.glob("*.snapshot"):
            path.unlink()
    with streamlog.open(str(copy), read_only=False):
        pass
    assert {path: path.read_bytes() for path in expected} == expected
    assert len(expected) == 2 * (len(broker_data.sent) + 1) + len(CODECS) + 1


def _content(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
