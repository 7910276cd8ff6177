"""Record batches: Kafka reads the ones we build, and we read the ones that Kafka holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from streamlog.record.kernel import Record, RecordBatch, RecordBatchBuilder
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.client import ClientRecord
from tests.interop.rig.dump import Dump, DumpTool, partition_files
from tests.interop.rig.moving import hand_over, log_bytes
from tests.interop.rig.samples import CODECS, BrokerData, binary_records, text_records
from tests.interop.rig.segment import headers, place, write_segment

pytestmark = pytest.mark.interop

RECORDS_PER_BATCH = 17
PRODUCER_ID = 4_000
PRODUCER_EPOCH = 3
LEADER_EPOCH = 0


def build(records: Sequence[ClientRecord], codec: int, base_sequence: int) -> bytearray:
    """One batch of `records`; with an idempotent producer's numbers unless these are -1."""
    producer = {} if base_sequence < 0 else _producer(base_sequence)
    kind = int(records[0].log_append_time)
    builder = RecordBatchBuilder(codec=codec, timestamp_type=kind, **producer)
    for record in records:
        builder.append(record.timestamp, record.key, record.value, record.headers)
    return builder.build()


def _producer(base_sequence: int) -> dict[str, int]:
    return {
        "producer_id": PRODUCER_ID,
        "producer_epoch": PRODUCER_EPOCH,
        "base_sequence": base_sequence,
    }


def arrange(records: Sequence[ClientRecord], *, append_time: bool) -> list[list[ClientRecord]]:
    """The records in batches, with their offsets; `append_time` stamps each batch as the log."""
    numbered = [record._replace(offset=offset) for offset, record in enumerate(records)]
    batches = [
        numbered[start : start + RECORDS_PER_BATCH]
        for start in range(0, len(numbered), RECORDS_PER_BATCH)
    ]
    if not append_time:
        return batches
    return [
        [r._replace(timestamp=batch[-1].timestamp, log_append_time=True) for r in batch]
        for batch in batches
    ]


def write_log(
    folder: Path, batches: Sequence[Sequence[ClientRecord]], codec: int, *, idempotent: bool
) -> Path:
    """Build the batches and lay them out as a segment."""
    built = []
    for batch in batches:
        offset = batch[0].offset
        assert offset is not None
        built.append(place(build(batch, codec, offset if idempotent else -1), offset, LEADER_EPOCH))
    return write_segment(folder, built)


def case_names() -> Iterator[tuple[str, int, bool, bool]]:
    """(topic, codec, idempotent, log append time) for every combination that differs in bytes."""
    for codec, name in enumerate(CODECS):
        for idempotent in (False, True):
            for append_time in (False, True):
                flags = ("-idempotent" if idempotent else "") + (
                    "-appendtime" if append_time else ""
                )
                yield f"{name}{flags}", codec, idempotent, append_time


CASES = list(case_names())
NAMES = [name for name, *_ in CASES]


@pytest.fixture(scope="module")
def text_logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A partition's folder for each case, of records that the dump tool can print."""
    root = tmp_path_factory.mktemp("text")
    for name, codec, idempotent, append_time in CASES:
        batches = arrange(text_records(name), append_time=append_time)
        write_log(root / f"{name}-0", batches, codec, idempotent=idempotent)
    return {name: root / f"{name}-0" for name in NAMES}


@pytest.fixture(scope="module")
def dumped(text_logs: dict[str, Path], dump_tool: DumpTool) -> Dump:
    return dump_tool.dump(path for folder in text_logs.values() for path in partition_files(folder))


def test_the_dump_tool_has_no_complaint(dumped: Dump) -> None:
    assert dumped.problems == []


def test_both_index_checks_have_no_complaint(
    text_logs: dict[str, Path], dump_tool: DumpTool
) -> None:
    indexes = [p for folder in text_logs.values() for p in folder.glob("*index")]
    assert len(indexes) == 2 * len(CASES)
    assert dump_tool.check_sanity(indexes) == []
    assert dump_tool.verify_indexes(indexes) == []


