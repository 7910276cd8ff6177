"""The iterator under consumers, on both kernels: order, positions, ends, errors."""

from __future__ import annotations

import importlib
import importlib.util
import json
from types import SimpleNamespace
from typing import Any

import pytest

from streamlog.clients.fetch import NO_END, Fetch
from streamlog.errors import CorruptRecordError, DecompressionError, SerializationError
from tests.record.conftest import load_kernel


@pytest.fixture(params=["pure", "compiled"])
def streams(request: pytest.FixtureRequest) -> Any:
    """A module of streams, with the record kernel that it belongs to."""
    kernel = load_kernel(request.param)
    name = "record_stream" if request.param == "pure" else "_record_stream"
    if importlib.util.find_spec(f"streamlog.clients.{name}") is None:
        pytest.skip("the compiled kernel was not built: no C compiler at installation")
    module = importlib.import_module(f"streamlog.clients.{name}")
    return SimpleNamespace(
        RecordStream=module.RecordStream, PartitionBatch=module.PartitionBatch, kernel=kernel
    )


class Fetches:
    """A source that hands out what it was given."""

    def __init__(self, *fetches: Fetch) -> None:
        self.fetches = list(fetches)
        self.asked_at: list[int] = []

    def next_fetch(self, reached: int) -> Fetch | None:
        self.asked_at.append(reached)
        return self.fetches.pop(0) if self.fetches else None


def open_stream(streams: Any, *fetches: Fetch, **settings: Any) -> Any:
    return streams.RecordStream(Fetches(*fetches), **settings)


def encode(base_offset: int, values: list[bytes | None], **settings: Any) -> bytes:
    from streamlog.record.builder import RecordBatchBuilder

    builder = RecordBatchBuilder(**settings)
    for value in values:
        builder.append(1_700_000_000_000, b"key", value, ())
    batch = builder.build()
    batch[0:8] = base_offset.to_bytes(8, "big")
    return bytes(batch)


def fetch(data: bytes, position: int = 0, end: int = NO_END) -> Fetch:
    return Fetch(memoryview(data), "orders", 3, position, end, "/log/0.log", 1000)


TWO_BATCHES = encode(0, [b"a", b"b"]) + encode(2, [b"c"])


def test_records_come_in_order_and_the_position_follows_them(streams: Any) -> None:
    stream = open_stream(streams, fetch(TWO_BATCHES), fetch(encode(3, [b"d"]), 3))
    seen = []
    for record in stream:
        seen.append((record.topic, record.partition, record.offset, record.value))
        assert stream.position == record.offset + 1
    assert [each[2:] for each in seen] == [(0, b"a"), (1, b"b"), (2, b"c"), (3, b"d")]
    assert {each[:2] for each in seen} == {("orders", 3)}


def test_the_source_is_asked_once_a_fetch_at_the_position_reached(streams: Any) -> None:
    source = Fetches(fetch(TWO_BATCHES), fetch(encode(7, [b"x"]), 3))
    assert len(list(streams.RecordStream(source))) == 4
    assert source.asked_at == [0, 3, 8]


def test_a_fetch_may_begin_and_end_inside_a_batch(streams: Any) -> None:
    stream = open_stream(streams, fetch(encode(10, [b"0", b"1", b"2", b"3"]), 11, 13))
    assert [record.value for record in stream] == [b"1", b"2"]
    assert stream.position == 13


def test_an_end_between_batches_leaves_the_next_batch_alone(streams: Any) -> None:
    damaged = TWO_BATCHES[:-1] + b"!"
    stream = open_stream(streams, fetch(damaged, 0, 2))
    assert [record.value for record in stream] == [b"a", b"b"]


def test_control_batches_are_passed_over(streams: Any) -> None:
    control = encode(1, [b"marker"], control=True, transactional=True, producer_id=1,
                     producer_epoch=0)  # fmt: skip
    data = encode(0, [b"a"]) + control + encode(2, [b"b"])
    stream = open_stream(streams, fetch(data))
    assert [record.value for record in stream] == [b"a", b"b"]
    stream = open_stream(streams)
    stream.load(fetch(data))
    assert [batch.base_offset for batch in stream.batches()] == [0, 2]


def test_take_stops_at_the_limit_and_at_the_end_of_the_fetch(streams: Any) -> None:
    stream = open_stream(streams, fetch(TWO_BATCHES))
    stream.load(fetch(TWO_BATCHES))
    assert [record.value for record in stream.take(2)] == [b"a", b"b"]
    assert stream.position == 2
    assert [record.value for record in stream.take(5)] == [b"c"]
    assert stream.take(5) == []
    assert stream.position == 3


def test_what_is_dropped_leaves_the_position(streams: Any) -> None:
    stream = open_stream(streams)
    stream.load(fetch(TWO_BATCHES))
    assert next(stream).value == b"a"
    stream.drop()
    assert stream.position == 1
    assert list(stream) == []


