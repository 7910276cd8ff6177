"""Requests and responses as frames: header, then body, in the versions that belong together.

The endpoint's side is `decode_request` and `encode_response`, the client's `encode_request` and
`decode_response`. What is encoded comes as buffers that follow each other on the wire, for
`socket.sendmsg`: record batches among them are the caller's own memory, never a copy.
"""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import Any, NamedTuple

from streamlog.errors import ProtocolError, SchemaError, UnsupportedVersionError
from streamlog.protocol.api import API_VERSIONS, PRODUCE, Api, Offer, apis, offered
from streamlog.protocol.definition import VersionRange
from streamlog.protocol.error_codes import UNSUPPORTED_VERSION
from streamlog.protocol.message import Message, message
from streamlog.protocol.primitives import Buffer, Cuts, interleave

_key_and_version = Struct(">hh")
_correlation_and_error = Struct(">ih")
_length = Struct(">i")


class Request(NamedTuple):
    """A request with what its header says.

    `version` is the one that was asked for. `body` is None for an ApiVersions request of a
    version that is not offered: it cannot be read, and is answered with `api.refusal()`.
    """

    api: Api
    version: int
    correlation_id: int
    client_id: str | None
    body: Any

    @property
    def response_version(self) -> int:
        """The version in which the response is encoded: 0 where `body` is None (KIP-511)."""
        return 0 if self.body is None else self.version

    @property
    def expects_response(self) -> bool:
        """Not so for Produce with `acks=0`."""
        return self.api.key != PRODUCE or self.body.acks != 0


class Response(NamedTuple):
    """A response. `version` is that of `body`: 0 for an ApiVersions version that was refused."""

    api: Api
    version: int
    correlation_id: int
    body: Any


def decode_request(frame: Buffer, offer: Offer | None = None) -> Request:
    """The request that `frame` begins with; `records` in it are views of it.

    `UnsupportedVersionError` when it is not in `offer` (`offered()`), `ProtocolError` when there
    is no header, `SchemaError` when the bytes do not fit. Kafka closes the connection each time.
    """
    if len(frame) < _key_and_version.size:
        raise ProtocolError(f"a frame of {len(frame)} bytes is no request")
    key, version = _key_and_version.unpack_from(frame)
    versions = (offered() if offer is None else offer).get(key)
    form = None
    if versions is not None and versions.low <= version <= versions.high:
        form = _form_of(key, version)
    if form is None:
        return _unreadable(frame, key, version, versions)
    header, position = form.header.decode(frame, form.header_version)
    # Bytes behind the body are passed over, as by Kafka: librdkafka sends some with Metadata 13.
    body, _ = form.body.decode(frame, version, position)
    return Request(form.api, version, header.correlation_id, header.client_id, body)


class _RequestForm(NamedTuple):
    """The messages that make up a request of one API and version."""

    api: Api
    header: Message
    header_version: int
    body: Message


@cache
def _form_of(key: int, version: int) -> _RequestForm | None:
    """Asked for versions that are offered only: it remembers. None where it cannot be decoded."""
    api = apis().get(key)
    if api is None or version not in api.versions:
        return None
    header_version = api.request_header_version(version)
    return _RequestForm(api, message("RequestHeader"), header_version, api.request)


def _unreadable(frame: Buffer, key: int, version: int, versions: VersionRange | None) -> Request:
    """The request for other versions of ApiVersions; of every other API the error."""
    api = apis().get(key)
    if api is None or versions is None:
        name = "" if api is None else f" ({api.name})"
        raise _unsupported(f"an API of key {key}{name} is not offered", key, version)
    if key != API_VERSIONS:
        low = max(versions.low, api.versions.low)
        raise _unsupported(
            f"{api.name} is answered in versions {low} to {versions.high}, not {version}",
            key,
            version,
        )
    header, _ = message("RequestHeader").decode(frame, api.request_header_version(version))
    return Request(api, version, header.correlation_id, header.client_id, None)


def encode_request(
    api: Api, version: int, correlation_id: int, client_id: str | None, body: Any
) -> list[Buffer]:
    """The buffers of a request. `SchemaError` when `body` does not fit the version."""
    kind = message("RequestHeader")
    header = kind.Value(api.key, version, correlation_id, client_id)
    out = bytearray(_length.size)
    kind.encode_into(out, header, api.request_header_version(version))
    return _finish(out, api.request, body, version)


def encode_response(request: Request, body: Any) -> list[Buffer]:
    """The buffers of the response to `request`. `SchemaError` when `body` does not fit it."""
    api, version = request.api, request.response_version
    kind = message("ResponseHeader")
    out = bytearray(_length.size)
    header = kind.Value(request.correlation_id)
    kind.encode_into(out, header, api.response_header_version(version))
    return _finish(out, api.response, body, version)


def decode_response(frame: Buffer, api: Api, version: int) -> Response:
    """The response that fills `frame`, to a request of that API and version.

    `SchemaError` when the bytes do not fit.
    """
    if api.key == API_VERSIONS and len(frame) >= _correlation_and_error.size:
        # Who does not know the version that was asked for answers in version 0 (KIP-511).
        _, error_code = _correlation_and_error.unpack_from(frame)
        version = 0 if error_code == UNSUPPORTED_VERSION else version
    header_version = api.response_header_version(version)
    header, position = message("ResponseHeader").decode(frame, header_version)
    body = api.response.decode_whole(frame, version, position)
    return Response(api, version, header.correlation_id, body)


def _finish(out: bytearray, kind: Message, body: Any, version: int) -> list[Buffer]:
    """Add the body to `out`, which holds room for the length and a header."""
    cuts: Cuts = []
    kind.encode_into(out, body, version, cuts)
    size = len(out) - _length.size + sum([view.nbytes for _, view in cuts])
    if size > 0x7FFFFFFF:
        raise SchemaError(
            f"{kind.name} of {size} bytes: a frame has at most 2 GiB",
            message_name=kind.name,
            field="",
            version=version,
        )
    _length.pack_into(out, 0, size)
    return interleave(out, cuts)


def _unsupported(text: str, api_key: int, version: int) -> UnsupportedVersionError:
    return UnsupportedVersionError(text, api_key=api_key, version=version)
