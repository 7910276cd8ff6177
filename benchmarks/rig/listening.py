"""A listener of streamlog in a process of its own, and a client that sends it single requests."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from streamlog.protocol import message
from streamlog.protocol.api import api_of
from streamlog.protocol.frame_reader import FrameReader
from streamlog.protocol.in_flight import InFlightRequests

_TIMEOUT_S = 60.0


class Served(NamedTuple):
    """`bootstrap` is what clients are given as `bootstrap.servers`; `pid` is the listener's."""

    bootstrap: str
    pid: int


@contextmanager
def serving(directory: Path | str) -> Iterator[Served]:
    """`streamlog serve` on a directory, with its defaults."""
    command = [sys.executable, "-m", "streamlog", "serve", str(directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            yield Served(line.partition("bootstrap.servers=")[2], process.pid)
        finally:
            process.terminate()


class Connection:
    """Sends requests and receives their responses, one by one."""

    def __init__(self, bootstrap: str) -> None:
        host, _, port = bootstrap.partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
        self._frames = FrameReader()
        self._requests = InFlightRequests("benchmark")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, api: str, version: int, **fields: Any) -> None:
        """Send a request, and do not wait."""
        body = message(f"{api}Request").Value(**fields)
        self._socket.sendall(b"".join(self._requests.send(api_of(api), version, body)))

    def receive(self) -> Any:
        """The body of the next response."""
        while (frame := self._frames.next_frame()) is None:
            received = self._socket.recv_into(self._frames.get_buffer())
            assert received, "the listener closed the connection"
            self._frames.buffer_updated(received)
        return self._requests.receive(frame).body

    def ask(self, api: str, version: int, **fields: Any) -> Any:
        """The response to a request."""
        self.send(api, version, **fields)
        return self.receive()