def test_a_closed_stream_takes_no_fetch(streams: Any) -> None:
    stream = open_stream(streams, fetch(TWO_BATCHES))
    assert next(stream).value == b"a"
    stream.close()
    stream.load(fetch(TWO_BATCHES))
    assert stream.take(10) == []
    assert list(stream) == []


def test_batches_are_views_that_know_where_they_come_from(streams: Any) -> None:
    view = memoryview(TWO_BATCHES)
    stream = open_stream(streams)
    stream.load(Fetch(view, "orders", 3, 1))
    first, second = stream.batches()
    assert isinstance(first, streams.kernel.RecordBatch)
    assert (first.topic, first.partition, first.start_offset) == ("orders", 3, 1)
    assert (second.start_offset, second.base_offset, second.count) == (2, 2, 1)
    assert bytes(first) + bytes(second) == TWO_BATCHES
    assert second.view.obj is view.obj
    assert [record.value for record in first] == [b"b"]
    assert [(record.topic, record.partition) for record in second] == [("orders", 3)]
    assert stream.position == 3


@pytest.mark.parametrize("read", ["records", "batches"])
def test_a_damaged_batch_is_named_and_the_position_stays_before_it(streams: Any, read: str) -> None:
    damaged = bytearray(TWO_BATCHES)
    damaged[-3] ^= 1
    stream = open_stream(streams)
    stream.load(fetch(bytes(damaged)))
    taken = stream.take(10) if read == "records" else stream.batches()
    assert len(taken) == (2 if read == "records" else 1)
    for _ in range(2):
        with pytest.raises(
            CorruptRecordError, match=r"orders-3, offset 2 in /log/0\.log"
        ) as caught:
            stream.take(10) if read == "records" else stream.batches()
        error = caught.value
        assert (error.topic, error.partition, error.offset) == ("orders", 3, 2)
        assert (error.file, error.position) == (
            "/log/0.log",
            1000 + len(encode(0, [b"a", b"b"])),
        )
        assert stream.position == 2


def test_unchecked_reading_hands_out_what_decodes(streams: Any) -> None:
    damaged = bytearray(encode(0, [b"abc"]))
    damaged[-3] ^= 1
    stream = open_stream(streams, fetch(bytes(damaged)), check_crcs=False)
    assert [record.offset for record in stream] == [0]


def test_a_record_that_does_not_decode_is_named(streams: Any) -> None:
    damaged = bytearray(encode(5, [b"abc", b"def"]))
    second = bytes(damaged).rindex(b"\x06key")
    damaged[second] = 0x7E  # a key longer than the record
    stream = open_stream(streams, fetch(bytes(damaged), 5), check_crcs=False)
    assert next(stream).offset == 5
    with pytest.raises(CorruptRecordError) as caught:
        next(stream)
    assert (caught.value.topic, caught.value.offset) == ("orders", 6)
    assert stream.position == 6


def test_a_payload_that_does_not_decompress_is_named(streams: Any) -> None:
    from streamlog.record import layout

    damaged = bytearray(encode(0, [b"x" * 1000], codec=1))
    damaged[layout.HEADER_SIZE + 20] ^= 0xFF
    stream = open_stream(streams, fetch(bytes(damaged)), check_crcs=False)
    with pytest.raises((DecompressionError, CorruptRecordError)) as caught:
        next(stream)
    assert (caught.value.topic, caught.value.partition) == ("orders", 3)


def test_deserializers_see_what_is_there_and_none_stays_none(streams: Any) -> None:
    data = encode(0, [b'{"a": 1}', None])
    stream = open_stream(
        streams, fetch(data), key_deserializer=bytes.decode, value_deserializer=json.loads
    )
    assert [(record.key, record.value) for record in stream] == [("key", {"a": 1}), ("key", None)]


def test_a_failed_deserializer_names_the_record_and_can_be_passed_over(streams: Any) -> None:
    data = encode(0, [b"1", b"oops", b"3"])
    stream = open_stream(streams, value_deserializer=json.loads)
    stream.load(fetch(data))
    assert [record.value for record in stream.take(10)] == [1]
    for _ in range(2):
        with pytest.raises(SerializationError, match="value of orders-3 at offset 1") as caught:
            next(stream)
        error = caught.value
        assert (error.topic, error.partition, error.offset, error.field) == (
            "orders",
            3,
            1,
            "value",
        )
        assert isinstance(error.__cause__, json.JSONDecodeError)
        assert stream.position == 1
    stream.load(fetch(data, 2))
    assert [record.value for record in stream.take(10)] == [3]


def test_a_deserializer_may_drop_the_stream_it_is_called_by(streams: Any) -> None:
    data = encode(0, [b"1", b"2"])
    stream = open_stream(streams, value_deserializer=lambda value: stream.close() or value)
    stream.load(fetch(data))
    assert [record.value for record in stream.take(10)] == [b"1"]
