"""SipHash-2-4 with 128 bits of output: the keyed hash of the offset map.

Without the key nobody can construct two inputs with one hash. The compiled twin is
`_siphash.pxd`. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", and the
128-bit variant of its reference implementation.
"""

from __future__ import annotations

from typing import Final

from streamlog.record.byteslike import BytesLike, bytes_of

KEY_SIZE: Final = 16

_MASK: Final = 2**64 - 1
_CONSTANTS: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def siphash128(key: BytesLike, data: BytesLike) -> bytes:
    """The 16 bytes of hash of `data`. Raises `ValueError` unless `key` has 16 bytes."""
    raw_key, raw = checked_key(key), bytes_of(data, "data")
    halves = [int.from_bytes(raw_key[at : at + 8], "little") for at in (0, 8)]
    state = [constant ^ halves[at % 2] for at, constant in enumerate(_CONSTANTS)]
    state[1] ^= 0xEE
    whole = len(raw) & ~7
    for at in range(0, whole, 8):
        _absorb(state, int.from_bytes(raw[at : at + 8], "little"))
    _absorb(state, (len(raw) & 0xFF) << 56 | int.from_bytes(raw[whole:], "little"))
    state[2] ^= 0xEE
    low = _squeeze(state)
    state[1] ^= 0xDD
    return low + _squeeze(state)


def checked_key(key: BytesLike) -> bytes:
    """Raises `ValueError` unless it has 16 bytes."""
    raw = bytes_of(key, "key")
    if len(raw) != KEY_SIZE:
        raise ValueError(f"a hash key has {KEY_SIZE} bytes, not {len(raw)}")
    return raw


def _absorb(state: list[int], word: int) -> None:
    state[3] ^= word
    _rounds(state, 2)
    state[0] ^= word


def _squeeze(state: list[int]) -> bytes:
    _rounds(state, 4)
    return (state[0] ^ state[1] ^ state[2] ^ state[3]).to_bytes(8, "little")


def _rounds(state: list[int], count: int) -> None:
    v0, v1, v2, v3 = state
    for _ in range(count):
        v0 = (v0 + v1) & _MASK
        v2 = (v2 + v3) & _MASK
        v1 = _rotated(v1, 13) ^ v0
        v3 = _rotated(v3, 16) ^ v2
        v0 = (_rotated(v0, 32) + v3) & _MASK
        v2 = (v2 + v1) & _MASK
        v1 = _rotated(v1, 17) ^ v2
        v3 = _rotated(v3, 21) ^ v0
        v2 = _rotated(v2, 32)
    state[:] = v0, v1, v2, v3


def _rotated(word: int, by: int) -> int:
    return (word << by & _MASK) | word >> (64 - by)
