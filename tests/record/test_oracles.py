"""kafka-python's and aiokafka's encoders and decoders read what we write, and we theirs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.record.verify import verify_batch_records
from tests.record.conftest import load_kernel
from tests.record.oracles import DECODERS, ENCODERS
from tests.record.samples import CODECS, NOW, RECORDS, build, fields

LARGE = [(NOW + index, b"key-%d" % index, bytes([index % 251]) * 3000, []) for index in range(120)]

timestamps = st.integers(0, 2**52)
optional_bytes = st.none() | st.binary(max_size=200)
headers = st.lists(st.tuples(st.text(max_size=20), optional_bytes), max_size=4)
records = st.lists(
    st.tuples(timestamps, optional_bytes, optional_bytes, headers), min_size=1, max_size=20
)


def read_by(decoder: Any, batch: bytes) -> list[Any]:
    view = decoder(bytes(batch))
    assert view.validate_crc()
    return [
        (one.offset, one.timestamp, one.key, one.value, [tuple(pair) for pair in one.headers])
        for one in view
    ]


def read_by_us(kernel: Any, batch: bytes) -> list[Any]:
    view = kernel.RecordBatch(batch)
    assert verify_batch_records(view) == view.count
    return [
        (one.offset, one.timestamp, one.key, one.value, list(one.headers))
        for one in view.records("t", 0)
    ]


def written_by(encoder: Any, codec: int, sent: list[Any]) -> bytes:
    builder = encoder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=77,
        producer_epoch=3,
        base_sequence=5,
        batch_size=10_000_000,
    )
    for offset, (timestamp, key, value, pairs) in enumerate(sent):
        assert builder.append(offset, timestamp, key, value, pairs) is not None
    return bytes(builder.build())


def expected(sent: list[Any]) -> list[Any]:
    return [
        (offset, timestamp, key, value, [tuple(pair) for pair in pairs])
        for offset, (timestamp, key, value, pairs) in enumerate(sent)
    ]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
@pytest.mark.parametrize("sent", [RECORDS, LARGE], ids=["mixed", "large"])
def test_they_read_ours(kernel, codec, decoder, sent):
    assert read_by(decoder, build(kernel, sent, codec=codec)) == expected(sent)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("sent", [RECORDS, LARGE], ids=["mixed", "large"])
def test_we_read_theirs(kernel, codec, encoder, sent):
    batch = written_by(encoder, codec, sent)
    assert read_by_us(kernel, batch) == expected(sent)
    view = kernel.RecordBatch(batch)
    assert (view.producer_id, view.producer_epoch, view.base_sequence) == (77, 3, 5)


@settings(max_examples=100)
@given(sent=records)
def test_any_records_are_written_alike_by_everyone(sent):
    kernels = [load_kernel("pure"), load_kernel("compiled")]
    identity = {"producer_id": 77, "producer_epoch": 3, "base_sequence": 5}
    ours = [bytes(build(kernel, sent, **identity)) for kernel in kernels]
    theirs = [written_by(encoder, 0, sent) for encoder in ENCODERS.values()]
    # They send leader epoch 0 or -1, as they like: it is the log's to set.
    assert len({batch[:12] + batch[16:] for batch in ours + theirs}) == 1
    assert ours[0] == ours[1]


@settings(max_examples=60)
@given(sent=records, codec=st.sampled_from(list(CODECS.values())))
def test_any_records_come_back(sent, codec):
    pure, compiled = load_kernel("pure"), load_kernel("compiled")
    batch = build(compiled, sent, codec=codec)
    assert batch == build(pure, sent, codec=codec)
    assert read_by_us(compiled, batch) == expected(sent) == read_by_us(pure, batch)
    assert [fields(one) for one in compiled.RecordBatch(batch).records("t", 1)] == [
        fields(one) for one in pure.RecordBatch(batch).records("t", 1)
    ]
    for decoder in DECODERS.values():
        assert read_by(decoder, batch) == expected(sent)
