from __future__ import annotations

from array import array

import pytest

from streamlog.errors import ConfigError, InvalidTimestampError, UsageError
from streamlog.record.timestamp_type import TimestampType
from tests.record.samples import CODECS, NOW, RECORDS, build


def test_a_builder_says_what_is_in_it(kernel):
    builder = kernel.RecordBatchBuilder()
    assert (builder.size, builder.count) == (61, 0)
    assert (builder.base_timestamp, builder.max_timestamp, builder.min_timestamp) == (-1, -1, -1)
    deltas = [builder.append(NOW + shift, b"k", b"v") for shift in (0, 5, -7, 3)]
    assert deltas == [0, 1, 2, 3]
    assert (builder.base_timestamp, builder.max_timestamp) == (NOW, NOW + 5)
    assert builder.min_timestamp == NOW - 7
    size = builder.size
    batch = builder.build()
    assert len(batch) == size
    assert isinstance(batch, bytearray)
    batch[0:8] = (99).to_bytes(8, "big")
    kernel.RecordBatch(batch).check()


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_every_setting_reaches_the_header(kernels, codec):
    settings = {
        "codec": codec,
        "timestamp_type": TimestampType.LOG_APPEND_TIME,
        "producer_id": 2**63 - 1,
        "producer_epoch": 2**15 - 1,
        "base_sequence": 2**31 - 1,
        "transactional": True,
        "control": True,
        "leader_epoch": 7,
        "base_offset": 2**40,
    }
    built = [build(kernel, RECORDS, **settings) for kernel in kernels]
    assert built[0] == built[1]
    batch = kernels[1].RecordBatch(built[1])
    batch.check()
    for name in ("codec", "timestamp_type", "producer_id", "producer_epoch", "base_sequence"):
        assert getattr(batch, name) == settings[name]
    assert batch.is_transactional
    assert batch.is_control
    assert (batch.leader_epoch, batch.base_offset) == (7, 2**40)


@pytest.mark.parametrize(
    "settings",
    [
        {"codec": 5},
        {"codec": -1},
        {"codec": 1, "level": 99},
        {"timestamp_type": 2},
        {"producer_id": -2},
        {"producer_epoch": 2**15},
        {"base_sequence": 2**31},
        {"leader_epoch": -2},
        {"base_offset": -1},
    ],
    ids=str,
)
def test_settings_that_the_header_has_no_room_for_are_refused(kernel, settings):
    with pytest.raises(ConfigError):
        kernel.RecordBatchBuilder(**settings)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda raw: array("B", raw)])
def test_keys_and_values_are_anything_bytes_like(kernel, wrap):
    batch = build(kernel, [(NOW, wrap(b"key"), wrap(b"value"), [("h", wrap(b"x"))])])
    (record,) = kernel.RecordBatch(batch)
    assert (record.key, record.value, record.headers) == (b"key", b"value", (("h", b"x"),))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NOW, None, "text"), "value must be bytes-like or None, not str"),
        ((NOW, 7, b""), "key must be bytes-like or None, not int"),
        (("now", None, b""), "timestamp must be int .*, not str"),
        ((NOW, None, b"", 7), "headers must be a dict or an iterable .*, not int"),
        ((NOW, None, b"", "ab"), "headers must be a dict or an iterable .*, not str"),
        ((NOW, None, b"", [b"ab"]), r"headers\[0\] must be a .* pair, not bytes"),
        ((NOW, None, b"", [("a", b""), ("b",)]), r"headers\[1\] must be a .* pair, not tuple"),
        ((NOW, None, b"", {b"a": b""}), r"headers\[0\] key must be str, not bytes"),
        ((NOW, None, b"", {"a": "b"}), r"headers\[0\] value must be bytes-like or None, not str"),
    ],
)
def test_a_wrong_type_is_named_and_changes_nothing(kernel, arguments, message):
    builder = kernel.RecordBatchBuilder()
    builder.append(NOW, b"k", b"v")
    before = (builder.size, builder.count, builder.max_timestamp)
    with pytest.raises(TypeError, match=message):
        builder.append(*arguments)
    assert (builder.size, builder.count, builder.max_timestamp) == before
    assert builder.build() == build(kernel, [(NOW, b"k", b"v", ())])


def test_a_buffer_that_is_not_contiguous_is_refused(kernel):
    builder = kernel.RecordBatchBuilder()
    with pytest.raises(TypeError, match="value"):
        builder.append(NOW, None, memoryview(b"abcdef")[::2])


@pytest.mark.parametrize("timestamp", [-2, 2**63, -(2**70)])
def test_timestamps_outside_the_format_are_refused(kernel, timestamp):
    builder = kernel.RecordBatchBuilder()
    with pytest.raises(InvalidTimestampError, match=str(timestamp)):
        builder.append(timestamp, None, b"")
    assert builder.append(-1, None, b"") == 0
    assert builder.append(2**63 - 1, None, b"") == 1
    (first, last) = kernel.RecordBatch(builder.build())
    assert (first.timestamp, last.timestamp) == (-1, 2**63 - 1)


def test_a_builder_is_used_once(kernel):
    builder = kernel.RecordBatchBuilder()
    with pytest.raises(UsageError, match="empty"):
        builder.build()
    builder.append(NOW, None, b"")
    builder.build()
    with pytest.raises(UsageError, match="built"):
        builder.append(NOW, None, b"")
    with pytest.raises(UsageError, match="built"):
        builder.build()


def test_room_is_what_the_limit_leaves(kernel):
    builder = kernel.RecordBatchBuilder(size_limit=200)
    assert builder.has_room_for(None, bytes(10_000)), "the first record always has room"
    builder.append(NOW, None, b"")
    room = 200 - builder.size - 21
    assert builder.has_room_for(None, bytes(room))
    assert not builder.has_room_for(None, bytes(room + 1))
    assert not builder.has_room_for(b"k", bytes(room))
    assert builder.has_room_for(b"k" * 5, bytearray(room - 5))
    assert not builder.has_room_for(None, bytes(room - 3), {"h": b"1"})
    with pytest.raises(TypeError, match="value"):
        builder.has_room_for(None, "text")


def test_both_kernels_have_room_alike(kernels):
    builders = [kernel.RecordBatchBuilder(size_limit=500) for kernel in kernels]
    for builder in builders:
        builder.append(NOW, b"k", b"v", {"h": None})
    for size in range(300, 500):
        answers = {one.has_room_for(b"key", bytes(size), {"h": b"x"}) for one in builders}
        assert len(answers) == 1
