from __future__ import annotations

from argparse import ArgumentTypeError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.cli.moments import Moment, Offset, end_position, position, time_ms
from streamlog.cli.output import time_text

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("@0", 0),
        ("@1700000000123", 1_700_000_000_123),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01.5", 1_500),
        ("1970-01-01T02:00+02:00", 0),
        ("2013-01-31T12:30Z", 1_359_635_400_000),
        ("-0s", NOW),
        ("-1ms", NOW - 1),
        ("-1s", NOW - 1_000),
        ("-15m", NOW - 900_000),
        ("-1h30m", NOW - 5_400_000),
        ("-2d", NOW - 2 * 86_400_000),
        ("-1w", NOW - 7 * 86_400_000),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert time_ms(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "yesterday", "-1", "-h", "-1y", "-1h ", "1h", "2013-13-01", "1969-12-31", "@-1",
        "-3000w", "9999999999999999999", "٣",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"is no time|before 1970|later than any"):
        time_ms(text, NOW)


@given(st.integers(0, 253_402_300_799_999))
def test_times_as_they_are_printed_are_read(timestamp_ms: int) -> None:
    assert time_ms(time_text(timestamp_ms)) == timestamp_ms


def test_places() -> None:
    assert position("earliest") == "earliest"
    assert position("latest") == end_position("latest") == "latest"
    assert position("12") == Offset(12)
    assert end_position("@12") == Moment(12)
    with pytest.raises(ArgumentTypeError, match="an offset, or latest"):
        end_position("earliest")
    with pytest.raises(ArgumentTypeError, match="larger than any offset"):
        position(str(1 << 63))
