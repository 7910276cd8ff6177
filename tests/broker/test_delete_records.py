"""Deleting records: durable when it returns, seen by everybody, refused as Kafka refuses it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.errors import (
    ConfigError,
    InvalidTopicError,
    LogTruncatedError,
    OffsetOutOfRangeError,
    PolicyViolationError,
    ReadOnlyError,
    UnknownTopicError,
)
from streamlog.storage.structure import structure_lock
from streamlog.types import TopicPartition

ORDERS = TopicPartition("orders", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path) -> Any:
    """`orders` has 20 records in several segments."""
    with streamlog.open(path) as log:
        log.create_topic("orders", internal_segment_bytes=1000)
        send(log, 20)
        yield log


def send(log: streamlog.StreamLog, count: int) -> None:
    with log.producer(linger_ms=0) as producer:
        for _ in range(count):
            producer.send("orders", b"x" * 150).result()


def segments(path: Path) -> list[int]:
    return sorted(int(file.stem) for file in path.glob("orders-0/*.log"))


def offsets(log: streamlog.StreamLog, **how: int) -> list[int]:
    return [record.offset for record in log.read("orders", partition=0, **how)]


def test_the_answer_is_where_the_partition_begins(log: streamlog.StreamLog) -> None:
    assert log.admin.delete_records({ORDERS: 7}) == {ORDERS: 7}
    assert offsets(log) == list(range(7, 20))
    assert log.admin.beginning_offsets([ORDERS]) == {ORDERS: 7}
    assert log.admin.delete_records({ORDERS: 3}) == {ORDERS: 7}, "it never goes back"
    assert log.admin.delete_records({ORDERS: -1}) == {ORDERS: 20}
    assert offsets(log) == []
    send(log, 1)
    assert offsets(log) == [20]


def test_segments_that_hold_nothing_else_go_at_once(log: streamlog.StreamLog, path: Path) -> None:
    before = segments(path)
    log.admin.delete_records({ORDERS: before[2] + 1})
    assert segments(path) == before[2:]
    log.admin.delete_records({ORDERS: -1})
    assert segments(path) == before[-1:], "the active one stays, as in Kafka"
    assert log.verify() == []


@pytest.mark.parametrize("offset", [21, -2, 1 << 40])
def test_an_offset_that_is_not_there(log: streamlog.StreamLog, offset: int) -> None:
    with pytest.raises(OffsetOutOfRangeError) as raised:
        log.admin.delete_records({ORDERS: offset})
    assert (raised.value.code, raised.value.offset) == (1, offset)
    assert offsets(log) == list(range(20))


@pytest.mark.parametrize(
    ("policy", "refused"),
    [("compact", True), ("compact,delete", False), ("delete", False), ("", False)],
)
def test_a_topic_that_is_only_compacted(
    log: streamlog.StreamLog, policy: str, refused: bool
) -> None:
    log.create_topic("keyed", cleanup_policy=policy)
    log.producer().send("keyed", b"v", key=b"k").result()
    keyed = TopicPartition("keyed", 0)
    if refused:
        with pytest.raises(PolicyViolationError) as raised:
            log.admin.delete_records({keyed: 1})
        assert raised.value.code == 44
    else:
        assert log.admin.delete_records({keyed: 1}) == {keyed: 1}


def test_all_are_checked_before_any_is_changed(log: streamlog.StreamLog) -> None:
    log.create_topic("keyed", cleanup_policy="compact")
    log.create_topic("__consumer_offsets", cleanup_policy="compact,delete")
    wrong: list[tuple[Any, type[Exception]]] = [
        ({TopicPartition("keyed", 0): 0}, PolicyViolationError),
        ({TopicPartition("__consumer_offsets", 0): 0}, InvalidTopicError),
        ({TopicPartition("order", 0): 0}, UnknownTopicError),
        ({TopicPartition("orders", 1): 0}, UnknownTopicError),
        ({TopicPartition("orders", 0): "1"}, ConfigError),
        ({TopicPartition("orders", 0): True}, ConfigError),
    ]
    for each, error in wrong:
        with pytest.raises(error):
            log.admin.delete_records({ORDERS: 5, **each})
    assert offsets(log) == list(range(20))


def test_a_log_that_is_open_for_reading(log: streamlog.StreamLog, path: Path) -> None:
    with streamlog.open(path, read_only=True) as reader:
        assert offsets(reader) == list(range(20))
        with pytest.raises(ReadOnlyError):
            reader.admin.delete_records({ORDERS: 5})
        log.admin.delete_records({ORDERS: 11})
        assert offsets(reader) == list(range(11, 20))
    with streamlog.open(path, read_only=True) as reader:
        assert offsets(reader) == list(range(11, 20))


def test_it_survives_the_power(log: streamlog.StreamLog, path: Path, tmp_path: Path) -> None:
    log.admin.delete_records({ORDERS: 7})
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    os.unlink(copy / "streamlog.shared")
    with streamlog.open(copy) as other:
        assert offsets(other) == list(range(7, 20))
    with streamlog.open(copy) as other:
        assert offsets(other) == list(range(7, 20)), "and a clean end"


def test_another_topic_of_the_name_begins_at_its_beginning(
    log: streamlog.StreamLog, path: Path
) -> None:
    log.admin.delete_records({ORDERS: 7})
    assert "orders 0 7" in (path / "log-start-offset-checkpoint").read_text()
    log.delete_topic("orders")
    assert "orders" not in (path / "log-start-offset-checkpoint").read_text()
    log.create_topic("orders")
    send(log, 2)
    assert offsets(log) == [0, 1]


class TestConsumers:
    @pytest.mark.parametrize(("reset", "first"), [("earliest", 12), ("latest", 20)])
    def test_they_go_where_they_were_told(
        self, log: streamlog.StreamLog, reset: str, first: int
    ) -> None:
        consumer = log.consumer(auto_offset_reset=reset)
        consumer.assign([ORDERS])
        consumer.seek(ORDERS, 3)
        assert consumer.poll(0, 2)[-1].offset == 4
        log.admin.delete_records({ORDERS: 12})
        consumer.seek(ORDERS, consumer.position(ORDERS))  # what was fetched ahead is forgotten
        found = consumer.poll(0, 1)
        send(log, 1)
        found += consumer.poll(0, 1)
        assert found[0].offset == first

    def test_without_a_reset_they_are_told(self, log: streamlog.StreamLog) -> None:
        consumer = log.consumer(auto_offset_reset="none")
        consumer.assign([ORDERS])
        consumer.seek(ORDERS, 3)
        log.admin.delete_records({ORDERS: 12})
        with pytest.raises(OffsetOutOfRangeError):
            consumer.poll(0)
        consumer.seek(ORDERS, 12)
        assert consumer.poll(0, 1)[0].offset == 12

    def test_a_position_with_an_epoch_is_out_of_range_and_not_truncated(
        self, log: streamlog.StreamLog
    ) -> None:
        log.admin.delete_records({ORDERS: 12})
        consumer = log.consumer(auto_offset_reset="none")
        consumer.assign([ORDERS])
        for epoch in (None, 0):
            consumer.seek(ORDERS, 3, leader_epoch=epoch)
            with pytest.raises(OffsetOutOfRangeError):
                consumer.poll(0)
        consumer.seek(ORDERS, 21, leader_epoch=0)
        with pytest.raises(LogTruncatedError):
            consumer.poll(0)

    def test_a_read_under_way_meets_the_documented_error(self, log: streamlog.StreamLog) -> None:
        log.create_topic("long", internal_segment_bytes=1 << 20)
        log.producer(linger_ms=100).send_many("long", [b"x" * 1000] * 3000).result()
        records = log.read("long", partition=0)
        assert next(records).offset == 0
        log.admin.delete_records({TopicPartition("long", 0): -1})
        with pytest.raises(OffsetOutOfRangeError):
            list(records)


def test_it_waits_for_nobody_who_restructures(log: streamlog.StreamLog, path: Path) -> None:
    """The records are gone at once; their files are the next round's."""
    before = segments(path)
    with structure_lock(log.engine().partition("orders", 0)):
        assert log.admin.delete_records({ORDERS: before[3]}) == {ORDERS: before[3]}
        assert offsets(log) == list(range(before[3], 20))
        assert segments(path) == before
    assert log.admin.apply_retention("orders") == {}
    assert segments(path) == before[3:]
