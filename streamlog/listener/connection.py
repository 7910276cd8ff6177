"""One connection: bytes to requests, one request at a time, answers in their order.

As Kafka does, the next request is looked at when the answer to the one before was taken by the
socket. So a client that pipelines gets its answers in order, and one that does not read them is
not served, and keeps its requests in its own socket: what is held for a connection is the request
that is being answered, what was received with it, and the answer. After a few requests it is the
others' turn, however many it has sent. Record batches in an answer are slices of the log's map,
given to the socket a piece at a time; they are held by nobody.
"""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import logging
import os
import termios
from collections import deque
from collections.abc import Coroutine
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from streamlog.errors import SchemaError, StreamlogError
from streamlog.protocol.exchange import Request, decode_request, encode_response
from streamlog.protocol.frame_reader import FrameReader

if TYPE_CHECKING:
    from streamlog.listener.endpoint import Endpoint
    from streamlog.listener.routing import Routes
    from streamlog.protocol.api import Offer
    from streamlog.protocol.primitives import Buffer

# What the transport is given to wait with, where the socket takes no more: it keeps a copy.
_PIECE_BYTES = 65_536
_BUFFERS_A_CALL = 64
# Served one after the other before other connections have their turn of the loop.
_REQUESTS_A_TURN = 8
# What a connection may always hold: a frame reader's first buffer.
_MUCH_BYTES = 4_096

_logger = logging.getLogger("streamlog.listener")


