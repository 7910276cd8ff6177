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
from tests.interop.rig.samples import CODECS, START_MS, BrokerData, text_records
from tests.interop.rig.segment import headers

pytestmark = pytest.mark.interop


@pytest.fixture
def stopped(broker_data: BrokerData) -> Path:
    return broker_data.directory


def test_a_client_reads_from_the_broker_what_it_sent(
    broker: Broker, broker_data: BrokerData
) -> None:
    for topic, sent in broker_data.sent.items():
        assert client.consume(broker.bootstrap, topic) == sent
    assert client.offset_for_time(broker.bootstrap, "text-none", START_MS + 100) == 100


def test_the_dump_tool_finds_nothing_wrong_in_what_a_broker_wrote(
    stopped: Path, dump_tool: DumpTool
) -> None:
    files = [path for codec in CODECS for path in partition_files(stopped / f"text-{codec}-0")]
    dump = dump_tool.dump(files)
    assert dump.problems == []
    for codec in CODECS:
        folder = stopped / f"text-{codec}-0"
        log = dump.files[folder / f"{0:020}.log"]
        assert {batch.codec for batch in log.batches} == {codec}
        assert [
            ClientRecord(None, r.timestamp, _encoded(r.key), _encoded(r.value), ())
            for r in log.records
        ] == [record._replace(headers=()) for record in text_records(codec)]
        assert log.records[1].header_keys == ("trace", "none")
        assert dump.files[folder / f"{0:020}.timeindex"].time_entries[-1] == (START_MS + 249, 249)
        (producer,) = dump.files[folder / f"{250:020}.snapshot"].producers
        assert (producer.last_sequence, producer.last_offset) == (249, 249)
    assert dump.files[stopped / "text-none-0" / f"{0:020}.index"].offset_entries


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
        for path in partition_files(stopped / f"text-{codec}-0")
        if path.suffix in {".index", ".timeindex"}
    ]
    assert dump_tool.check_sanity(indexes) == []
    assert dump_tool.verify_indexes(indexes) == []


def test_a_segment_that_does_not_begin_at_0_is_no_gap_but_a_gap_is(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    logs = sorted((stopped / "long-none-0").glob("*.log"))
    assert len(logs) > 1
    assert dump_tool.dump(logs).problems == []
    assert dump_tool.check(logs) == []
    second = _copy(stopped / "long-none-0", tmp_path) / logs[1].name
    content = second.read_bytes()
    (_, _), (start, _), (end, _), *_ = headers(content)
    second.write_bytes(content[:start] + content[end:])
    assert any("is followed by" in problem for problem in dump_tool.check([second]))


def test_a_flipped_bit_in_a_batch_is_reported(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    log = _copy(stopped / "text-none-0", tmp_path) / f"{0:020}.log"
    _flip(log, 100)
    assert any("isvalid: false" in problem for problem in dump_tool.dump([log]).problems)


def test_a_cut_log_is_reported(stopped: Path, dump_tool: DumpTool, tmp_path: Path) -> None:
    log = _copy(stopped / "text-none-0", tmp_path) / f"{0:020}.log"
    log.write_bytes(log.read_bytes()[:-1])
    assert dump_tool.dump([log]).problems


def test_an_offset_index_that_points_beside_a_batch_is_reported(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    index = _copy(stopped / "text-none-0", tmp_path) / f"{0:020}.index"
    entries = bytearray(index.read_bytes())
    (offset,) = struct.unpack_from(">i", entries)
    struct.pack_into(">i", entries, 0, offset - 1)
    index.write_bytes(entries)
    assert dump_tool.verify_indexes([index])
    assert dump_tool.dump([index]).problems


def test_a_time_index_with_a_wrong_timestamp_is_reported(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    index = _copy(stopped / "text-none-0", tmp_path) / f"{0:020}.timeindex"
    entries = bytearray(index.read_bytes())
    (timestamp,) = struct.unpack_from(">q", entries)
    struct.pack_into(">q", entries, 0, timestamp - 1)
    index.write_bytes(entries)
    assert dump_tool.verify_indexes([index])
    assert dump_tool.dump([index]).problems


def test_an_index_of_a_broken_length_fails_the_sanity_check(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    index = _copy(stopped / "text-none-0", tmp_path) / f"{0:020}.timeindex"
    index.write_bytes(index.read_bytes() + b"\0")
    assert dump_tool.check_sanity([index])


def test_a_damaged_producer_snapshot_is_reported(
    stopped: Path, dump_tool: DumpTool, tmp_path: Path
) -> None:
    snapshot = _copy(stopped / "text-none-0", tmp_path) / f"{250:020}.snapshot"
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
