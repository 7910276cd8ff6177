from __future__ import annotations

import gc
import pickle
import struct

import pytest

from streamlog.errors import CorruptRecordError, DecompressionError, UnsupportedFormatError
from streamlog.record.timestamp_type import TimestampType
from streamlog.record.verify import verify_batch_records
from tests.record.samples import (
    COMMIT_MARKER,
    EMPTY_BATCH,
    NOW,
    RECORDS,
    TWO_RECORDS,
    build,
    with_crc,
)


def test_the_golden_batch_is_read(kernel):
    batch = kernel.RecordBatch(TWO_RECORDS)
    batch.check()
    assert (batch.base_offset, batch.last_offset, batch.next_offset) == (0, 1, 2)
    assert (batch.size, batch.count, batch.codec, batch.attributes) == (89, 2, 0, 0)
    assert (batch.base_timestamp, batch.max_timestamp) == (NOW, NOW + 5)
    assert (batch.leader_epoch, batch.producer_id, batch.producer_epoch) == (-1, -1, -1)
    assert (batch.base_sequence, batch.last_sequence, batch.crc) == (-1, -1, 0x37827B3A)
    assert not (batch.is_transactional)
    assert not (batch.is_control)
    assert not (batch.has_delete_horizon)
    first, second = batch.records("orders", 3)
    assert (first.key, first.value, first.headers) == (b"k", b"v", ())
    assert (second.key, second.value) == (None, b"hello")
    assert second.headers == (("h", b"x"), ("n", None))
    assert (second.topic, second.partition, second.offset) == ("orders", 3, 1)
    assert second.timestamp == NOW + 5
    assert second.timestamp_type is TimestampType.CREATE_TIME


def test_the_golden_batch_is_written(kernel):
    records = [(NOW, b"k", b"v", ()), (NOW + 5, None, b"hello", {"h": b"x", "n": None})]
    assert build(kernel, records) == TWO_RECORDS


def test_the_golden_marker_is_read(kernel):
    batch = kernel.RecordBatch(COMMIT_MARKER)
    batch.check()
    assert batch.is_control
    assert batch.is_transactional
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (4000, 2, -1)
    (record,) = batch
    assert (record.offset, record.key, record.leader_epoch) == (7, bytes.fromhex("00000001"), 1)


def test_an_empty_batch_has_no_records_and_moves_on(kernel):
    batch = kernel.RecordBatch(EMPTY_BATCH)
    batch.check()
    assert (batch.count, batch.last_sequence, batch.next_offset) == (0, 13, 105)
    records = batch.records("t", 0, 102)
    assert records.next_offset == 102
    assert list(records) == []
    assert records.next_offset == 105


def test_next_offset_follows_what_was_handed_out(kernel):
    records = kernel.RecordBatch(build(kernel, base_offset=50)).records("t", 0, 52)
    assert records.next_offset == 52
    assert next(records).offset == 52
    assert records.next_offset == 53
    assert [record.offset for record in records.take(1)] == [53]
    assert [record.offset for record in records.take(10)] == [54]
    assert records.take(10) == []
    assert records.next_offset == 55


def test_next_offset_starts_at_the_batch_when_asked_for_less(kernel):
    records = kernel.RecordBatch(build(kernel, base_offset=50)).records("t", 0, 3)
    assert records.next_offset == 50


def test_records_of_log_append_time_share_the_maximum(kernel):
    batch = bytearray(build(kernel, timestamp_type=TimestampType.LOG_APPEND_TIME))
    struct.pack_into(">q", batch, 35, NOW + 999)
    records = list(kernel.RecordBatch(with_crc(batch)))
    assert {record.timestamp for record in records} == {NOW + 999}
    assert {record.timestamp_type for record in records} == {TimestampType.LOG_APPEND_TIME}


def test_a_view_follows_what_is_assigned_in_place(kernel):
    buffer = build(kernel)
    batch = kernel.RecordBatch(buffer)
    struct.pack_into(">q", buffer, 0, 1234)
    struct.pack_into(">i", buffer, 12, 9)
    batch.check()
    assert (batch.base_offset, batch.leader_epoch) == (1234, 9)
    assert [record.offset for record in batch] == [1234, 1235, 1236, 1237, 1238]


