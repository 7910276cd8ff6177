"""Records that use what the format offers: nulls, empties, headers, time that runs backwards."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.interop.rig.client import ClientRecord

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
START_MS = 1_700_000_000_000

_EVERY_BYTE = bytes(range(256))


class BrokerData(NamedTuple):
    """A copy of a cleanly stopped broker's directory, and the records it was given, by topic."""

    directory: Path
    sent: dict[str, list[ClientRecord]]


def text_records(label: str, count: int = 250) -> list[ClientRecord]:
    """Records that survive being printed: what the dump tool shows can be compared."""
    return [
        ClientRecord(
            offset=None,
            timestamp=START_MS + number,
            key=None if number % 3 == 0 else f"key-{number}".encode(),
            value=None if number % 10 == 9 else f"{label} {number} ".encode() * 10,
            headers=(("trace", b"t"), ("none", None)) if number % 2 else (),
        )
        for number in range(count)
    ]


def long_records() -> list[ClientRecord]:
    """More than a broker puts into one segment of the smallest size that it takes, 1 MiB."""
    return text_records("long " * 20, 2000)


def binary_records(count: int = 250) -> list[ClientRecord]:
    """Records of any bytes: empty and null, large and incompressible-looking, odd headers."""
    return [
        ClientRecord(
            offset=None,
            timestamp=START_MS + number * 10 - (number % 7) * 40,
            key=(None, b"", _EVERY_BYTE, str(number).encode())[number % 4],
            value=(None, b"", _EVERY_BYTE * (number % 50), b"\n\0payload: ")[number // 2 % 4],
            headers=_HEADERS[number % len(_HEADERS)],
        )
        for number in range(count)
    ]


_HEADERS: tuple[tuple[tuple[str, bytes | None], ...], ...] = (
    (),
    (("a", b""),),
    (("same", b"1"), ("same", None), ("same", b"2")),
    (("grün-☃", _EVERY_BYTE), ("", b"an empty name")),
)
