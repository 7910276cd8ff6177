"""Which response belongs to which request on a client's connection."""

from __future__ import annotations

from collections import deque
from typing import Any

from streamlog.errors import ProtocolError
from streamlog.protocol.api import Api
from streamlog.protocol.exchange import Request, Response, decode_response, encode_request
from streamlog.protocol.primitives import Buffer

_LAST_CORRELATION_ID = 0x7FFFFFFF


class InFlightRequests:
    """Numbers a connection's requests and takes their responses, which come in the same order."""

    def __init__(self, client_id: str | None = None) -> None:
        self._client_id = client_id
        self._next_correlation_id = 0
        self._awaited: deque[Request] = deque()

    def __len__(self) -> int:
        """How many responses are still to come."""
        return len(self._awaited)

    def send(self, api: Api, version: int, body: Any) -> list[Buffer]:
        """The buffers of the next request. `SchemaError` when `body` does not fit the version."""
        request = Request(api, version, self._next_correlation_id, self._client_id, body)
        buffers = encode_request(api, version, request.correlation_id, self._client_id, body)
        if request.correlation_id == _LAST_CORRELATION_ID:
            self._next_correlation_id = 0
        else:
            self._next_correlation_id += 1
        if request.expects_response:
            self._awaited.append(request)
        return buffers

    def receive(self, frame: Buffer) -> Response:
        """The response in `frame`, to the oldest request that has none.

        `ProtocolError` when it is the response to another: then the connection is of no more
        use. `SchemaError` when the bytes do not fit.
        """
        if not self._awaited:
            raise ProtocolError("a response came without a request", expected=None)
        request = self._awaited.popleft()
        response = decode_response(frame, request.api, request.version)
        if response.correlation_id != request.correlation_id:
            raise ProtocolError(
                f"the response to request {response.correlation_id} came where that to "
                f"{request.correlation_id} ({request.api.name}) was due",
                expected=request.correlation_id,
                found=response.correlation_id,
            )
        return response
