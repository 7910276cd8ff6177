"""The small words that arguments are made of, and how they are refused."""

from __future__ import annotations

from argparse import ArgumentTypeError

from streamlog.errors import ConfigError

_MAX_INT64 = 0x7FFF_FFFF_FFFF_FFFF


def natural(text: str) -> int:
    """An integer from 0 up: an offset, a partition."""
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_INT64:
        raise ArgumentTypeError(f"{text!r} is no integer from 0 up")
    return int(text)


def positive(text: str) -> int:
    """An integer from 1 up: a limit, a number of partitions."""
    number = natural(text)
    if number == 0:
        raise ArgumentTypeError("it must be 1 or more")
    return number


def pair(text: str) -> tuple[str, str]:
    """`name=value`."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ArgumentTypeError(f"{text!r} is not name=value")
    return name.strip(), value


def mapping_of(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Settings as a mapping. Raises `ConfigError` for a name that is given twice."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise ConfigError(f"--config {name} is given twice", name=name, value=value)
        found[name] = value.strip()
    return found
