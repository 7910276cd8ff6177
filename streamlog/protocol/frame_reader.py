"""Bytes in, frames out: what follows each four-byte length on a connection.

    reader = FrameReader(max_frame_bytes=...)
    reader.buffer_updated(socket.recv_into(reader.get_buffer()))
    while (frame := reader.next_frame()) is not None: ...

`get_buffer` and `buffer_updated` are those of `asyncio.BufferedProtocol`; `receive_data` takes
bytes that are already there. A frame is a writable view of the memory into which its bytes were
received: record batches in it can be completed and written to a log without being copied.
"""

from __future__ import annotations

from struct import Struct

from streamlog.errors import FrameTooLargeError, NotKafkaError
from streamlog.protocol.primitives import Buffer

_length = Struct(">i")
_LENGTH_BYTES = 4

# A connection's buffers double from the first to the second as it uses them up: what an idle
# connection holds is small, and one that is busy needs few.
_FIRST_BUFFER_BYTES = 4_096
_LAST_BUFFER_BYTES = 65_536
# How much larger than what came of a frame the buffer for it may be. (A page more: a frame of
# 2^n bytes with its length shall not miss its buffer by four bytes.)
_GROWTH = 4
_PAGE_BYTES = 4_096

_STRANGERS = {
    b"\x16\x03": "a TLS handshake",
    b"GET ": "an HTTP request",
    b"HEAD": "an HTTP request",
    b"POST": "an HTTP request",
    b"PUT ": "an HTTP request",
    b"DELE": "an HTTP request",
    b"OPTI": "an HTTP request",
    b"CONN": "an HTTP request",
    b"PRI ": "an HTTP/2 connection",
    b"HTTP": "an HTTP response",
    b"SSH-": "an SSH connection",
}


class FrameReader:
    """Cuts what is received into frames.

    Memory is taken as bytes arrive, never on the word of a length. `max_frame_bytes` may be set
    at any time (it is Kafka's `socket.request.max.bytes`, and smaller before authentication) and
    counts for every frame that is not complete yet. Handed-out frames are never written to again.
    """

    def __init__(self, max_frame_bytes: int = 104_857_600) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = memoryview(bytearray(_FIRST_BUFFER_BYTES))
        self._start = 0  # of the bytes that are in no frame yet
        self._stop = 0  # of the bytes that were received

    @property
    def awaited_bytes(self) -> int:
        """How many bytes of a frame that has begun are still to come.

        0 between frames, and when a whole frame is there. One with too large a length is refused
        by `next_frame()`, and of none here.
        """
        received = self._stop - self._start
        return max(self._wanted() - received, 0) if received else 0

    def get_buffer(self, sizehint: int = -1) -> memoryview:  # noqa: ARG002 - asyncio gives one
        """Room for bytes that arrive; never empty. The next call may return another buffer."""
        room = len(self._buffer) - self._stop
        if self._start == self._stop:
            if room < len(self._buffer) >> 3:
                self._replace_buffer(0)
        elif room == 0 or (self._start and self._start + self._wanted() > len(self._buffer)):
            self._replace_buffer(self._wanted())
        return self._buffer[self._stop :]

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` were received into the last buffer from `get_buffer()`."""
        if not 0 <= nbytes <= len(self._buffer) - self._stop:
            raise ValueError(f"{nbytes} bytes are not in the buffer")
        self._stop += nbytes

    def receive_data(self, data: Buffer) -> None:
        """`data` was received; it is copied."""
        rest = memoryview(data)
        while rest:
            room = self.get_buffer()
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            self.buffer_updated(count)
            rest = rest[count:]

    def next_frame(self) -> memoryview | None:
        """The next frame without its length, or None until more was received.

        `NotKafkaError` or `FrameTooLargeError` when what is there is no frame, or too large: no
        frame will come any more.
        """
        start = self._start + _LENGTH_BYTES
        if start > self._stop:
            return None
        (length,) = _length.unpack_from(self._buffer, self._start)
        if not 0 <= length <= self.max_frame_bytes:
            raise self._refusal(length)
        if start + length > self._stop:
            return None
        self._start = start + length
        return self._buffer[start : start + length]

    def _wanted(self) -> int:
        """How many bytes the frame that has begun takes with its length; 4 until that is known."""
        if self._stop - self._start < _LENGTH_BYTES:
            return _LENGTH_BYTES
        (length,) = _length.unpack_from(self._buffer, self._start)
        return _LENGTH_BYTES + (length if 0 <= length <= self.max_frame_bytes else 0)

    def _replace_buffer(self, wanted: int) -> None:
        """Go on in a new buffer; the old one belongs to the frames that lie in it."""
        begun = self._buffer[self._start : self._stop]
        usual = min(2 * len(self._buffer), _LAST_BUFFER_BYTES)
        allowed = _GROWTH * len(begun) + _PAGE_BYTES
        size = max(usual, min(wanted, allowed), len(begun) + _PAGE_BYTES)
        self._buffer = memoryview(bytearray(size))
        self._buffer[: len(begun)] = begun
        self._start, self._stop = 0, len(begun)

    def _refusal(self, length: int) -> NotKafkaError | FrameTooLargeError:
        begun = bytes(self._buffer[self._start : self._start + _LENGTH_BYTES])
        found = _STRANGERS.get(begun) or _STRANGERS.get(begun[:2])
        if found is None and length < 0:
            found = f"a frame of {length} bytes"
        if found is not None:
            return NotKafkaError(
                f"{found} arrived where Kafka's protocol is spoken: is the address the client's?",
                found=found,
            )
        return FrameTooLargeError(
            f"a frame of {length} bytes is announced, {self.max_frame_bytes} are allowed "
            "(socket_request_max_bytes; fewer before authentication)",
            size=length,
            limit=self.max_frame_bytes,
        )
