"""The small words that arguments are made of, and how they are refused."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction
from typing import NoReturn

from streamlog.errors import ConfigError


class Parser(ArgumentParser):
    """Says what is wrong in one line, and where help is."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_json(parser: ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="JSON for scripts: one object a line")


def add_progress(parser: ArgumentParser) -> None:
    """`--progress` and `--no-progress`."""
    parser.add_argument(
        "--progress",
        action=BooleanOptionalAction,
        help="show a progress bar on stderr (default: when that is a terminal)",
    )


def natural(text: str) -> int:
    """An integer from 0 up: an offset, a partition."""
    if not (text.isascii() and text.isdigit()) or int(text) > 0x7FFF_FFFF_FFFF_FFFF:
        raise ArgumentTypeError(f"{text!r} is no integer from 0 up")
    return int(text)


def positive(text: str) -> int:
    """An integer from 1 up: a limit, a number of partitions."""
    number = natural(text)
    if number == 0:
        raise ArgumentTypeError("it must be 1 or more")
    return number


def start_word(text: str) -> str | int:
    """`beginning`, `latest` or an offset."""
    if text in ("beginning", "latest"):
        return text
    try:
        return natural(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{text!r} is none of beginning, latest, an offset") from None


def time_ms(text: str) -> int:
    """ISO 8601 or milliseconds since 1970. UTC unless it names another zone."""
    if text.isascii() and text.isdigit():
        return natural(text)
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is no time: write 2013-01-31, 2013-01-31T12:30 or milliseconds since 1970"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    ms = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    if ms < 0:
        raise ArgumentTypeError(f"{text!r} is before 1970")
    return ms


def setting(text: str) -> tuple[str, str]:
    """`name=value`."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ArgumentTypeError(f"{text!r} is not name=value")
    return name.strip(), value.strip()


def settings_of(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Pairs as a mapping. Raises `ConfigError` for a name that is given twice."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise ConfigError(f"--config {name} is given twice", name=name, value=value)
        found[name] = value
    return found
