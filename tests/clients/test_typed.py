"""Typed topics: what comes back is the type, and what is not of the type says where."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from streamlog.errors import ConfigError, SerializationError, UnknownTopicError
from streamlog.types import TopicPartition


class Line(msgspec.Struct, frozen=True):
    article: str
    count: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    placed: datetime
    lines: list[Line] = []


class Cancelled(msgspec.Struct, frozen=True, tag=True):
    number: int


class Shipped(msgspec.Struct, frozen=True, tag=True):
    number: int


ORDER = Order(number=7, placed=datetime(2013, 1, 5, tzinfo=UTC), lines=[Line("ink", 2)])


@pytest.fixture
def log(open_log):
    with open_log(":memory:") as log:
        log.create_topic("orders")
        yield log


@pytest.mark.parametrize("value_format", ["json", "msgpack"])
def test_records_come_back_as_the_type(log, value_format):
    orders = log.topic("orders", Order, key_type=str, value_format=value_format)
    with orders.producer() as producer:
        producer.send(ORDER, key="seven", headers={"a": b"1"}, timestamp_ms=5).result()
        producer.send_many([ORDER, None], keys=["eight", "nine"])
    with orders.consumer(auto_offset_reset="earliest") as consumer:
        polled = consumer.poll()
        consumer.seek_to_beginning()
        assert next(iter(consumer)) == polled[0]
        consumer.seek_to_beginning()
        assert consumer.poll_by_partition() == {TopicPartition("orders", 0): polled}
    assert list(orders.read()) == polled
    assert [(one.key, one.value) for one in polled] == [
        ("seven", ORDER),
        ("eight", ORDER),
        ("nine", None),
    ]
    assert (polled[0].headers, polled[0].timestamp) == ((("a", b"1"),), 5)


def test_bytes_are_what_other_clients_write(log):
    with log.topic("orders", Line, key_type=int).producer() as producer:
        producer.send(Line("ink", 2), key=-5)
    with log.topic("orders", bytes, key_type=UUID).producer() as producer:
        producer.send(b"\x00", key=UUID(int=9))
    (first, second) = log.read("orders")
    assert (struct.unpack(">q", first.key), json.loads(first.value)) == (
        (-5,),
        {"article": "ink", "count": 2},
    )
    assert (second.key, second.value) == (b"00000000-0000-0000-0000-000000000009", b"\x00")


def test_a_union_of_structs_is_told_apart(log):
    events = log.topic("orders", Cancelled | Shipped)
    with events.producer() as producer:
        producer.send_many([Shipped(1), Cancelled(1)])
        with pytest.raises(SerializationError, match="Cancelled or Shipped is expected, not Order"):
            producer.send(ORDER)
    assert [one.value for one in events.read()] == [Shipped(1), Cancelled(1)]


def test_other_types_that_msgspec_knows(log):
    numbers = log.topic("orders", dict[str, float])
    with numbers.producer() as producer:
        producer.send({"a": 1})
        with pytest.raises(SerializationError) as caught:
            producer.send({"a": "one"})
    assert (caught.value.path, caught.value.field) == ("$[...]", "value")
    assert [one.value for one in numbers.read()] == [{"a": 1.0}]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Order(number="seven", placed=ORDER.placed), "$.number"),
        (Order(number=7, placed=ORDER.placed, lines=[Line("ink", None)]), "$.lines[0].count"),
        ({"number": 7}, None),
        (b"{}", None),
    ],
)
def test_what_could_not_be_read_back_is_not_written(log, value, path):
    orders = log.topic("orders", Order)
    with orders.producer() as producer:
        with pytest.raises(SerializationError) as caught:
            producer.send(value)
        with pytest.raises(SerializationError, match=r"values\[1\]"):
            producer.send_many([ORDER, value])
    error = caught.value
    assert (error.topic, error.field, error.path) == ("orders", "value", path)
    assert error.outcome == "not_written"
    assert list(orders.read()) == []


def test_a_bad_record_names_its_place_and_can_be_passed_over(log):
    orders = log.topic("orders", Order, key_type=str)
    with orders.producer() as good, log.producer() as bad:
        good.send(ORDER).result()
        bad.send(
            "orders", b'{"number": 1, "placed": "2013-01-05T00:00:00Z", "lines": [1]}'
        ).result()
        bad.send("orders", b"no JSON").result()
        bad.send("orders", None, key=b"\xff").result()
        good.send(ORDER).result()
    found = []
    with orders.consumer(auto_offset_reset="earliest") as consumer:
        partition = TopicPartition("orders", 0)
        while len(found) < 5:
            try:
                found += [(one.offset, one.value) for one in consumer.poll()]
            except SerializationError as error:
                found.append((consumer.position(partition), error.field, error.path))
                consumer.seek(TopicPartition(error.topic, error.partition), error.offset + 1)
    assert found == [
        (0, ORDER),
        (1, "value", "$.lines[0]"),
        (2, "value", None),
        (3, "key", None),
        (4, ORDER),
    ]


def test_settings_are_those_of_producers_and_consumers(log):
    orders = log.topic("orders", Order)
    with orders.producer(acks=0, linger_ms=0) as producer:
        assert producer.send(ORDER).result().offset == -1
        producer.flush()
    with pytest.raises(ConfigError, match="linger"):
        orders.producer(linger=5)
    with pytest.raises(ConfigError, match="auto_offset_reset"):
        orders.consumer(auto_offset_reset="first")


def test_names_and_types_that_cannot_be(log):
    with pytest.raises(UnknownTopicError, match="'orders'"):
        log.topic("order", Order)
    with pytest.raises(ConfigError, match="'json' or 'msgpack'"):
        log.topic("orders", Order, value_format="yaml")
    with pytest.raises(ConfigError, match="must be tagged"):
        log.topic("orders", Order | Line)
    with pytest.raises(SerializationError, match="str is expected, not int"):
        log.topic("orders", Order, key_type=str).producer().send(ORDER, key=7)
