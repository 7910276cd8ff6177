"""What must hold of any bytes that arrive, for a fuzzer to break.

    python -m tests.fuzz.wire [options of libFuzzer] [CORPUS]

runs atheris on it for as long as one likes (`pip install atheris`; the generated functions are
instrumented as well). The ordinary tests give it a sample of damaged messages: `test_wire.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from random import Random
from typing import Any

from streamlog.errors import ProtocolError, SchemaError
from streamlog.protocol import message
from streamlog.protocol.api import apis
from streamlog.protocol.exchange import Request, decode_request, encode_request
from streamlog.protocol.frame_reader import FrameReader
from tests.protocol.values import internal_versions, make_value, wire_versions

VERSIONS = internal_versions() + wire_versions()
MAX_FRAME_BYTES = 10_000


def check_message(data: bytes) -> bool:
    """Two bytes that choose a message and a version, then its bytes.

    A value comes of them that encodes and decodes to itself, or a SchemaError. Says which.
    """
    name, version = VERSIONS[int.from_bytes(data[:2], "big") % len(VERSIONS)]
    kind = message(name)
    try:
        value = kind.decode_whole(data[2:], version)
    except SchemaError:
        return False
    again = written(lambda: kind.encode(value, version))
    if again is not None:
        assert kind.encode(kind.decode_whole(again, version), version) == again
    return True


def written(write: Callable[[], bytes]) -> bytes | None:
    """What `write` writes. None for the one thing that is read and not written: a tag twice."""
    try:
        return write()
    except SchemaError as error:
        if "has the tag of a known one" not in str(error):
            raise
        return None


def check_stream(data: bytes) -> list[Request]:
    """What a connection receives, in pieces as long as its bytes say: requests, then an end.

    The end is an error or that there are no more bytes; each request encodes to itself.
    """
    offer = {api.key: api.versions for api in apis().values()}
    reader = FrameReader(MAX_FRAME_BYTES)
    found = []
    while data:
        piece = 1 + data[0] % 97
        reader.receive_data(data[:piece])
        data = data[piece:]
        try:
            while (frame := reader.next_frame()) is not None:
                found.append(decode_request(frame, offer))
        except (ProtocolError, SchemaError):
            break
    for request in found:
        if request.body is not None:
            check_request(request)
    return found


def check_request(request: Request) -> None:
    header = (request.api, request.version, request.correlation_id, request.client_id)
    frame = written(lambda: b"".join(encode_request(*header, request.body))[4:])
    if frame is not None:
        again = decode_request(frame, {request.api.key: request.api.versions})
        assert again[:4] == request[:4]
        assert b"".join(encode_request(*header, again.body))[4:] == frame


def seeds() -> list[bytes]:
    """For `check_message`: a message of every version."""
    made = []
    for index, (name, version) in enumerate(VERSIONS):
        kind = message(name)
        value = make_value(Random(f"seed {name} {version}"), kind, version)
        made.append(index.to_bytes(2, "big") + kind.encode(value, version)[:2_000])
    return made


def stream_seeds() -> list[bytes]:
    """For `check_stream`: two requests of every API."""
    made = []
    for api in apis().values():
        rng = Random(f"stream {api.name}")
        stream = b""
        for version in (api.versions.low, api.versions.high):
            body = make_value(rng, api.request, version)
            frame = b"".join(encode_request(api, version, 1, "fuzz", body))
            stream += frame if len(frame) < MAX_FRAME_BYTES else b""
        made.append(stream)
    return made


def _run_atheris() -> None:
    import atheris

    from streamlog.protocol import source

    finish = source.SourceWriter.finish

    def finish_instrumented(self: Any, entry: str, title: str) -> Any:
        code = finish(self, entry, title)
        code.function = atheris.instrument_func(code.function)
        return code

    source.SourceWriter.finish = finish_instrumented  # type: ignore[method-assign]
    atheris.instrument_all()

    def target(data: bytes) -> None:
        if data[:1] < b"\x80":
            check_message(data[1:])
        else:
            check_stream(data[1:])

    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    _run_atheris()
