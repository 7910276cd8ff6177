"""A client of a few lines: any request, in any version, and any bytes."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any, Self

from streamlog.protocol import message
from streamlog.protocol.api import api_of
from streamlog.protocol.exchange import Response
from streamlog.protocol.frame_reader import FrameReader
from streamlog.protocol.in_flight import InFlightRequests

TIMEOUT_S = 60.0


class Connection:
    """Sends a request and waits for its response."""

    def __init__(self, bootstrap: str, client_id: str = "größe") -> None:
        host, _, port = bootstrap.partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self._frames = FrameReader()
        self._requests = InFlightRequests(client_id)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, api: str, version: int, **fields: Any) -> None:
        body = message(f"{api}Request").Value(**fields)
        for buffer in self._requests.send(api_of(api), version, body):
            self.socket.sendall(buffer)

    def receive(self) -> Response:
        while (frame := self._frames.next_frame()) is None:
            received = self.socket.recv_into(self._frames.get_buffer())
            if not received:
                raise ConnectionResetError("the other side closed the connection")
            self._frames.buffer_updated(received)
        return self._requests.receive(frame)

    def ask(self, api: str, version: int, **fields: Any) -> Any:
        self.send(api, version, **fields)
        return self.receive().body

    def is_closed_by_peer(self) -> bool:
        """Waits for the other side to close; False when it sends something."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