def test_a_view_keeps_its_buffer_alive(kernel):
    records = kernel.RecordBatch(bytearray(TWO_RECORDS)).records("t", 0)
    gc.collect()
    assert next(records).value == b"v"


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_a_batch_is_read_in_the_middle_of_any_buffer(kernel, wrap):
    buffer = wrap(b"\x99" * 7 + TWO_RECORDS + COMMIT_MARKER)
    batch = kernel.RecordBatch(buffer, 7 + len(TWO_RECORDS))
    assert bytes(batch) == COMMIT_MARKER == bytes(batch.view)
    assert len(batch) == batch.size == 78


def test_a_sequence_wraps_inside_a_batch(kernel):
    batch = kernel.RecordBatch(
        build(kernel, producer_id=1, producer_epoch=0, base_sequence=2**31 - 2)
    )
    assert batch.last_sequence == 2


def test_a_delete_horizon_is_the_base_of_negative_deltas(kernel):
    batch = bytearray(TWO_RECORDS)
    struct.pack_into(">h", batch, 21, 0x40)
    struct.pack_into(">q", batch, 27, NOW + 1000)
    view = kernel.RecordBatch(with_crc(batch))
    assert view.has_delete_horizon
    assert [record.timestamp for record in view] == [NOW + 1000, NOW + 1005]


def test_header_keys_that_are_not_utf8_survive(kernel):
    first = next(
        iter(kernel.RecordBatch(TWO_RECORDS.replace(b"\x02h\x02x", b"\x02\xff\x02x"))), None
    )
    assert first is not None
    raw = TWO_RECORDS.replace(b"\x02h\x02x", b"\x02\xff\x02x")
    record = list(kernel.RecordBatch(raw))[1]
    again = build(kernel, [(NOW, None, None, record.headers)])
    assert b"\x02\xff\x02x" in again


def test_records_are_values(kernel):
    one, other = (list(kernel.RecordBatch(TWO_RECORDS))[1] for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one is not other
    assert one != kernel.Record(topic="", partition=-1, offset=1)
    assert one != "a record"
    assert repr(one).startswith("Record(topic='', partition=-1, offset=1, timestamp=")
    assert fields_of(pickle.loads(pickle.dumps(one))) == fields_of(one)
    with pytest.raises(AttributeError):
        one.offset = 3
    with pytest.raises(TypeError):
        kernel.Record("topic", 0, 1)


def fields_of(record):
    return repr(record)


@pytest.mark.parametrize("magic", [0, 1])
def test_legacy_messages_are_refused_by_name(kernel, magic):
    message = struct.pack(">qiIbb", 0, 22, 0, magic, 0) + bytes(16)
    with pytest.raises(UnsupportedFormatError, match=f"message format v{magic}") as caught:
        kernel.RecordBatch(message)
    assert caught.value.found == magic


def test_no_batch_is_at_a_negative_position(kernel):
    with pytest.raises(ValueError):
        kernel.RecordBatch(TWO_RECORDS, -1)
    with pytest.raises(CorruptRecordError):
        kernel.RecordBatch(TWO_RECORDS, 10_000)


def test_the_deep_check_counts_records(kernel):
    assert verify_batch_records(kernel.RecordBatch(build(kernel))) == len(RECORDS)
    assert verify_batch_records(kernel.RecordBatch(EMPTY_BATCH)) == 0


def test_the_deep_check_finds_a_timestamp_above_the_maximum(kernel):
    batch = bytearray(TWO_RECORDS)
    struct.pack_into(">q", batch, 35, NOW + 4)
    with pytest.raises(CorruptRecordError, match="above the batch's maximum"):
        verify_batch_records(kernel.RecordBatch(with_crc(batch)))


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_payload_larger_than_the_reader_allows_is_refused(kernel, codec):
    batch = kernel.RecordBatch(build(kernel, [(NOW, None, bytes(100_000), ())], codec=codec))
    assert next(batch.records("t", 0, limit=101_000)).value == bytes(100_000)
    with pytest.raises(DecompressionError, match="more than 99999 bytes"):
        batch.records("t", 0, limit=99_999)
