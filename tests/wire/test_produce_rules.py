"""What is checked of a produced batch, and how it is refused."""

from __future__ import annotations

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.record import layout
from streamlog.record.checksum import crc32c
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder
from tests.wire import requests
from tests.wire.connection import Connection

OUT_OF_ORDER, OLD_EPOCH, INVALID_TXN_STATE, INVALID_TIMESTAMP, INVALID_RECORD = 45, 47, 48, 32, 87


@pytest.fixture(autouse=True)
def flights(log: StreamLog) -> None:
    log.create_topic("flights", message_timestamp_before_max_ms=10**15)


def produce(connection: Connection, records: bytes | bytearray) -> tuple[int, int, list[int]]:
    """The error code, the base offset, and the places of the records to blame."""
    answer = connection.ask("Produce", 9, **requests.produce("flights", bytes(records)))
    (found,) = answer.responses[0].partition_responses
    return found.error_code, found.base_offset, [each.batch_index for each in found.record_errors]


def sealed(batch: bytearray) -> bytearray:
    """The batch, changed by hand, under a CRC that is right."""
    layout.UINT32.pack_into(batch, layout.CRC_AT, crc32c(batch[layout.ATTRIBUTES_AT :]))
    return batch


def of_producer(sequence: int, epoch: int = 0) -> bytearray:
    return requests.batch([b"a", b"b"], producer_id=7, producer_epoch=epoch, base_sequence=sequence)


def test_a_producers_sequence(connection: Connection, log: StreamLog) -> None:
    assert produce(connection, of_producer(0)) == (0, 0, [])
    assert produce(connection, of_producer(2)) == (0, 2, [])
    assert produce(connection, of_producer(0)) == (0, 0, [])  # a duplicate, where it was
    assert produce(connection, of_producer(6)) == (OUT_OF_ORDER, -1, [])
    assert produce(connection, of_producer(0, epoch=1)) == (0, 4, [])
    assert produce(connection, of_producer(4)) == (OLD_EPOCH, -1, [])
    assert len(list(log.read("flights"))) == 6


def test_records_to_blame_are_named(connection: Connection, log: StreamLog) -> None:
    log.alter_topic("flights", cleanup_policy="compact")
    builder = RecordBatchBuilder()
    for key in (b"k", None, b"k", None):
        builder.append(requests.START_MS, key, b"value", ())
    assert produce(connection, builder.build()) == (INVALID_RECORD, -1, [1, 3])
    log.alter_topic("flights", cleanup_policy="delete", message_timestamp_before_max_ms=1)
    assert produce(connection, requests.batch([b"a", b"b"])) == (INVALID_TIMESTAMP, -1, [0, 1])


def test_a_wrong_largest_timestamp_is_put_right(connection: Connection, log: StreamLog) -> None:
    batch = requests.batch([b"a", b"b"])
    layout.INT64.pack_into(batch, layout.MAX_TIMESTAMP_AT, 5)
    assert produce(connection, sealed(batch)) == (0, 0, [])
    (found,) = connection.ask("Fetch", 12, **requests.fetch("flights", 0)).responses[0].partitions
    stored = RecordBatch(found.records)
    stored.check()
    assert stored.max_timestamp == requests.START_MS + 1000


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_records_that_are_not_there_are_noticed(connection: Connection, codec: int) -> None:
    batch = requests.batch([b"a", b"b"], codec=codec)
    layout.INT32.pack_into(batch, layout.COUNT_AT, 1000)
    layout.INT32.pack_into(batch, layout.LAST_OFFSET_DELTA_AT, 999)
    assert produce(connection, sealed(batch)) == (INVALID_RECORD, -1, [])


@pytest.mark.parametrize(
    ("bit", "code"),
    [(layout.CONTROL_BIT, INVALID_RECORD), (layout.TRANSACTIONAL_BIT, INVALID_TXN_STATE)],
)
def test_batches_of_coordinators_and_transactions(
    connection: Connection, bit: int, code: int
) -> None:
    batch = of_producer(0)
    batch[layout.ATTRIBUTES_AT + 1] |= bit
    assert produce(connection, sealed(batch)) == (code, -1, [])


@pytest.mark.parametrize("at", range(layout.ATTRIBUTES_AT, layout.HEADER_SIZE + 8, 3))
def test_a_flipped_bit_is_noticed(connection: Connection, log: StreamLog, at: int) -> None:
    batch = requests.batch([b"a", b"b"])
    batch[at] ^= 4
    assert produce(connection, batch)[0] == 2
    assert list(log.read("flights")) == []


def test_an_error_without_acknowledgement_ends_the_connection(connection: Connection) -> None:
    connection.send("Produce", 9, **requests.produce("flights", b"no batch", acks=0))
    assert connection.is_closed_by_peer()
