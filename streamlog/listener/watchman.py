"""Sends away connections that do nothing: all of them in one look, every now and then."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.listener.endpoint import Endpoint

_LOOK_SECONDS = 1.0
_LOOK_SECONDS_WHEN_SPENT = 0.1
#: How long a connection may hold memory that others wait for, without getting on.
_STALLED_SECONDS = 0.5

_logger = logging.getLogger("streamlog.listener")


class Watchman:
    """Looks at every connection once a second, and more often where the idle time is shorter.

    A connection is idle when the other side neither sent nor took anything for
    `connections.max.idle.ms`; while it waits for an answer of ours it is not. One that holds a
    part of a request, or an answer, while the memory is spent has half a second to get on.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        idle_ms = endpoint.config.connections_max_idle_ms
        self._idle_seconds = idle_ms / 1000 if idle_ms >= 0 else float("inf")
        self._pause = min(_LOOK_SECONDS, max(self._idle_seconds / 2, 0.01))
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on."""
        spent = self._endpoint.budget.is_spent
        pause = min(self._pause, _LOOK_SECONDS_WHEN_SPENT) if spent else self._pause
        self._timer = self._endpoint.loop.call_later(pause, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._endpoint.loop.time()
        for connection in list(self._endpoint.connections):
            reason = self._reason_to_close(connection, now)
            if reason is not None:
                _logger.info("closing the connection from %s: %s", connection.peer, reason)
                connection.close()
        self.start()

    def _reason_to_close(self, connection: Connection, now: float) -> str | None:
        since = now - connection.last_progress
        if connection.is_waiting_for_itself:
            return None
        if since >= self._idle_seconds:
            return "idle for connections.max.idle.ms"
        spent = self._endpoint.budget.is_spent
        if spent and connection.holds_much and since >= _STALLED_SECONDS:
            return "it holds memory that others wait for"
        return None
