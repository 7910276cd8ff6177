"""Bytes that lie and values that do not fit: one error, naming message, field and version."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.errors import SchemaError
from streamlog.protocol import Uuid, message
from tests.protocol.values import internal_versions, make_value

ID = Uuid(bytes(range(1, 17)))


@pytest.mark.parametrize("name", sorted({name for name, _ in internal_versions()}))
def test_bytes_cut_anywhere_are_refused(name: str) -> None:
    kind = message(name)
    for version in range(kind.valid_versions[0], kind.valid_versions[1] + 1):
        rng = Random(f"cut {name} {version}")
        data = min(
            (kind.encode(make_value(rng, kind, version), version) for _ in range(5)), key=len
        )
        for length in range(min(len(data), 300)):
            with pytest.raises(SchemaError) as caught:
                kind.decode(data[:length], version)
            assert (caught.value.message_name, caught.value.version) == (name, version)


@settings(max_examples=1000)
@given(st.sampled_from(internal_versions()), st.integers(0, 2**32), st.data())
def test_changed_bytes_are_read_or_refused(
    which: tuple[str, int], seed: int, data: st.DataObject
) -> None:
    name, version = which
    kind = message(name)
    raw = bytearray(kind.encode(make_value(Random(seed), kind, version), version))
    for _ in range(data.draw(st.integers(1, 4)) if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        value, end = kind.decode(raw, version)
    except SchemaError:
        return
    assert 0 <= end <= len(raw)
    assert isinstance(value, kind.Value)


@pytest.mark.parametrize(
    ("name", "version", "data", "field"),
    [
        ("PartitionRecord", 2, b"\0\0\0\1" + ID + b"\xff\xff\xff\xff\x0f", "Replicas"),
        ("PartitionRecord", 2, b"\0\0\0\1" + ID + b"\xff\xff\xff\xff\x7f", "Replicas"),
        ("PartitionRecord", 2, b"\0\0\0\1" + ID + b"\0", "Replicas"),
        ("PartitionRecord", 2, b"\0\0\0\1" + ID[:15], "TopicId"),
        ("PartitionRecord", 2, b"\0\0\0", "PartitionId"),
        ("TopicRecord", 0, b"\xff\xff\xff\xff\x0fx", "Name"),
        ("TopicRecord", 0, b"\x03\xc3\x28" + ID + b"\0", "Name"),
        ("ProducerSnapshot", 1, b"\0\0\0\0\x7f\xff\xff\xff", "ProducerEntries"),
        ("ProducerSnapshot", 1, b"\0\0\0\0\x80\0\0\0", "ProducerEntries"),
        ("ConsumerProtocolSubscription", 0, b"\x7f\xff\xff\xff", "Topics"),
        ("ConsumerProtocolSubscription", 0, b"\0\0\0\1\x80\0", "Topics"),
        ("ConsumerProtocolSubscription", 0, b"\0\0\0\0\x7f\xff\xff\xff", "UserData"),
        ("VotersRecord", 0, b"\0\0\xff\xff\xff\xff\x0f", "Voters"),
        ("NoOpRecord", 0, b"\xff\xff\xff\xff\x0f", ""),
        ("NoOpRecord", 0, b"\x01\x05\xff\xff\xff\xff\x0f", ""),
        ("BeginTransactionRecord", 0, b"\x01\x00\x05\x02x\0\0\0", "Name"),
    ],
)
def test_lying_lengths_are_refused_without_allocating(
    name: str, version: int, data: bytes, field: str
) -> None:
    kind = message(name)
    kind.source(version)
    tracemalloc.start()
    try:
        with pytest.raises(SchemaError) as caught:
            kind.decode(data, version)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.field == field
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("name", "version", "fields", "field"),
    [
        ("TopicRecord", 0, {"name": None}, "Name"),
        ("TopicRecord", 0, {"name": b"t"}, "Name"),
        ("TopicRecord", 0, {"name": "\ud800"}, "Name"),
        ("TopicRecord", 0, {"name": "x" * 32768}, "Name"),
        ("TopicRecord", 0, {"topic_id": b"short"}, "TopicId"),
        ("TopicRecord", 0, {"topic_id": "AQIDBAUGBwgJCgsMDQ4PEA"}, "TopicId"),
        ("PartitionRecord", 2, {"leader_epoch": 2**31}, "LeaderEpoch"),
        ("PartitionRecord", 2, {"partition_epoch": "1"}, "PartitionEpoch"),
        ("PartitionRecord", 2, {"replicas": None}, "Replicas"),
        ("PartitionRecord", 2, {"replicas": [1.5]}, "Replicas"),
        ("PartitionRecord", 2, {"directories": [b""]}, "Directories"),
        ("PartitionRecord", 2, {"leader_recovery_state": 200}, "LeaderRecoveryState"),
        ("PartitionRecord", 0, {"directories": [ID]}, "Directories"),
        ("PartitionRecord", 1, {"last_known_elr": []}, "LastKnownElr"),
        ("ConsumerProtocolSubscription", 0, {"topics": "orders"}, "Topics"),
        ("OffsetCommitKey", 0, {"group": "x" * 32768}, "group"),
        ("RegisterBrokerRecord", 1, {"is_migrating_zk_broker": True}, "IsMigratingZkBroker"),
    ],
)
def test_values_that_do_not_fit(
    name: str, version: int, fields: dict[str, Any], field: str
) -> None:
    kind = message(name)
    with pytest.raises(SchemaError) as caught:
        kind.encode(kind.Value(**fields), version)
    assert caught.value.field == field
    assert (caught.value.message_name, caught.value.version) == (name, version)


def test_the_path_to_a_nested_field_is_named() -> None:
    kind = message("VotersRecord")
    endpoint = kind.structs["Endpoint"](name="C", host="h", port=9093)
    voter = kind.structs["Voter"](1, ID, [endpoint])
    data = kind.encode(kind.Value(voters=[voter]), 0)
    with pytest.raises(SchemaError, match=r"version 0, field Voters\.Endpoints\.Host: 'utf-8'"):
        kind.decode(data.replace(b"\x02h", b"\x02\xff"), 0)
    endpoint.port = 65536
    with pytest.raises(SchemaError) as caught:
        kind.encode(kind.Value(voters=[voter]), 0)
    assert caught.value.field == "Voters.Endpoints.Port"


def test_ignorable_fields_are_left_out() -> None:
    kind = message("OffsetCommitValue")
    commit = kind.Value(offset=1, leader_epoch=5, topic_id=ID)
    assert kind.decode(kind.encode(commit, 2), 2)[0] == kind.Value(offset=1)


def test_values_of_another_message_are_refused() -> None:
    with pytest.raises(SchemaError):
        message("TopicRecord").encode(message("PartitionRecord").Value(), 0)


def test_versions_and_names_that_do_not_exist() -> None:
    kind = message("TopicRecord")
    for version in (-1, 1):
        with pytest.raises(SchemaError, match="has versions 0 to 0"):
            kind.encode(kind.Value(), version)
        with pytest.raises(SchemaError, match="has versions 0 to 0"):
            kind.decode(b"", version)
    with pytest.raises(LookupError, match="NoSuchRecord"):
        message("NoSuchRecord")
    with pytest.raises(ValueError, match="negative"):
        kind.decode(bytes(40), 0, -1)
