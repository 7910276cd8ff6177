"""Small messages, changed at random in the ways in which they break, and what becomes of them."""

from __future__ import annotations

from random import Random
from typing import Any

from streamlog.errors import SchemaError
from streamlog.protocol import Message
from tests.protocol.values import make_value

_TELLING = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)  # in lengths, counts and varints
# The largest that each kind of length can say, and the most negative.
LIES = tuple(
    bytes.fromhex(lie)
    for lie in (
        "7fff",
        "8000",
        "ffff",
        "7fffffff",
        "80000000",
        "ffffffff",
        "ffffffff0f",
        "ffffff7f",
    )
)


def small_message(kind: Message, version: int, limit: int = 200) -> bytes:
    """The bytes of a value with something in it."""
    rng = Random(f"hostile {kind.name} {version}")
    made = [kind.encode(make_value(rng, kind, version), version) for _ in range(12)]
    return max((data for data in made if len(data) <= limit), key=len, default=min(made, key=len))


def attempt(kind: Message, version: int, data: bytes) -> Any:
    """The value, or the SchemaError that says what is wrong. Nothing else may be raised."""
    try:
        return kind.decode_whole(data, version)
    except SchemaError as error:
        return error


def mutated(rng: Random, data: bytes) -> bytes:
    """`data` with one to three changes: bytes flipped, replaced, cut out, put in."""
    raw = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        position = rng.randrange(len(raw) + 1)
        how = rng.random()
        if how < 0.4 and position < len(raw):
            raw[position] ^= 1 << rng.randrange(8)
        elif how < 0.6:
            raw[position : position + 1] = bytes([rng.choice(_TELLING)])
        elif how < 0.8:
            del raw[position : position + rng.randrange(1, 4)]
        else:
            raw[position:position] = rng.randbytes(rng.randrange(1, 3))
    return bytes(raw)


def cut_or_lying(rng: Random, data: bytes) -> bytes:
    """`data` cut short, or with something that says too much in place of some of its bytes."""
    position = rng.randrange(len(data) + 1)
    if rng.random() < 0.4:
        return data[:position]
    lie = rng.choice(LIES)
    return data[:position] + lie + data[position + len(lie) :]
