"""What callers may pass as a key, a value or headers, and what they are told otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

BytesLike: TypeAlias = bytes | bytearray | memoryview
HeadersLike: TypeAlias = Mapping[str, bytes | None] | Iterable[tuple[str, BytesLike | None]] | None
EncodedHeaders: TypeAlias = tuple[tuple[bytes, bytes | None], ...]


def bytes_of(value: Any, name: str) -> bytes:
    """The bytes of `value`. Raises `TypeError` naming the argument when it has none."""
    if isinstance(value, bytes):
        return value
    try:
        view = memoryview(value)
    except TypeError:
        raise not_bytes(name, value) from None
    if not view.c_contiguous:
        raise not_bytes(name, value)
    return view.tobytes()


def optional_bytes_of(value: Any, name: str) -> bytes | None:
    """Like `bytes_of`, with None allowed."""
    if value is None:
        return None
    try:
        return bytes_of(value, name)
    except TypeError:
        raise not_bytes_or_none(name, value) from None


def not_bytes(name: str, value: object) -> TypeError:
    return TypeError(f"{name} must be bytes-like, not {type(value).__name__}")


def not_bytes_or_none(name: str, value: object) -> TypeError:
    return TypeError(f"{name} must be bytes-like or None, not {type(value).__name__}")


def encoded_headers(headers: Any) -> EncodedHeaders:
    """Headers as they are written: UTF-8 keys and bytes.

    Takes None, a mapping, or an iterable of (str, bytes-like or None) pairs. Raises `TypeError`
    naming the header and the type received. A key that was read with `header_key` is written
    back byte for byte, whatever it was.
    """
    if not headers:
        return ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    if isinstance(pairs, (str, bytes, bytearray)):
        raise _not_pairs(headers)
    try:
        iterator = iter(pairs)
    except TypeError:
        raise _not_pairs(headers) from None
    return tuple(_encoded_header(index, pair) for index, pair in enumerate(iterator))


def _encoded_header(index: int, pair: Any) -> tuple[bytes, bytes | None]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(
            f"headers[{index}] must be a (str, bytes or None) pair, not {type(pair).__name__}"
        )
    key, value = pair
    if not isinstance(key, str):
        raise TypeError(f"headers[{index}] key must be str, not {type(key).__name__}")
    encoded = key.encode("utf-8", "surrogateescape")
    return encoded, optional_bytes_of(value, f"headers[{index}] value")


def _not_pairs(headers: object) -> TypeError:
    return TypeError(
        "headers must be a dict or an iterable of (str, bytes or None) pairs, "
        f"not {type(headers).__name__}"
    )


def header_key(raw: bytes) -> str:
    """A header's key. Kafka's are UTF-8; C clients write any bytes, and those survive too."""
    return raw.decode("utf-8", "surrogateescape")
