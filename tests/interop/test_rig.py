"""The rig must find faults before its silence means anything: it first catches planted ones."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from tests.interop.rig import client
from tests.interop.rig.broker import Broker, BrokerError
from tests.interop.rig.client import ClientRecord
from tests.interop.rig.dump import DumpTool, partition_files
from tests.interop.rig.jars import KafkaJars

pytestmark = pytest.mark.interop

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
START_MS = 1_700_000_000_000


def sample_records(codec: str, count: int = 250) -> list[ClientRecord]:
    return [
        ClientRecord(
            offset=None,
            timestamp=START_MS + number,
            key=None if number % 3 == 0 else f"key-{number}".encode(),
            value=None if number % 10 == 9 else f"{codec} {number} ".encode() * 10,
            headers=(("trace", b"t"), ("none", None)) if number % 2 else (),
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def stopped(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the data of a broker that was given a topic a codec and cleanly stopped."""
    topics = {f"rig-{codec}": 1 for codec in CODECS}
    client.create_topics(broker.bootstrap, topics, {"index.interval.bytes": "1024"})
    for codec in CODECS:
        topic = f"rig-{codec}"
        sent = client.produce(
            broker.bootstrap, topic, sample_records(codec), codec=codec, idempotent=True
        )
        assert client.consume(broker.bootstrap, topic) == sent
        assert client.offset_for_time(broker.bootstrap, topic, START_MS + 100) == 100
    broker.stop()
    copy = tmp_path_factory.mktemp("stopped") / "data"
    shutil.copytree(broker.data, copy)
    broker.start()
    return copy


def test_the_dump_tool_finds_nothing_wrong_in_what_a_broker_wrote(
    stopped: Path, dump_tool: DumpTool
) -> None:
    files = [path for codec in CODECS for path in partition_files(stopped / f"rig-{codec}-0")]
    dump = dump_tool.dump(files)
    assert dump.problems == []
    for codec in CODECS:
        folder = stopped / f"rig-{codec}-0"
        log = dump.files[folder / f"{0:020}.log"]
        assert {batch.codec for batch in log.batches} == {codec}
        assert [
            ClientRecord(None, r.timestamp, _encoded(r.key), _encoded(r.value), ())
            for r in log.records
        ] == [record._replace(headers=()) for record in sample_records(codec)]
        assert log.records[1].header_keys == ("trace", "none")
        assert dump.files[folder / f"{0:020}.timeindex"].time_entries[-1] == (START_MS + 249, 249)
        (producer,) = dump.files[folder / f"{250:020}.snapshot"].producers
        assert (producer.last_sequence, producer.last_offset) == (249, 249)
    assert dump.files[stopped / "rig-none-0" / f"{0:020}.index"].offset_entries


def test_the_dump_tool_decodes_the_metadata_log(stopped: Path, dump_tool: DumpTool) -> None:
    log = stopped / "__cluster_metadata-0" / f"{0:020}.log"
    dump = dump_tool.dump([log], "--cluster-metadata-decoder")
    assert dump.problems == []
    values = [record.value or "" for record in dump.files[log].records]
    assert sum('"TOPIC_RECORD"' in value for value in values) >= len(CODECS)
    assert dump.files[log].records[0].control is not None


def test_the_indexes_of_a_broker_pass_both_checks(stopped: Path, dump_tool: DumpTool) -> None:
    indexes = [
        path
        for codec in CODECS
        for path in partition_files(stopped / f"rig-{codec}-0")
        if path.suffix in {".index", ".timeindex"}
    ]
    assert dump_tool.check_sanity(indexes) == []
    assert dump_tool.verify_indexes(indexes) == []


def test_a_flipped_bit_in_a_batch_is_reported(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    log = _copy(stopped / "rig-none-0", tmp_path) / f"{0:020}.log"
    _flip(log, 100)
    assert any("isvalid: false" in problem for problem in dump_tool.dump([log]).problems)


def test_a_cut_log_is_reported(stopped: Path, dump_tool: DumpTool, tmp_path: Path) -> None:
    log = _copy(stopped / "rig-none-0", tmp_path) / f"{0:020}.log"
    log.write_bytes(log.read_bytes()[:-1])
    assert dump_tool.dump([log]).problems


def test_an_offset_index_that_points_beside_a_batch_is_reported(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    index = _copy(stopped / "rig-none-0", tmp_path) / f"{0:020}.index"
    entries = bytearray(index.read_bytes())
    (offset,) = struct.unpack_from(">i", entries)
    struct.pack_into(">i", entries, 0, offset - 1)
    index.write_bytes(entries)
    assert dump_tool.verify_indexes([index])
    assert dump_tool.dump([index]).problems


def test_a_time_index_with_a_wrong_timestamp_is_reported(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    index = _copy(stopped / "rig-none-0", tmp_path) / f"{0:020}.timeindex"
    entries = bytearray(index.read_bytes())
    (timestamp,) = struct.unpack_from(">q", entries)
    struct.pack_into(">q", entries, 0, timestamp - 1)
    index.write_bytes(entries)
    assert dump_tool.verify_indexes([index])
    assert dump_tool.dump([index]).problems


def test_an_index_of_a_broken_length_fails_the_sanity_check(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    index = _copy(stopped / "rig-none-0", tmp_path) / f"{0:020}.timeindex"
    index.write_bytes(index.read_bytes() + b"\0")
    assert dump_tool.check_sanity([index])


def test_a_damaged_producer_snapshot_is_reported(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    snapshot = _copy(stopped / "rig-none-0", tmp_path) / f"{250:020}.snapshot"
    _flip(snapshot, 20)
    assert dump_tool.dump([snapshot]).problems


def test_a_directory_that_was_never_formatted_is_refused(
    kafka_jars: KafkaJars, tmp_path: Path
) -> None:
    with pytest.raises(BrokerError, match=r"meta\.properties"):
        Broker(kafka_jars, tmp_path / "unformatted").start()


def _copy(partition: Path, destination: Path) -> Path:
    return Path(shutil.copytree(partition, destination / partition.name))


def _flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
