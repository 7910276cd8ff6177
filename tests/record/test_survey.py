"""One pass over a produced batch: what it says of the records, and that it believes no count."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.errors import CorruptRecordError, DecompressionError, StreamlogError
from streamlog.record.survey import RecordSurvey
from tests.record.conftest import load_kernel
from tests.record.samples import CODECS, EMPTY_BATCH, NOW, RECORDS, batch_of, build, with_crc
from tests.record.test_lying_bytes import LIES, varints


def survey(kernel, batch):
    """What it says, or the error's text."""
    try:
        return kernel.survey_records(kernel.RecordBatch(batch), 1 << 20)
    except StreamlogError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_it_finds_the_first_record_without_a_key_and_both_ends_of_time(kernel, codec):
    batch = build(kernel, codec=codec)
    assert survey(kernel, batch) == RecordSurvey(
        first_keyless=1,
        smallest_timestamp=NOW - 7,
        largest_timestamp=NOW + 86_400_000,
        is_consecutive=True,
    )


def test_records_without_a_time_of_their_own_count_for_nothing(kernel):
    timeless = build(kernel, [(-1, b"k", b"v", [])] * 2)
    assert survey(kernel, timeless) == RecordSurvey(-1, -1, -1, True)
    mixed = build(kernel, [(-1, b"k", b"v", []), (5, b"k", b"v", []), (-1, b"k", b"v", [])])
    assert survey(kernel, mixed) == RecordSurvey(-1, 5, 5, True)


def test_the_logs_time_is_every_records(kernel):
    batch = build(kernel, [(5, b"k", b"v", []), (9, b"k", b"v", [])], timestamp_type=1)
    assert survey(kernel, batch)[1:3] == (9, 9)


def test_an_empty_batch_has_nothing(kernel):
    assert survey(kernel, EMPTY_BATCH) == RecordSurvey(-1, -1, -1, True)


def test_a_record_that_compaction_took_out_shows(kernel):
    record = b"".join(varints(6) + b"\x00" + varints(0, offset, -1, -1, 0) for offset in (0, 2, 3))
    batch = batch_of(record, count=3, last_delta=3)
    assert survey(kernel, batch) == RecordSurvey(0, NOW, NOW, is_consecutive=False)


@pytest.mark.parametrize("payload", LIES.values(), ids=LIES)
def test_a_lie_in_a_record_is_found(kernel, payload):
    with pytest.raises(CorruptRecordError):
        kernel.survey_records(kernel.RecordBatch(batch_of(payload)))


@pytest.mark.parametrize("count", [-1, 0, 1, 4, 6, 2**31 - 1])
def test_a_count_that_is_not_the_records_is_found(kernel, count):
    batch = bytearray(build(kernel))
    struct.pack_into(">i", batch, 23, max(count, len(RECORDS)) - 1)
    struct.pack_into(">i", batch, 57, count)
    with pytest.raises(CorruptRecordError):
        kernel.survey_records(kernel.RecordBatch(with_crc(batch)))


def test_a_bomb_stops_at_the_limit(kernel):
    batch = build(kernel, [(NOW, b"k", bytes(1 << 20), [])], codec=CODECS["zstd"])
    with pytest.raises(DecompressionError, match="more than 1000 bytes"):
        kernel.survey_records(kernel.RecordBatch(batch), 1000)


@pytest.mark.parametrize("codec", [0, 4])
def test_any_flip_is_surveyed_the_same_in_both_kernels(kernels, codec):
    pure, compiled = kernels
    whole = build(pure, codec=codec)
    for bit in range(8 * 21, 8 * min(len(whole), 400)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        assert survey(pure, with_crc(flipped)) == survey(compiled, with_crc(flipped)), bit


@settings(max_examples=300, deadline=None)
@given(payload=st.binary(max_size=80), count=st.integers(0, 5), spare=st.integers(0, 3))
def test_random_payloads_are_surveyed_the_same_in_both_kernels(payload, count, spare):
    batch = batch_of(payload, count=count, last_delta=max(0, count - 1 + spare))
    assert survey(load_kernel("pure"), batch) == survey(load_kernel("compiled"), batch)
