"""Requests and responses from somebody who means harm: an error that says where, and little memory.

What decoding may allocate is bounded by the bytes that are there: `MEMORY_FACTOR` for each.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.errors import SchemaError
from streamlog.protocol import Message, message
from streamlog.protocol.definition import StructDefinition
from tests.protocol.dense import dense_messages
from tests.protocol.mutation import LIES, attempt, small_message
from tests.protocol.strategies import Which, values_of
from tests.protocol.values import internal_versions, wire_versions

ALL_VERSIONS = internal_versions() + wire_versions()
MEMORY_FACTOR = 64  # an empty list takes 56 bytes, and two of the wire's
SMALL_BYTES = 20_000  # the error itself, and what the interpreter keeps of it

HOT = [
    ("ProduceRequest", 9),
    ("ProduceRequest", 7),
    ("FetchRequest", 13),
    ("FetchResponse", 12),
    ("MetadataRequest", 12),
    ("OffsetCommitRequest", 8),
    ("JoinGroupRequest", 5),
    ("ConsumerGroupHeartbeatRequest", 0),
    ("ApiVersionsRequest", 3),
    ("RequestHeader", 2),
]


def decode(kind: Message, version: int, data: bytes) -> Any:
    """The value, or None where the bytes are none."""
    found = attempt(kind, version, data)
    if isinstance(found, SchemaError):
        assert (found.message_name, found.version) == (kind.name, version)
        return None
    return found


def test_bytes_cut_anywhere_are_refused() -> None:
    for name, version in wire_versions():
        kind = message(name)
        data = small_message(kind, version)
        for length in range(len(data)):
            with pytest.raises(SchemaError):
                kind.decode(data[:length], version)


def test_bytes_behind_a_message_are_refused() -> None:
    for name, version in wire_versions():
        kind = message(name)
        with pytest.raises(SchemaError, match="ends 1 bytes before"):
            kind.decode_whole(small_message(kind, version) + b"\0", version)


@pytest.mark.parametrize("which", HOT, ids=str)
def test_every_flipped_bit_is_read_or_refused(which: Which) -> None:
    kind, version = message(which[0]), which[1]
    data = bytearray(small_message(kind, version))
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        value = decode(kind, version, bytes(data))
        if value is not None:
            assert kind.decode_whole(kind.encode(value, version), version) == value
        data[bit // 8] ^= 1 << bit % 8


@settings(max_examples=500)
@given(values_of(wire_versions(), unknown_tags=True), st.data())
def test_changed_bytes_are_read_or_refused(found: tuple[Which, Any], data: st.DataObject) -> None:
    (name, version), value = found
    kind = message(name)
    raw = bytearray(kind.encode(value, version))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    decode(kind, version, bytes(raw))


def oldest_and_newest() -> set[Which]:
    """The first, the last and the first flexible version of everything."""
    found = set()
    for name in {name for name, _ in ALL_VERSIONS}:
        low, high = message(name).valid_versions
        flexible = message(name).flexible_versions[0]
        found |= {(name, version) for version in (low, flexible, high) if low <= version <= high}
    return found


def peak_of(kind: Message, version: int, data: bytes) -> int:
    """The most memory that decoding took at a time."""
    tracemalloc.start()
    try:
        decode(kind, version, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_lies_anywhere_allocate_nothing() -> None:
    """Each length, count and size of each message says too much, and every other byte as well."""
    for name, version in oldest_and_newest():
        kind = message(name)
        data = small_message(kind, version, 60)
        decode(kind, version, data)
        allowed = SMALL_BYTES + MEMORY_FACTOR * (len(data) + 5)
        for position in range(min(len(data), 24)):
            for lie in LIES:
                lying = data[:position] + lie + data[position + len(lie) :]
                assert peak_of(kind, version, lying) < allowed, (name, version, position, lie)


def test_memory_is_bounded_by_the_bytes_that_are_there() -> None:
    for name, version in oldest_and_newest():
        kind = message(name)
        for path, data in dense_messages(kind, version, 100):
            decode(kind, version, data)
            allowed = 3_000 + MEMORY_FACTOR * len(data)
            assert peak_of(kind, version, data) < allowed, (name, version, path)


def test_tagged_fields_that_nobody_knows_are_bounded_too() -> None:
    kind = message("HeartbeatRequest")
    body = kind.encode(kind.Value(), 4)[:-1]
    flood = body + b"\xe8\x07" + b"\x05\x00" * 1_000
    assert len(kind.decode_whole(flood, 4).unknown_tagged_fields) == 1_000
    assert peak_of(kind, 4, flood) < SMALL_BYTES + MEMORY_FACTOR * len(flood)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ("ffffffff0f", "Topics"),  # 2^32 - 2 elements
        ("ffffffff1f", "Topics"),  # 33 bits
        ("8080808080808001", "Topics"),  # a number of more than five bytes
        ("01 00 00", ""),  # no more bytes for the section of tagged fields
        ("01 00 00 ff", ""),
        ("01 00 00 ffffffff0f", ""),  # tagged fields beyond counting
        ("01 00 00 01 05 ffffffff0f", ""),  # of a size beyond the end
        ("01 00 00 01 ffffffff1f 00", ""),  # of a tag of 33 bits
    ],
)
def test_long_numbers(data: str, field: str) -> None:
    with pytest.raises(SchemaError) as caught:
        message("MetadataRequest").decode(bytes.fromhex(data), 11)
    assert caught.value.field == field


def test_numbers_that_are_longer_than_need_be_are_read() -> None:
    """As Kafka reads them."""
    long_zero = "810000008000"  # a count of 1 - 1, two booleans, no tagged fields
    value = message("MetadataRequest").decode_whole(bytes.fromhex(long_zero), 11)
    assert value.topics == []


def test_any_negative_length_is_null_as_in_kafka() -> None:
    data = bytes.fromhex("0000 0002 0000000a fff0")
    assert message("RequestHeader").decode_whole(data, 1).client_id is None
    with pytest.raises(SchemaError, match="a length of -2"):
        message("HeartbeatRequest").decode(bytes.fromhex("fffe"), 0)
    with pytest.raises(SchemaError, match="may not be null"):
        message("HeartbeatRequest").decode(bytes.fromhex("ffff"), 0)


def test_no_structure_contains_itself() -> None:
    """So that no bytes nest deeper than a definition does."""

    def depth(kind: Message, struct: StructDefinition, outer: tuple[str, ...]) -> int:
        assert struct.name not in outer
        inner = [kind.definition.structs[field.type] for field in struct.fields if field.is_struct]
        return 1 + max((depth(kind, each, (*outer, struct.name)) for each in inner), default=0)

    kinds = [message(name) for name in {name for name, _ in ALL_VERSIONS}]
    assert max(depth(kind, kind.definition.root, ()) for kind in kinds) <= 7
