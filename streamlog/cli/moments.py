"""Times and places in a log as words: `earliest`, `1042`, `2013-01-31T12:30`, `-1h30m`, `@MS`."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import Literal, NamedTuple

from streamlog.clock import SYSTEM_CLOCK

_UNITS_MS = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_AGO = re.compile(r"-(?:\d+(?:ms|[wdhms]))+")
_PART = re.compile(r"(\d+)(ms|[wdhms])")
_MAX_INT64 = 0x7FFF_FFFF_FFFF_FFFF

OFFSET_WORDS = (
    "earliest",
    "latest",
    "max-timestamp",
    "earliest-local",
    "latest-tiered",
    "earliest-pending-upload",
)
TIME_FORMS = "2013-01-31, 2013-01-31T12:30 (UTC), -1h30m (ago), or @MS since 1970"


class Offset(NamedTuple):
    """A place by its offset."""

    offset: int


class Moment(NamedTuple):
    """A place by the time of its records, in ms since 1970."""

    timestamp_ms: int


Position = Literal["earliest", "latest"] | Offset | Moment


def time_ms(text: str, now_ms: int | None = None) -> int:
    """A time in ms since 1970, from ISO 8601 (UTC unless it names a zone), `@MS`, or ms alone;
    `-1h30m` is so long before now.
    """
    digits = text.removeprefix("@")
    if digits.isascii() and digits.isdigit():
        return _checked(int(digits), text)
    if _AGO.fullmatch(text):
        now = SYSTEM_CLOCK.now_ms() if now_ms is None else now_ms
        ago = sum(int(count) * _UNITS_MS[unit] for count, unit in _PART.findall(text))
        return _checked(now - ago, text)
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time: write {TIME_FORMS}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return _checked(
        since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000, text
    )


def position(text: str) -> Position:
    """`earliest`, `latest`, an offset, or a time."""
    if text == "earliest":
        return "earliest"
    return end_position(text)


def end_position(text: str) -> Position:
    """`latest`, an offset, or a time."""
    if text == "latest":
        return "latest"
    if text.isascii() and text.isdigit():
        if int(text) > _MAX_INT64:
            raise ArgumentTypeError(f"{text} is larger than any offset")
        return Offset(int(text))
    try:
        return Moment(time_ms(text))
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}; or an offset, or latest") from None


def _checked(timestamp_ms: int, text: str) -> int:
    if timestamp_ms < 0:
        raise ArgumentTypeError(f"{text!r} is before 1970")
    if timestamp_ms > _MAX_INT64:
        raise ArgumentTypeError(f"{text!r} is later than any timestamp")
    return timestamp_ms
