"""XXH3, 64 bits, without a seed: the hash that Kafka keeps of the topics of a group (4.1).

From the specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). A name of one place in
the input is hashed in some ten microseconds; nobody hashes records with this.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_MASK32: Final = 0xFFFF_FFFF

_PRIME32_1: Final = 0x9E37_79B1
_PRIME32_2: Final = 0x85EB_CA77
_PRIME32_3: Final = 0xC2B2_AE3D
_PRIME64_1: Final = 0x9E37_79B1_85EB_CA87
_PRIME64_2: Final = 0xC2B2_AE3D_27D4_EB4F
_PRIME64_3: Final = 0x1656_67B1_9E37_79F9
_PRIME64_4: Final = 0x85EB_CA77_C2B2_AE63
_PRIME64_5: Final = 0x27D4_EB2F_1656_67C5
_PRIME_MX1: Final = 0x1656_6791_9E37_79F9
_PRIME_MX2: Final = 0x9FB2_1C65_1E98_DF25

_SECRET: Final = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_STRIPE: Final = 64
_STRIPES_PER_BLOCK: Final = 16
_BLOCK: Final = _STRIPE * _STRIPES_PER_BLOCK
_LAST_SECRET: Final = len(_SECRET) - _STRIPE

_uint32 = Struct("<I")
_uint64 = Struct("<Q")
_stripe = Struct("<8Q")


def xxh3_64(data: bytes) -> int:
    """The hash of `data`, unsigned."""
    length = len(data)
    if length <= 16:
        return _short(data, length)
    if length <= 128:
        return _medium(data, length)
    if length <= 240:
        return _longer(data, length)
    return _long(data, length)


def _short(data: bytes, length: int) -> int:
    if length > 8:
        low = _read64(data, 0) ^ (_secret64(24) ^ _secret64(32))
        high = _read64(data, length - 8) ^ (_secret64(40) ^ _secret64(48))
        swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
        return _avalanche(length + swapped + high + _fold(low, high))
    if length >= 4:
        first, last = _read32(data, 0), _read32(data, length - 4)
        mixed = (last + (first << 32)) ^ _secret64(8) ^ _secret64(16)
        mixed ^= _rotate(mixed, 49) ^ _rotate(mixed, 24)
        mixed = mixed * _PRIME_MX2 & _MASK
        mixed ^= (mixed >> 35) + length
        mixed = mixed * _PRIME_MX2 & _MASK
        return mixed ^ (mixed >> 28)
    if length:
        combined = data[0] << 16 | data[length >> 1] << 24 | data[-1] | length << 8
        return _avalanche_64(combined ^ _read32(_SECRET, 0) ^ _read32(_SECRET, 4))
    return _avalanche_64(_secret64(56) ^ _secret64(64))


def _medium(data: bytes, length: int) -> int:
    total = length * _PRIME64_1
    for step in range((length - 1) // 32 + 1):
        total += _mix(data, 16 * step, 32 * step)
        total += _mix(data, length - 16 * (step + 1), 32 * step + 16)
    return _avalanche(total)


def _longer(data: bytes, length: int) -> int:
    total = length * _PRIME64_1
    for step in range(8):
        total += _mix(data, 16 * step, 16 * step)
    total = _avalanche(total)
    for step in range(8, length // 16):
        total += _mix(data, 16 * step, 16 * (step - 8) + 3)
    return _avalanche(total + _mix(data, length - 16, 136 - 17))


def _long(data: bytes, length: int) -> int:
    lanes = [
        _PRIME32_3,
        _PRIME64_1,
        _PRIME64_2,
        _PRIME64_3,
        _PRIME64_4,
        _PRIME32_2,
        _PRIME64_5,
        _PRIME32_1,
    ]
    stripes = (length - 1) // _STRIPE
    for stripe in range(stripes):
        within = stripe % _STRIPES_PER_BLOCK
        _accumulate(lanes, data, stripe * _STRIPE, within * 8)
        if within == _STRIPES_PER_BLOCK - 1:
            _scramble(lanes)
    _accumulate(lanes, data, length - _STRIPE, _LAST_SECRET - 7)
    total = length * _PRIME64_1
    for pair in range(4):
        total += _fold(
            lanes[2 * pair] ^ _secret64(11 + 16 * pair),
            lanes[2 * pair + 1] ^ _secret64(19 + 16 * pair),
        )
    return _avalanche(total)


def _accumulate(lanes: list[int], data: bytes, at: int, secret_at: int) -> None:
    words = _stripe.unpack_from(data, at)
    secrets = _stripe.unpack_from(_SECRET, secret_at)
    for lane, (word, secret) in enumerate(zip(words, secrets, strict=True)):
        key = word ^ secret
        lanes[lane ^ 1] = (lanes[lane ^ 1] + word) & _MASK
        lanes[lane] = (lanes[lane] + (key & _MASK32) * (key >> 32)) & _MASK


def _scramble(lanes: list[int]) -> None:
    for lane, secret in enumerate(_stripe.unpack_from(_SECRET, _LAST_SECRET)):
        value = lanes[lane]
        lanes[lane] = (value ^ (value >> 47) ^ secret) * _PRIME32_1 & _MASK


def _mix(data: bytes, at: int, secret_at: int) -> int:
    return _fold(
        _read64(data, at) ^ _secret64(secret_at), _read64(data, at + 8) ^ _secret64(secret_at + 8)
    )


def _fold(one: int, other: int) -> int:
    product = one * other
    return (product ^ (product >> 64)) & _MASK


def _avalanche(value: int) -> int:
    value &= _MASK
    value ^= value >> 37
    value = value * _PRIME_MX1 & _MASK
    return value ^ (value >> 32)


def _avalanche_64(value: int) -> int:
    """The finish of XXH64, which the shortest inputs get."""
    value ^= value >> 33
    value = value * _PRIME64_2 & _MASK
    value ^= value >> 29
    value = value * _PRIME64_3 & _MASK
    return value ^ (value >> 32)


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK


def _read32(data: bytes, at: int) -> int:
    value: int = _uint32.unpack_from(data, at)[0]
    return value


def _read64(data: bytes, at: int) -> int:
    value: int = _uint64.unpack_from(data, at)[0]
    return value


def _secret64(at: int) -> int:
    return _read64(_SECRET, at)
