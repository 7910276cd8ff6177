"""Bytes changed at random, in the ways in which they break: flipped, replaced, cut, inserted."""

from __future__ import annotations

from random import Random

_TELLING = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)  # in lengths, counts and varints


def mutated(rng: Random, data: bytes) -> bytes:
    """`data` with one to three changes."""
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
