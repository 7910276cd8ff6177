"""`log.read()`: what is there at call time, by offset or by time, and then it ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from streamlog.errors import (
    ConfigError,
    CorruptRecordError,
    LogTruncatedError,
    OffsetOutOfRangeError,
    SerializationError,
    UnknownTopicError,
)
from tests.clients.conftest import NOON_MS, Story


def values(records: Iterable[Any]) -> list[bytes | None]:
    return [record.value for record in records]


def test_it_ends_where_the_log_ended_when_it_was_called(story: Story) -> None:
    story.write("flights", 0, b"a", b"b")
    reading = story.log.read("flights")
    story.write("flights", 0, b"later")
    assert values(reading) == [b"a", b"b"]
    assert list(reading) == []
    assert values(story.log.read("flights")) == [b"a", b"b", b"later"]


def test_all_partitions_come_one_after_the_other(story: Story) -> None:
    story.write("orders", 1, b"c", b"d")
    story.write("orders", 0, b"a", b"b")
    found = [(each.partition, each.offset, each.value) for each in story.log.read("orders")]
    assert found == [(0, 0, b"a"), (0, 1, b"b"), (1, 0, b"c"), (1, 1, b"d")]
    assert values(story.log.read("orders", 1)) == [b"c", b"d"]


def test_an_empty_partition_has_nothing(story: Story) -> None:
    assert list(story.log.read("orders")) == []
    story.write("orders", 1, b"only")
    assert values(story.log.read("orders")) == [b"only"]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"abcdef"),
        (1, None, b"bcdef"),
        (3, 5, b"de"),
        (2, 4, b"cd"),
        (2, 2, b""),
        (4, 2, b""),
        (6, None, b""),
        (5, 99, b"f"),
    ],
)
def test_from_an_offset_up_to_another(
    story: Story, start: int, end: int | None, expected: bytes
) -> None:
    story.write("flights", 0, b"a", b"b", b"c")
    story.write("flights", 0, b"d", b"e", b"f")
    found = values(story.log.read("flights", 0, start, end))
    assert b"".join(value or b"" for value in found) == expected


def test_from_a_time_up_to_another(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    story.write("orders", 1, b"d", timestamp_ms=NOON_MS + 2)
    read = story.log.read
    assert values(read("orders", start_time_ms=NOON_MS + 1)) == [b"b", b"c", b"d"]
    assert values(read("orders", end_time_ms=NOON_MS + 2)) == [b"a", b"b"]
    assert values(read("orders", 0, start_time_ms=NOON_MS + 1, end_time_ms=NOON_MS + 2)) == [b"b"]
    assert values(read("orders", start_time_ms=NOON_MS + 10)) == []


def test_more_than_one_fetch(story: Story) -> None:
    for number in range(6):
        story.write("flights", 0, bytes([number]) * 400_000)
    assert [value[0] for value in values(story.log.read("flights")) if value] == list(range(6))


def test_what_was_asked_for_must_be_there(story: Story) -> None:
    story.write("flights", 0, b"a")
    read = story.log.read
    with pytest.raises(LogTruncatedError):
        read("flights", 0, 2)
    with pytest.raises(UnknownTopicError, match="flights"):
        read("fligths")
    with pytest.raises(UnknownTopicError):
        read("flights", 1)
    for wrong in (
        {"start": -1},
        {"end": "3"},
        {"start": 1, "start_time_ms": 1},
        {"end": 1, "end_time_ms": 1},
        {"partition": "0"},
        {"partition": True},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            read("flights", **wrong)  # type: ignore[arg-type]


def test_a_start_that_is_no_longer_there(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.write("flights", 0, b"a", b"b", b"c")
    log = story.log.engine().partition("flights", 0)
    monkeypatch.setattr(type(log), "log_start", 2)
    with pytest.raises(OffsetOutOfRangeError) as caught:
        story.log.read("flights", 0, 1)
    assert caught.value.log_start == 2
    assert values(story.log.read("flights", 0)) == [b"c"]


def test_damage_is_named(story: Story) -> None:
    story.write("flights", 0, b"a")
    story.write("flights", 0, b"b")
    story.damage("flights", 0)
    reading = story.log.read("flights")
    assert next(reading).value == b"a"
    with pytest.raises(CorruptRecordError) as caught:
        next(reading)
    assert (caught.value.topic, caught.value.offset) == ("flights", 1)


def test_deserializers(story: Story) -> None:
    story.write("flights", 0, b"1", None, b"x")
    reading = story.log.read("flights", key_deserializer=bytes.decode, value_deserializer=int)
    first, second = next(reading), next(reading)
    assert (first.key, first.value, second.value) == ("key", 1, None)
    with pytest.raises(SerializationError):
        next(reading)
