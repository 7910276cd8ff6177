"""Bytes worked out by hand, and by others: the ground that the other tests stand on."""

from __future__ import annotations

from typing import Any

import pytest

from streamlog.errors import SchemaError
from streamlog.protocol import Uuid, message
from streamlog.protocol.consumer_protocol import (
    decode_assignment,
    decode_subscription,
    encode_consumer_protocol,
)
from streamlog.protocol.control_records import (
    COMMIT,
    KRAFT_VERSION,
    KRAFT_VOTERS,
    LEADER_CHANGE,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from streamlog.protocol.coordinator_records import OFFSETS, TRANSACTIONS, UnknownKey
from streamlog.protocol.metadata_frame import UnknownRecord, decode_metadata, encode_metadata

ID = Uuid(bytes(range(1, 17)))
ID_HEX = "0102030405060708090a0b0c0d0e0f10"
TIMESTAMP_MS = 1_700_000_000_000


def value(name: str, /, **fields: Any) -> Any:
    return message(name).Value(**fields)


def packed(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


METADATA = [
    (value("TopicRecord", name="t", topic_id=ID), f"01 02 00 02 74 {ID_HEX} 00"),
    (
        value("FeatureLevelRecord", name="metadata.version", feature_level=30),
        "01 0c 00 11" + b"metadata.version".hex() + "001e 00",
    ),
    (
        value("ConfigRecord", resource_type=4, name="min.insync.replicas", value="1"),
        "01 04 00 04 01 14" + b"min.insync.replicas".hex() + "02 31 00",
    ),
    (
        value("ConfigRecord", resource_type=2, resource_name="t", name="x", value=None),
        "01 04 00 02 02 74 02 78 00 00",
    ),
    (
        value(
            "PartitionRecord",
            partition_id=3,
            topic_id=ID,
            replicas=[0],
            isr=[0],
            leader=0,
            leader_epoch=0,
            partition_epoch=0,
            directories=[ID],
        ),
        (
            f"01 03 02 00000003 {ID_HEX} 02 00000000 02 00000000 01 01"
            f"00000000 00000000 00000000 02 {ID_HEX} 00"
        ),
    ),
    (
        value("PartitionChangeRecord", partition_id=3, topic_id=ID, leader=-1, isr=[]),
        f"01 05 02 00000003 {ID_HEX} 02 00 01 01 01 04 ffffffff",
    ),
    (value("NoOpRecord"), "01 14 00 00"),
]


@pytest.mark.parametrize(("record", "expected"), METADATA)
def test_metadata_record(record: Any, expected: str) -> None:
    assert encode_metadata(record) == packed(expected)
    assert decode_metadata(memoryview(packed(expected))) == record


def test_metadata_record_in_an_older_version() -> None:
    record = value("PartitionRecord", partition_id=1, topic_id=ID, leader=2)
    data = encode_metadata(record, 0)
    assert data == packed(f"01 03 00 00000001 {ID_HEX} 01 01 01 01 00000002 ffffffff ffffffff 00")
    assert decode_metadata(data) == record


def test_unknown_metadata_record_is_kept() -> None:
    data = packed("01 e807 05 aabb")
    record = decode_metadata(data)
    assert record == UnknownRecord(1000, 5, b"\xaa\xbb")
    assert encode_metadata(record) == data


@pytest.mark.parametrize("data", ["", "01", "0102", "00 02 00", "02 02 00 02 74", "ff ff ff ff ff"])
def test_broken_frame_is_refused(data: str) -> None:
    with pytest.raises(SchemaError):
        decode_metadata(packed(data))


def test_bytes_behind_a_record_are_refused() -> None:
    with pytest.raises(SchemaError, match="1 bytes before"):
        decode_metadata(packed("01 14 00 00 00"))


def test_only_metadata_records_have_the_frame() -> None:
    with pytest.raises(SchemaError, match="OffsetCommitKey is not a metadata record"):
        encode_metadata(value("OffsetCommitKey"))
    with pytest.raises(SchemaError, match="not a message's value class"):
        encode_metadata("TopicRecord")


def test_offset_commit() -> None:
    key = value("OffsetCommitKey", group="g1", topic="orders", partition=3)
    key_bytes = packed("0001 0002 6731 0006 6f7264657273 00000003")
    assert OFFSETS.encode_key(key) == key_bytes
    assert OFFSETS.decode_key(key_bytes) == key
    commit = value("OffsetCommitValue", offset=42, leader_epoch=5, commit_timestamp=TIMESTAMP_MS)
    fields = "000000000000002a 00000005"
    version_3 = packed(f"0003 {fields} 0000 0000018bcfe56800")
    version_4 = packed(f"0004 {fields} 01 0000018bcfe56800 00")
    assert OFFSETS.encode_value(commit, 3) == version_3
    assert OFFSETS.encode_value(commit) == version_4
    assert OFFSETS.decode_value(key, version_3) == OFFSETS.decode_value(key, version_4) == commit
    commit.topic_id = ID
    with_id = packed(f"0004 {fields} 01 0000018bcfe56800 01 00 10 {ID_HEX}")
    assert OFFSETS.encode_value(commit) == with_id
    assert OFFSETS.decode_value(key, with_id) == commit
    assert OFFSETS.decode_value(key, None) is None


def test_group_metadata_is_written_as_kafka_writes_it() -> None:
    assert OFFSETS.encode_value(value("GroupMetadataValue"))[:2] == b"\0\3"


def test_a_member_without_classic_metadata_says_so() -> None:
    """Kafka reads a member whose field is left out as a classic one with no protocols.

    Bytes as written by Kafka 4.3.1.
    """
    kind = message("ConsumerGroupMemberMetadataValue")
    member = kind.Value(classic_member_metadata=None)
    data = packed("0000 01 01 01 01 01 01 ffffffff 01 01 00 01 00")
    assert OFFSETS.encode_value(member) == data
    assert OFFSETS.decode_value(value("ConsumerGroupMemberMetadataKey"), data) == member
    member.classic_member_metadata = kind.structs["ClassicMemberMetadata"]()
    assert OFFSETS.encode_value(member) == data[:-4] + b"\0"
    member.classic_member_metadata.session_timeout_ms = 5
    assert OFFSETS.encode_value(member) == data[:-4] + packed("01 00 07 01 00000005 01 00")


def test_transaction_state() -> None:
    key = value("TransactionLogKey", transactional_id="t")
    assert TRANSACTIONS.encode_key(key) == packed("0000 0001 74")
    state = value(
        "TransactionLogValue",
        producer_id=7,
        producer_epoch=1,
        transaction_timeout_ms=60_000,
        transaction_partitions=None,
        client_transaction_version=2,
    )
    data = packed(
        "0001 0000000000000007 0001 0000ea60 00 00 0000000000000000 0000000000000000 01 02 02 0002"
    )
    assert TRANSACTIONS.encode_value(state) == data
    assert TRANSACTIONS.decode_value(key, data) == state


def test_coordinator_records_of_another_topic_are_refused() -> None:
    with pytest.raises(SchemaError, match="no coordinator-key of offsets_records"):
        OFFSETS.encode_key(value("TransactionLogKey"))
    with pytest.raises(SchemaError, match="no coordinator-value"):
        OFFSETS.encode_value(value("OffsetCommitKey"))


def test_unknown_coordinator_key_is_kept() -> None:
    assert OFFSETS.decode_key(packed("0063 01")) == UnknownKey(99, b"\x01")
    for short in (b"", b"\0"):
        with pytest.raises(SchemaError):
            OFFSETS.decode_key(short)
    with pytest.raises(SchemaError, match="versions 0 to 4, not 5"):
        OFFSETS.decode_value(value("OffsetCommitKey"), packed("0005"))


def test_consumer_protocol() -> None:
    subscription = value("ConsumerProtocolSubscription", topics=["orders"])
    data = packed("0000 00000001 0006 6f7264657273 ffffffff")
    assert encode_consumer_protocol(subscription, 0) == data
    assert decode_subscription(data) == subscription
    kind = message("ConsumerProtocolAssignment")
    orders = kind.structs["TopicPartition"](topic="orders", partitions=[0, 1])
    assignment = kind.Value(assigned_partitions=[orders])
    data = packed("0000 00000001 0006 6f7264657273 00000002 00000000 00000001 ffffffff")
    assert encode_consumer_protocol(assignment, 0) == data
    assert decode_assignment(data) == assignment
    # A newer member's message: what is behind the fields of version 3 is left alone.
    newer = packed("0009") + encode_consumer_protocol(assignment, 3)[2:] + b"more"
    assert decode_assignment(newer) == assignment


def test_control_records() -> None:
    assert encode_key(COMMIT) == packed("0000 0001")
    assert decode_key(packed("0000 0001")) == COMMIT
    marker = value("EndTxnMarker", coordinator_epoch=3)
    assert encode_value(marker) == packed("0000 00000003")
    assert decode_value(COMMIT, packed("0000 00000003")) == marker
    assert decode_value(COMMIT, packed("0007 00000003 aa")) == marker
    level = value("KRaftVersionRecord", kraft_version=1)
    assert encode_value(level) == packed("0000 0001 00")
    assert decode_value(KRAFT_VERSION, packed("0000 0001 00")) == level
    assert decode_value(99, b"") is None


def test_leader_change() -> None:
    voter = message("LeaderChangeMessage").structs["Voter"]
    change = value("LeaderChangeMessage", version=1, leader_id=1, voters=[voter(1, ID)])
    data = packed(f"0001 00000001 02 00000001 {ID_HEX} 00 01 00")
    assert encode_value(change) == data
    assert decode_value(LEADER_CHANGE, data) == change
    with pytest.raises(SchemaError, match="field Voters: 1 elements cannot"):
        decode_value(LEADER_CHANGE, data[:14])


def test_voters() -> None:
    kind = message("VotersRecord")
    endpoint = kind.structs["Endpoint"](name="C", host="h", port=65535)
    versions = kind.structs["KRaftVersionFeature"](max_supported_version=1)
    voter = kind.structs["Voter"](1, ID, [endpoint], versions)
    data = packed(f"0000 02 00000001 {ID_HEX} 02 02 43 02 68 ffff 00 0000 0001 00 00 00")
    assert encode_value(kind.Value(voters=[voter])) == data
    assert decode_value(KRAFT_VOTERS, data) == kind.Value(voters=[voter])


def test_producer_snapshot() -> None:
    kind = message("ProducerSnapshot")
    entry = kind.structs["ProducerEntry"](4000, 2, 9, 123, 4, TIMESTAMP_MS, 3, -1)
    data = packed(
        "08a132ae 00000001 0000000000000fa0 0002 00000009 000000000000007b 00000004"
        "0000018bcfe56800 00000003 ffffffffffffffff"
    )
    snapshot = kind.Value(crc=0x08A132AE, producer_entries=[entry])
    assert kind.encode(snapshot, 1) == data
    assert kind.decode(data, 1) == (snapshot, len(data))


def test_headers_and_wire_messages() -> None:
    header = message("RequestHeader")
    head = header.Value(
        request_api_key=18, request_api_version=3, correlation_id=1, client_id="cid"
    )
    request = message("ApiVersionsRequest")
    body = request.Value(client_software_name="demo", client_software_version="1.0")
    expected = packed("0012 0003 00000001 0003 636964 00 05 64656d6f 04 312e30 00")
    assert header.encode(head, 2) + request.encode(body, 3) == expected
    assert header.decode(expected, 2) == (head, 14)
    everything = message("MetadataRequest")
    assert everything.encode(everything.Value(topics=None), 1) == packed("ffffffff")
