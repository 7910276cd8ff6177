"""A wall clock that jumps, either way, by years: what follows it, and what does not.

Timestamps of records are what the clock said. Everything that waits or comes round goes by the
monotonic clock; what is old is decided by timestamps, so that a clock put back deletes nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlog.broker import list_offsets, produce
from streamlog.broker.engine import Engine
from streamlog.errors import InvalidTimestampError
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from streamlog.testing.clock import ManualClock
from streamlog.types import TopicPartition
from tests.broker.conftest import batch, read

HOUR = 3_600_000
YEAR = 365 * 24 * HOUR
PLACE = TopicPartition("flights", 0)
JUMPS = [-10 * YEAR, 10 * YEAR]


def send(engine: Engine, *values: bytes, timestamp: int | None = None) -> None:
    now_ms = engine.clock.now_ms()
    log = engine.partition("flights", 0)
    for value in values:
        made = batch(value, timestamp=now_ms if timestamp is None else timestamp)
        produce.append(log, made, acks=1, now_ms=now_ms)


def segments(engine: Engine) -> int:
    return len(list(Path(engine.partition("flights", 0).directory).glob("*.log")))


@pytest.mark.parametrize("kind", ["CreateTime", "LogAppendTime"])
@pytest.mark.parametrize("jump", JUMPS)
def test_records_are_found_by_the_time_that_they_say(
    jump: int, kind: str, directory: str, manual_clock: ManualClock
) -> None:
    """The first record at or after a time, whatever order the times are in; after reopening too."""
    settings = {
        "message_timestamp_type": kind,
        "internal_segment_bytes": 400,
        "index_interval_bytes": 1,
    }
    start = manual_clock.now_ms()
    engine = Engine.open(directory, clock=manual_clock)
    engine.create_topic("flights", 1, settings)
    for _ in range(3):
        send(engine, *[b"before %d" % number for number in range(5)])
        manual_clock.jump(jump)
        send(engine, *[b"after %d" % number for number in range(5)])
        manual_clock.jump(-jump + 1)
    times = [start] * 5 + [start + jump] * 5 + [start + 1] * 5 + [start + jump + 1] * 5
    times += [start + 2] * 5 + [start + jump + 2] * 5
    for _ in range(2):
        log = engine.partition("flights", 0)
        assert len(read(log)) == len(times)
        for wanted in {*times, *(time + 1 for time in times), 0}:
            found = list_offsets.list_offset(log, wanted)
            first = next((at for at, time in enumerate(times) if time >= wanted), None)
            assert (None if found is None else found.offset) == first
        engine.close()
        assert list(verify_directory(OS_FILESYSTEM, directory)) == []
        engine = Engine.open(directory, clock=manual_clock)
    engine.close()


def test_a_clock_put_back_deletes_nothing_and_put_right_only_what_is_old(
    directory: str, manual_clock: ManualClock
) -> None:
    engine = Engine.open(directory, clock=manual_clock)
    engine.create_topic("flights", 1, {"retention_ms": HOUR, "internal_segment_bytes": 400})
    send(engine, *[b"%d" % number for number in range(10)])
    manual_clock.jump(-10 * YEAR)
    assert engine.apply_retention() == {}
    send(engine, b"of long ago", timestamp=manual_clock.now_ms())
    assert engine.apply_retention() == {}
    manual_clock.jump(10 * YEAR)
    # The segment of the record of long ago has younger ones as well, or is the only one to go.
    engine.apply_retention()
    assert [value for _, value in read(engine.partition("flights", 0))][:1] == [b"0"]
    manual_clock.advance(HOUR + 1)
    assert engine.apply_retention() == {PLACE: 11}
    engine.close()


def test_a_clock_put_forward_makes_records_old_as_it_says(
    directory: str, manual_clock: ManualClock
) -> None:
    """There is no other clock to ask: with `retention_ms` set, a jump is time that has passed.

    Without it, which is the default, no clock deletes anything.
    """
    engine = Engine.open(directory, clock=manual_clock)
    engine.create_topic("flights", 1, {"internal_segment_bytes": 400})
    send(engine, *[b"%d" % number for number in range(10)])
    manual_clock.jump(10 * YEAR)
    assert engine.apply_retention() == {}
    engine.configs.alter({"flights": {"retention_ms": HOUR}})
    assert engine.apply_retention() == {PLACE: 10}
    engine.close()


@pytest.mark.parametrize(("jump", "rolls"), [(-10 * YEAR, 0), (10 * YEAR, 1)])
def test_segments_roll_once_at_most(
    jump: int, rolls: int, directory: str, manual_clock: ManualClock
) -> None:
    engine = Engine.open(directory, clock=manual_clock)
    engine.create_topic("flights", 1, {"segment_ms": HOUR})
    send(engine, b"before")
    manual_clock.jump(jump)
    for number in range(20):
        send(engine, b"%d" % number)
        manual_clock.advance(10)
    assert segments(engine) == 1 + rolls
    manual_clock.jump(-jump)
    for number in range(20):
        send(engine, b"%d" % number)
    assert segments(engine) <= 2 + rolls
    engine.close()


@pytest.mark.parametrize("jump", JUMPS)
def test_nothing_comes_round_or_ends_early(
    jump: int, directory: str, manual_clock: ManualClock
) -> None:
    """Housekeeping and waiting go by time that passes."""
    settings = {"log_retention_check_interval_ms": HOUR, "housekeeping": False}
    engine = Engine.open(directory, clock=manual_clock, settings=settings)
    housekeeper = engine.housekeeper
    manual_clock.advance(1)
    assert housekeeper.run_once(manual_clock.now_ms())
    assert housekeeper._retention.seconds_left == pytest.approx(3600)
    manual_clock.jump(jump)
    assert housekeeper._retention.seconds_left == pytest.approx(3600)
    manual_clock.advance(HOUR)
    assert housekeeper._retention.seconds_left == 0
    engine.close()


def test_a_timestamp_from_a_clock_that_was_wrong_is_refused(
    directory: str, manual_clock: ManualClock
) -> None:
    """By `message_timestamp_after_max_ms`, an hour: it would be found at every time before."""
    engine = Engine.open(directory, clock=manual_clock)
    engine.create_topic("flights")
    with pytest.raises(InvalidTimestampError, match="message_timestamp_after_max_ms"):
        send(engine, b"x", timestamp=manual_clock.now_ms() + YEAR)
    engine.close()
