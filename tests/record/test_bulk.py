from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.errors import ConfigError, InvalidTimestampError
from tests.record.conftest import load_kernel
from tests.record.samples import CODECS, NOW, assign_offsets

optional_bytes = st.none() | st.binary(max_size=120)


def records_of(kernel, encoded):
    buffer, spans = encoded
    assert sum(size for _, size, _ in spans) == len(buffer)
    found = []
    for position, size, count in spans:
        batch = kernel.RecordBatch(buffer, position)
        batch.check()
        assert (batch.size, batch.count) == (size, count)
        found += [(one.timestamp, one.key, one.value, one.headers) for one in batch]
    return found


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_values_become_consecutive_batches(kernel, codec):
    values = [b"value-%d" % index * 5 for index in range(1000)]
    buffer, spans = kernel.encode_many(values, None, None, NOW, batch_size=4096, codec=codec)
    assert isinstance(buffer, bytearray)
    assert len(spans) > 10
    assert records_of(kernel, (buffer, spans)) == [(NOW, None, value, ()) for value in values]
    assert assign_offsets(buffer, spans, 500) == 1500
    outcome = kernel.scan_segment(
        buffer, start=0, end=len(buffer), segment_base_offset=0, expected_offset=500
    )
    assert (outcome.stop, outcome.next_offset) == (None, 1500)


def test_batches_stay_within_their_size_unless_one_record_is_larger(kernel):
    values = [bytes(size) for size in (10, 10, 5000, 10, 10)]
    _, spans = kernel.encode_many(values, None, None, NOW, batch_size=200)
    assert [count for _, _, count in spans] == [2, 1, 2]
    assert [size <= 200 for _, size, _ in spans] == [True, False, True]


def test_a_batch_is_filled_to_the_last_byte(kernel):
    _, ((_, size, _),) = kernel.encode_many([b"a" * 50] * 3, None, None, NOW)
    for limit, batches in ((size, 1), (size - 1, 2)):
        assert len(kernel.encode_many([b"a" * 50] * 3, None, None, NOW, batch_size=limit)[1]) == (
            batches
        )


def test_sequences_run_on_and_wrap(kernel):
    buffer, spans = kernel.encode_many(
        [b"x" * 100] * 10,
        None,
        None,
        NOW,
        batch_size=400,
        producer_id=9,
        producer_epoch=1,
        base_sequence=2**31 - 4,
    )
    sequences = [
        (batch.base_sequence, batch.last_sequence)
        for batch in (kernel.RecordBatch(buffer, position) for position, _, _ in spans)
    ]
    assert sequences[0] == (2**31 - 4, 2**31 - 2)
    assert sequences[1] == (2**31 - 1, 1)
    assert sequences[2] == (2, 4)


def test_timestamps_keys_and_headers_go_with_their_values(kernel):
    encoded = kernel.encode_many(
        [b"a", None, bytearray(b"c")],
        [None, b"k", memoryview(b"m")],
        [5, None, 7],
        NOW,
        headers=[None, {"h": b"1"}, [("x", None)]],
    )
    assert records_of(kernel, encoded) == [
        (5, None, b"a", ()),
        (NOW, b"k", None, (("h", b"1"),)),
        (7, b"m", b"c", (("x", None),)),
    ]


def test_indexes_choose_and_order(kernel):
    values = [b"%d" % index for index in range(10)]
    keys = [b"k%d" % index for index in range(10)]
    encoded = kernel.encode_many(values, keys, None, NOW, indexes=[7, 2, 9])
    assert [(key, value) for _, key, value, _ in records_of(kernel, encoded)] == [
        (b"k7", b"7"),
        (b"k2", b"2"),
        (b"k9", b"9"),
    ]
    for wrong in (10, -1):
        with pytest.raises(IndexError):
            kernel.encode_many(values, keys, None, NOW, indexes=[0, wrong])


def test_nothing_makes_nothing(kernel):
    assert kernel.encode_many([], None, None, NOW) == (bytearray(), [])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([b"a", "b"], None, None, NOW), TypeError, r"values\[1\] must be .* not str"),
        (([b"a", b"b"], [None, 5], None, NOW), TypeError, r"keys\[1\] must be .* not int"),
        (([b"a"], None, ["now"], NOW), TypeError, r"timestamps\[0\] must be int"),
        (([b"a"], None, None, None), TypeError, "now_ms must be int"),
        (([b"a"], None, [-5], NOW), InvalidTimestampError, r"timestamps\[0\] .*-5"),
        (([b"a"], [b"k", b"k"], None, NOW), ValueError, "1 values but 2 keys"),
        (([b"a"], None, [1, 2], NOW), ValueError, "1 values but 2 timestamps"),
    ],
)
def test_what_cannot_be_encoded_is_named(kernel, arguments, error, message):
    with pytest.raises(error, match=message):
        kernel.encode_many(*arguments)


def test_wrong_settings_are_refused(kernel):
    with pytest.raises(ConfigError):
        kernel.encode_many([b""], None, None, NOW, codec=9)


@settings(max_examples=100)
@given(
    rows=st.lists(st.tuples(optional_bytes, optional_bytes, st.none() | st.integers(-1, 2**50))),
    batch_size=st.integers(1, 600),
    codec=st.sampled_from([0, 0, 1, 2, 3, 4]),
)
def test_both_kernels_write_the_same_bytes(rows, batch_size, codec):
    values, keys, timestamps = ([row[column] for row in rows] for column in range(3))
    pure, compiled = load_kernel("pure"), load_kernel("compiled")
    identity = {"producer_id": 5, "producer_epoch": 0, "base_sequence": 2**31 - 3}
    encoded = [
        kernel.encode_many(
            values, keys, timestamps, NOW, batch_size=batch_size, codec=codec, **identity
        )
        for kernel in (pure, compiled)
    ]
    assert encoded[0] == encoded[1]
    assert records_of(compiled, encoded[1]) == [
        (NOW if timestamp is None else timestamp, key, value, ()) for value, key, timestamp in rows
    ]
