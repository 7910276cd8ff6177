"""Arguments that are no settings, or need more than their kind: held against what they may be."""

from __future__ import annotations

from typing import Any

from streamlog.errors import ConfigError

#: The longest STRING of Kafka's messages, in bytes of UTF-8: its length is 16 bits with a sign.
MAX_STRING_BYTES = 2**15 - 1


def size_of_text(name: str, value: str) -> int:
    """Bytes in UTF-8. Raises `ConfigError` for what has none."""
    try:
        return len(value.encode())
    except UnicodeEncodeError as error:
        raise ConfigError(f"{name} is no UTF-8 text: {error}", name=name, value=value) from error


def check_string(name: str, value: str) -> None:
    """Raises `ConfigError` for a string that does not fit into Kafka's messages."""
    size = size_of_text(name, value)
    if size > MAX_STRING_BYTES:
        raise ConfigError(
            f"{name} has {size} bytes in UTF-8: it may have {MAX_STRING_BYTES}",
            name=name,
            value=value,
        )


def check_callable(name: str, value: Any) -> None:
    """Raises `ConfigError` for what is neither callable nor None."""
    if value is not None and not callable(value):
        raise ConfigError(
            f"{name}={value!r} is not allowed: it must be a callable or None",
            name=name,
            value=value,
        )