class Connection(asyncio.BufferedProtocol):
    """The server's side of one connection. Everything happens in the loop.

    `routes` answers its requests: a connection that has to authenticate first would begin with
    routes for that alone, and with a smaller `max_frame_bytes`.
    """

    def __init__(self, endpoint: Endpoint, routes: Routes) -> None:
        self.endpoint = endpoint
        self.last_progress = endpoint.loop.time()
        #: Where the last fetch of each partition ended in its file.
        self.cursors: dict[Any, Any] = {}
        self._routes = routes
        self._frames = FrameReader(endpoint.config.socket_request_max_bytes)
        self._transport: asyncio.Transport | None = None
        self._held_bytes = 0  # as the budget knows them
        self._request: Request | None = None  # being answered
        self._request_bytes = 0
        self._next_frame: memoryview | None = None  # behind it
        self._task: asyncio.Task[None] | None = None
        self._outgoing: deque[memoryview] = deque()
        self._next_turn: asyncio.Handle | None = None  # of the loop, that it waits for
        self._is_writable = True
        self._is_stopped = False  # by the budget
        self._is_reading = True

    # ---------------------------------------------------------------- life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)  # tell when it has nothing left
        self.endpoint.budget.join(self)
        if not self.endpoint.admit(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives one
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        if self._next_turn is not None:
            self._next_turn.cancel()
        self._outgoing.clear()
        self._next_frame = None
        self.endpoint.dismiss(self)
        self.endpoint.budget.leave(self, self._held_bytes)
        self._held_bytes = 0

    def close(self) -> None:
        """End it now; what was not sent is not sent."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def descriptor(self) -> int:
        """The socket's, or -1."""
        if self._transport is None:
            return -1
        return int(self._transport.get_extra_info("socket").fileno())

    @property
    def peer(self) -> str:
        """The other side's address, for the log."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return f"{name[0]}:{name[1]}" if name else "?"

    @property
    def client_host(self) -> str:
        """The other side's IP address."""
        return self.peer.rpartition(":")[0]

    @property
    def _is_open(self) -> bool:
        """Whether it is not lost, nor about to be."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def offer(self) -> Offer:
        """The APIs and versions that it is answered."""
        return self._routes.offer

    @property
    def holds_much(self) -> bool:
        """Whether others could need what it holds."""
        return self._held_bytes > _MUCH_BYTES

    @property
    def unsent_copied_bytes(self) -> int:
        """What the transport keeps of an answer: a copy of at most one piece."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def is_waiting_for_itself(self) -> bool:
        """Whether only this side can get it on: there is something to read, or to answer."""
        if self._is_stopped and self._has_unread_bytes():
            return True
        if self._next_turn is not None:
            return True
        return self._request is not None and not self._outgoing

    # ---------------------------------------------------------------- receiving

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._frames.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self._frames.buffer_updated(nbytes)
        self.last_progress = self.endpoint.loop.time()
        self._take(nbytes)
        self._go_on()

    def stop_reading(self) -> None:
        self._is_stopped = True
        self._set_reading()

    def go_on_reading(self) -> None:
        self._is_stopped = False
        self._set_reading()

    def _has_unread_bytes(self) -> bool:
        """Whether the kernel has something of the other side's."""
        unread = bytearray(4)
        fcntl.ioctl(self.descriptor, termios.FIONREAD, unread)
        return any(unread)

    def _take(self, nbytes: int) -> None:
        self._held_bytes += nbytes
        self.endpoint.budget.take(nbytes)

    def _give(self, nbytes: int) -> None:
        self._held_bytes -= nbytes
        self.endpoint.budget.give(self, nbytes)

    def _set_reading(self) -> None:
        """Read unless there is a request that has to wait, or no memory."""
        wanted = self._next_frame is None and not self._is_stopped
        if self._transport is None or wanted == self._is_reading or self._transport.is_closing():
            return
        self._is_reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # ---------------------------------------------------------------- requests

    def _go_on(self) -> None:
        """Answer what is there, until something has to be waited for, or others have their turn."""
        if self._next_turn is not None:
            return
        served = 0
        try:
            while self._is_open:
                if self._next_frame is None:
                    self._next_frame = self._frames.next_frame()
                if self._request is not None or self._next_frame is None or not self._is_writable:
                    break
                if served == _REQUESTS_A_TURN:
                    self._next_turn = self.endpoint.loop.call_soon(self._take_turn)
                    break
                frame, self._next_frame = self._next_frame, None
                self._answer(frame)
                served += 1
        except StreamlogError as error:
            self._refuse(error)
        self._set_reading()

    def _take_turn(self) -> None:
        self._next_turn = None
        self._go_on()

    def _answer(self, frame: memoryview) -> None:
        request = decode_request(frame, self._routes.offer)
        self._request, self._request_bytes = request, len(frame) + 4
        body = self._routes.answer(self, request)
        if inspect.iscoroutine(body):
            self._task = self.endpoint.loop.create_task(self._answer_later(request, body))
            self._task.add_done_callback(partial(self._answering_ended, body))
        else:
            self._send(request, body)

    async def _answer_later(self, request: Request, body: Coroutine[Any, Any, Any]) -> None:
        self._send(request, await body)

    def _answering_ended(self, body: Coroutine[Any, Any, Any], task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None
        if task.cancelled():
            body.close()  # the connection was lost, perhaps before it began
            return
        error = task.exception()
        if error is None:
            self._go_on()
        elif isinstance(error, StreamlogError):
            self._refuse(error)
        else:  # a defect: this connection ends, the others go on
            _logger.error("a request of %s failed", self.peer, exc_info=error)
            self.close()

    def _refuse(self, error: StreamlogError) -> None:
        """What arrived cannot be answered: Kafka closes the connection, and so does this."""
        _logger.info("closing the connection from %s: %s", self.peer, error)
        self.close()

    # ---------------------------------------------------------------- answers

    def _send(self, request: Request, body: Any) -> None:
        if not self._is_open:
            return
        if request.expects_response:
            try:
                buffers = encode_response(request, body)
            except SchemaError:  # a defect of a handler's
                _logger.exception("%s, version %d", request.api.name, request.version)
                self.close()
                return
            self._hand_over(buffers)
        if not self._outgoing:
            self._answered()

    def _hand_over(self, buffers: list[Buffer]) -> None:
        self._outgoing.extend([memoryview(buffer).cast("B") for buffer in buffers])
        self._write()
        if self._outgoing:
            # Slices of a log's map are nobody's memory.
            own = sum(
                len(view) for view in self._outgoing if isinstance(view.obj, (bytes, bytearray))
            )
            self._request_bytes += own
            self._take(own)

    def _write(self) -> None:
        """Give the socket what it takes; the transport waits with one piece of what is left."""
        transport = self._transport
        if transport is None:
            return
        # One that met an error is closing, and warns of what is written to it after that.
        while self._outgoing and self._is_writable and not transport.is_closing():
            if transport.get_write_buffer_size() == 0:
                self._write_at_once()
            if self._outgoing:
                first = self._outgoing[0]
                transport.write(first[:_PIECE_BYTES])
                self._drop(min(len(first), _PIECE_BYTES))

    def _write_at_once(self) -> None:
        """Straight from where the bytes lie. (Under TLS the transport would write all of it.)"""
        try:
            sent = os.writev(self.descriptor, list(islice(self._outgoing, _BUFFERS_A_CALL)))
        except OSError:
            return  # full, or broken: the transport's own write says which
        self._drop(sent)

    def _drop(self, count: int) -> None:
        """`count` bytes of what is outgoing were taken."""
        while count:
            first = self._outgoing.popleft()
            if len(first) > count:
                self._outgoing.appendleft(first[count:])
                return
            count -= len(first)

    def _answered(self) -> None:
        self._request = None
        self._give(self._request_bytes)
        self._request_bytes = 0

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        self.last_progress = self.endpoint.loop.time()
        if self._outgoing:
            self._write()
            if self._outgoing:
                return
            self._answered()
        self._go_on()
