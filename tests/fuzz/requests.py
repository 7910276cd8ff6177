"""Requests as an endpoint receives them, of every API in every version that it offers, damaged."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from random import Random

from streamlog.errors import ProtocolError, SchemaError
from streamlog.listener.routing import Routes
from streamlog.protocol.api import Api, apis
from streamlog.protocol.exchange import decode_request, encode_request
from tests.fuzz.wire import check_request
from tests.protocol.mutation import cut_or_lying, mutated
from tests.protocol.values import make_value

OFFER = Routes().offer
#: Every version of every API that is answered.
EVERY = [
    (apis()[key], version)
    for key, versions in OFFER.items()
    for version in range(max(versions.low, apis()[key].versions.low), versions.high + 1)
]
MAX_FRAME_BYTES = 4_000
MEMORY_FACTOR = 64  # as in tests/protocol/test_hostile_bytes.py
SMALL_BYTES = 20_000
KEY_AND_VERSION = 4  # bytes that stay, so that it is this decoder that reads the others


def sound_frame(rng: Random, api: Api, version: int) -> bytes:
    """A request without its length."""
    while True:
        body = make_value(rng, api.request, version)
        frame = b"".join(encode_request(api, version, rng.randrange(1 << 31), "fuzz", body))[4:]
        if len(frame) <= MAX_FRAME_BYTES:
            return frame


def damaged_frames(rng: Random, api: Api, version: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        frame = sound_frame(rng, api, version)
        damage = mutated if rng.random() < 0.5 else cut_or_lying
        yield frame[:KEY_AND_VERSION] + damage(rng, frame[KEY_AND_VERSION:])


def check_frame(frame: bytes) -> bool:
    """It is a request that ends inside the frame and encodes to itself, or a typed error.

    Either takes memory in proportion to the frame. Says whether it is a request.
    """
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        request = decode_request(frame, OFFER)
    except (ProtocolError, SchemaError):
        request = None
    peak = tracemalloc.get_traced_memory()[1] - before
    assert peak < SMALL_BYTES + MEMORY_FACTOR * len(frame), f"{peak} bytes for {len(frame)}"
    if request is not None:
        check_request(request)
        check_extent(request.api, request.version, frame)
    return request is not None


def check_extent(api: Api, version: int, frame: bytes) -> None:
    from streamlog.protocol import message

    header = message("RequestHeader").decode(frame, api.request_header_version(version))
    assert api.request.decode(frame, version, header[1])[1] <= len(frame), "read behind the end"


def check_version(seed: str, api: Api, version: int, count: int) -> tuple[int, int]:
    """How many damaged frames of one version were read, and how many refused."""
    rng = Random(f"{seed} {api.name} {version}")
    sound = sound_frame(rng, api, version)
    tracemalloc.start()
    try:
        tracemalloc.clear_traces()
        decode_request(sound, OFFER)  # compiles the decoder
        assert check_frame(sound)
        read = sum(map(check_frame, damaged_frames(rng, api, version, count)))
    finally:
        tracemalloc.stop()
    return read, count - read
