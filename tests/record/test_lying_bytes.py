"""Lengths and counts that lie, cuts, flips: a typed error, never a crash or wrong data."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.errors import CorruptRecordError, StreamlogError
from streamlog.record.varint import append_varint
from streamlog.record.verify import verify_batch_records
from tests.record.conftest import load_kernel
from tests.record.samples import (
    CODECS,
    COMMIT_MARKER,
    EMPTY_BATCH,
    TWO_RECORDS,
    batch_of,
    build,
    fields,
    with_crc,
)

REFERENCES = {"records": TWO_RECORDS, "marker": COMMIT_MARKER, "empty": EMPTY_BATCH}


def varints(*values: int) -> bytes:
    out = bytearray()
    for value in values:
        append_varint(out, value)
    return bytes(out)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_batch_cut_anywhere_is_no_batch(kernel, name):
    whole = REFERENCES[name]
    for size in range(len(whole)):
        with pytest.raises(CorruptRecordError):
            kernel.RecordBatch(whole[:size])


@pytest.mark.parametrize("name", REFERENCES)
def test_any_flipped_bit_is_found(kernel, name):
    """But in the base offset and the leader epoch: the CRC leaves them to the log."""
    whole = REFERENCES[name]
    for bit in range(8 * len(whole)):
        if bit // 8 in {*range(8), *range(12, 16)}:
            continue
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamlogError):
            kernel.RecordBatch(flipped + bytes(8)).check()


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_any_flip_behind_a_right_crc_reads_the_same_in_both_kernels(kernels, codec):
    """A writer of nonsense: an error or records, but the same from both, and no crash."""
    whole = build(kernels[0], codec=codec)
    for bit in range(8 * 21, 8 * len(whole), 1 if codec == 0 else 7):
        if bit > 8 * 400:
            break
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        batch = with_crc(flipped)
        assert outcome(kernels[0], batch) == outcome(kernels[1], batch), bit


def outcome(kernel, batch):
    try:
        view = kernel.RecordBatch(batch)
        view.check()
        return [fields(record) for record in view.records("t", 0, 0, 1 << 20)]
    except StreamlogError as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(payload=st.binary(max_size=80), count=st.integers(0, 5), spare=st.integers(0, 3))
def test_random_payloads_read_the_same_in_both_kernels(payload, count, spare):
    batch = batch_of(payload, count=count, last_delta=max(0, count - 1 + spare))
    assert outcome(load_kernel("pure"), batch) == outcome(load_kernel("compiled"), batch)


@settings(max_examples=200, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(61, 200), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 30),
)
def test_damaged_records_read_the_same_in_both_kernels(edits, cut):
    pure, compiled = load_kernel("pure"), load_kernel("compiled")
    damaged = bytearray(build(pure))
    for position, byte in edits:
        damaged[position] = byte
    batch = with_crc(damaged[: len(damaged) - cut])
    assert outcome(pure, batch) == outcome(compiled, batch)


LIES = {
    "no bytes": b"",
    "length without end": b"\x80\x80\x80\x80\x80\x01",
    "length above int32": b"\xff\xff\xff\xff\x7f" + bytes(20),
    "negative length": varints(-1) + bytes(20),
    "zero length": varints(0) + bytes(20),
    "length beyond the batch": varints(1000) + bytes(20),
    "length of 2 GiB": varints(2**31 - 1) + bytes(20),
    "key beyond the record": varints(7) + b"\x00" + varints(0, 0, 100) + bytes(50),
    "key of -2": varints(6) + b"\x00" + varints(0, 0, -2, -1, 0),
    "value beyond the record": varints(6) + b"\x00" + varints(0, 0, -1, 3, 0) + bytes(50),
    "value of 2 GiB": varints(10) + b"\x00" + varints(0, 0, -1, 2**31 - 1, 0),
    "negative header count": varints(6) + b"\x00" + varints(0, 0, -1, -1, -1),
    "two billion headers": varints(10) + b"\x00" + varints(0, 0, -1, -1, 2**31 - 1),
    "header without key": varints(8) + b"\x00" + varints(0, 0, -1, -1, 1, -1, -1),
    "header beyond the record": varints(8) + b"\x00" + varints(0, 0, -1, -1, 1, 50, 0) + bytes(99),
    "record longer than its fields": varints(9) + b"\x00" + varints(0, 0, -1, -1, 0) + bytes(3),
    "bytes left over": varints(6) + b"\x00" + varints(0, 0, -1, -1, 0) + b"\x00",
    "offset delta behind the last": varints(6) + b"\x00" + varints(0, 1, -1, -1, 0),
    "negative offset delta": varints(6) + b"\x00" + varints(0, -1, -1, -1, 0),
    "overlong timestamp": varints(16) + b"\x00" + b"\xff" * 10 + varints(0, -1, -1, 0),
}


@pytest.mark.parametrize("payload", LIES.values(), ids=LIES)
def test_a_lie_in_a_record_is_found(kernel, payload):
    batch = kernel.RecordBatch(batch_of(payload))
    batch.check()
    records = batch.records("t", 0)
    for _ in range(2):  # and found again: an iterator never ends quietly behind an error
        with pytest.raises(CorruptRecordError):
            list(records)
    with pytest.raises(CorruptRecordError):
        verify_batch_records(batch)


@pytest.mark.parametrize(("count", "delta"), [(-1, 0), (3, 1), (2**31 - 1, 0), (1, -1), (0, -5)])
def test_counts_that_cannot_be_are_found(kernel, count, delta):
    batch = bytearray(TWO_RECORDS)
    struct.pack_into(">i", batch, 23, delta)
    struct.pack_into(">i", batch, 57, count)
    view = kernel.RecordBatch(with_crc(batch))
    for use in (view.check, lambda: view.records("t", 0)):
        with pytest.raises(CorruptRecordError, match="count"):
            use()


@pytest.mark.parametrize("count", [1, 3])
def test_a_count_that_does_not_fit_the_records_is_found(kernel, count):
    batch = bytearray(TWO_RECORDS)
    struct.pack_into(">i", batch, 23, 5)
    struct.pack_into(">i", batch, 57, count)
    with pytest.raises(CorruptRecordError):
        list(kernel.RecordBatch(with_crc(batch)))


@pytest.mark.parametrize("base", [-1, -(2**63), 2**63 - 1, 2**63 - 2])
def test_base_offsets_that_cannot_be_are_found(kernel, base):
    batch = bytearray(TWO_RECORDS)
    struct.pack_into(">q", batch, 0, base)
    with pytest.raises(CorruptRecordError, match="base offset"):
        kernel.RecordBatch(batch).check()


def test_a_length_that_changes_under_a_view_is_found(kernel):
    batch = bytearray(TWO_RECORDS)
    view = kernel.RecordBatch(batch)
    struct.pack_into(">i", batch, 8, 10_000)
    with pytest.raises(CorruptRecordError, match="length"):
        view.check()
    assert len(bytes(view)) == len(TWO_RECORDS)
