"""Values, versions, tagged fields and identifiers."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.errors import SchemaError
from streamlog.protocol import Uuid, message
from streamlog.protocol.definition import parse_versions, to_attribute
from streamlog.protocol.definitions import FAMILIES, load_family
from streamlog.protocol.layout import StructLayout, lay_out
from streamlog.protocol.primitives import MalformedError, read_uvarint, write_uvarint
from tests.protocol.values import internal_versions, make_value, wire_versions

ALL_VERSIONS = internal_versions() + wire_versions()


def test_every_family_and_message_is_there() -> None:
    names = [name for family in FAMILIES for name in load_family(family)]
    assert len(names) == len(set(names)) == 278
    assert message("TopicRecord") is message("TopicRecord")


def test_every_version_round_trips() -> None:
    for name, version in ALL_VERSIONS:
        kind = message(name)
        rng = Random(f"round trip {name} {version}")
        for value in (kind.Value(), make_value(rng, kind, version), make_value(rng, kind, version)):
            data = kind.encode(value, version)
            again, end = kind.decode(b"before" + data + b"behind", version, 6)
            assert (again, end) == (value, 6 + len(data))
            assert kind.encode(again, version) == data


@settings(max_examples=1000)
@given(st.sampled_from(internal_versions()), st.integers(0, 2**64))
def test_internal_records_round_trip(which: tuple[str, int], seed: int) -> None:
    name, version = which
    kind = message(name)
    value = make_value(Random(seed), kind, version)
    data = kind.encode(value, version)
    for buffer in (data, bytearray(data), memoryview(data)):
        assert kind.decode(buffer, version) == (value, len(data))


def test_no_element_of_an_array_takes_no_bytes() -> None:
    """Otherwise a count could not be held against the bytes that are there."""

    def check(struct: StructLayout) -> None:
        for field in struct.members:
            if field.struct is not None:
                assert field.struct.least_size > 0, (name, version, field.path)
                check(field.struct)

    for name, version in ALL_VERSIONS:
        check(lay_out(message(name).definition, version))


def test_no_field_is_called_like_a_local_of_the_generators() -> None:
    """Of fields and of these the locals end in a number."""
    locals_ = {"item", "section", "sections", "unknown", "end"}
    for name in {name for name, _ in ALL_VERSIONS}:
        definition = message(name).definition
        for struct in [definition.root, *definition.structs.values()]:
            assert locals_.isdisjoint(field.attribute for field in struct.fields), name


def test_a_value_is_a_plain_object() -> None:
    kind = message("RegisterBrokerRecord")
    assert kind.api_key == 0
    assert kind.valid_versions == (0, 4)
    record = kind.Value(broker_id=1)
    assert record == kind.Value(broker_id=1) != kind.Value(broker_id=2)
    assert repr(record) == "RegisterBrokerRecord(broker_id=1)"
    assert (record.fenced, record.rack, record.cordoned_log_dirs) == (True, "", None)
    assert record.log_dirs is not kind.Value().log_dirs
    assert kind.structs["BrokerEndpoint"]().port == 0
    with pytest.raises(TypeError):
        kind.Value(broker=1)


def test_records_are_views() -> None:
    kind = message("ProduceRequest")
    partition = kind.structs["PartitionProduceData"](index=0, records=b"batch")
    topic = kind.structs["TopicProduceData"](name="t", partition_data=[partition])
    data = kind.encode(kind.Value(acks=1, topic_data=[topic]), 9)
    again, _ = kind.decode(data, 9)
    records = again.topic_data[0].partition_data[0].records
    assert isinstance(records, memoryview)
    assert records.obj is data


def test_unknown_tagged_fields_are_kept_in_order() -> None:
    kind = message("PartitionChangeRecord")
    newer = kind.Value(
        isr=[1], leader=2, eligible_leader_replicas=[7], directories=[Uuid.ZERO], last_known_elr=[9]
    )
    data = kind.encode(newer, 2)
    older, end = kind.decode(data, 1)
    assert end == len(data)
    assert older.eligible_leader_replicas is None
    assert [tag for tag, _ in older.unknown_tagged_fields] == [6, 7]
    assert kind.encode(older, 1) == data
    older.unknown_tagged_fields = ((0, b"x"),)
    with pytest.raises(SchemaError, match="tag of a known one"):
        kind.encode(older, 1)


def test_unknown_tagged_fields_need_a_flexible_version() -> None:
    kind = message("OffsetCommitValue")
    with pytest.raises(SchemaError, match="has no tagged fields"):
        kind.encode(kind.Value(unknown_tagged_fields=((9, b""),)), 3)


def test_source_can_be_read() -> None:
    source = message("PartitionRecord").source(2)
    assert "def encode(out, value, cuts):" in source
    assert "def decode(buffer, position, size):" in source


@pytest.mark.parametrize(
    ("number", "data"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**32 - 1, "ffffffff0f")],
)
def test_uvarint(number: int, data: str) -> None:
    out = bytearray()
    write_uvarint(out, number)
    assert out.hex() == data
    assert read_uvarint(out, 0) == (number, len(out))


def test_uvarint_beyond_32_bits() -> None:
    for data in ("ffffffff10", "808080808001"):
        with pytest.raises(MalformedError):
            read_uvarint(bytes.fromhex(data), 0)
    for number in (-1, 2**32):
        with pytest.raises(MalformedError):
            write_uvarint(bytearray(), number)


def test_versions_and_names() -> None:
    assert 5 in parse_versions("2+")
    assert 5 not in parse_versions("0-4")
    assert 0 not in parse_versions("none")
    assert to_attribute("KRaftVersionFeature") == "kraft_version_feature"
    assert to_attribute("commitTimestamp") == "commit_timestamp"


def test_uuid() -> None:
    identifier = Uuid(bytes(range(1, 17)))
    assert str(identifier) == "AQIDBAUGBwgJCgsMDQ4PEA"
    assert Uuid.parse("AQIDBAUGBwgJCgsMDQ4PEA") == identifier
    assert repr(identifier) == "Uuid('AQIDBAUGBwgJCgsMDQ4PEA')"
    assert str(Uuid.ZERO) == "A" * 22
    assert Uuid.ZERO < Uuid.ONE < identifier
    assert len({identifier, Uuid(bytes(range(1, 17)))}) == 1


@given(st.binary(min_size=16, max_size=16))
def test_uuid_text_round_trips(raw: bytes) -> None:
    assert Uuid.parse(str(Uuid(raw))) == raw
    drawn = Uuid.from_random(raw)
    if drawn is not None:
        assert "-" not in str(drawn)
        assert drawn[6] >> 4 == 4


@pytest.mark.parametrize("text", ["", "A" * 21, "A" * 23, "A" * 21 + "=", "A" * 21 + "é", "+" * 22])
def test_what_is_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match="not a Uuid"):
        Uuid.parse(text)
    with pytest.raises(ValueError, match="16 bytes"):
        Uuid(text.encode()[:15])
    with pytest.raises(ValueError, match="16 bytes"):
        Uuid.from_random(b"")