@pytest.mark.parametrize(("name", "codec", "idempotent", "append_time"), CASES, ids=NAMES)
def test_the_dump_tool_decodes_each_record(
    name: str,
    codec: int,
    idempotent: bool,
    append_time: bool,
    text_logs: dict[str, Path],
    dumped: Dump,
) -> None:
    file = dumped.files[text_logs[name] / f"{0:020}.log"]
    batches = arrange(text_records(name), append_time=append_time)
    expected = [record for batch in batches for record in batch]
    assert [
        (r.offset, r.timestamp, r.timestamp_type, r.key, r.value, r.header_keys, r.sequence)
        for r in file.records
    ] == [
        (
            record.offset,
            record.timestamp,
            "LogAppendTime" if append_time else "CreateTime",
            _text(record.key),
            _text(record.value),
            tuple(header for header, _ in record.headers),
            record.offset if idempotent else -1,
        )
        for record in expected
    ]
    assert [(b.base_offset, b.record_count, b.codec) for b in file.batches] == [
        (batch[0].offset, len(batch), CODECS[codec]) for batch in batches
    ]
    producers = {(b.producer_id, b.producer_epoch) for b in file.batches}
    assert producers == ({(PRODUCER_ID, PRODUCER_EPOCH)} if idempotent else {(-1, -1)})


def test_the_dump_tool_knows_our_control_and_transactional_flags(
    dump_tool: DumpTool, tmp_path: Path
) -> None:
    builder = RecordBatchBuilder(producer_id=9, producer_epoch=1, transactional=True, control=True)
    # COMMIT (type 1) of coordinator epoch 5: the marker that ends a transaction.
    builder.append(1_700_000_000_000, b"\0\0\0\1", b"\0\0\0\0\0\5", ())
    log = write_segment(tmp_path / "markers-0", [place(builder.build(), 0)])
    dump = dump_tool.dump([log])
    assert dump.problems == []
    (batch,) = dump.files[log].batches
    assert (batch.transactional, batch.control, batch.size) == (True, True, 78)
    assert dump.files[log].records[0].control == "endTxnMarker: COMMIT coordinatorEpoch: 5"


def test_a_broker_serves_every_record_of_our_batches(broker: Broker, tmp_path: Path) -> None:
    folders: dict[str, Path] = {}
    expected: dict[str, list[ClientRecord]] = {}
    for name, codec, idempotent, append_time in CASES:
        topic = f"ours-{name}"
        batches = arrange(binary_records(), append_time=append_time)
        folders[topic] = write_log(tmp_path / topic, batches, codec, idempotent=idempotent).parent
        expected[topic] = [record for batch in batches for record in batch]
    hand_over(broker, folders, recover=True)
    for topic, records in expected.items():
        assert client.consume(broker.bootstrap, topic) == records, topic
        # It kept our bytes: recovery cut nothing and rewrote nothing.
        assert log_bytes(broker.data / f"{topic}-0") == log_bytes(folders[topic]), topic


@pytest.mark.parametrize("kind", ["text", "binary"])
@pytest.mark.parametrize("codec", CODECS)
def test_we_read_the_batches_that_a_client_sent_to_a_broker(
    broker_data: BrokerData, codec: str, kind: str
) -> None:
    topic = f"{kind}-{codec}"
    log = (broker_data.directory / f"{topic}-0" / f"{0:020}.log").read_bytes()
    records: list[Record] = []
    position = 0
    for expected_position, header in headers(log):
        batch = RecordBatch(log, position)
        assert position == expected_position
        batch.check()
        assert (batch.base_offset, batch.last_offset) == (header.base_offset, header.last_offset)
        assert (batch.codec, batch.producer_id) == (header.codec, header.producer_id)
        assert batch.crc == header.crc
        records += batch.records(topic, 0)
        position += batch.size
    assert position == len(log)
    assert [as_client_record(record) for record in records] == broker_data.sent[topic]
    assert {header.codec for _, header in headers(log)} >= {CODECS.index(codec)}


def as_client_record(record: Record) -> ClientRecord:
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
