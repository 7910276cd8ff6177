"""`Listener`: the socket, the loop in its thread, and what starts and ends them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from streamlog.clients.forking import watch_forks
from streamlog.config.coordinator_settings import CoordinatorConfig
from streamlog.errors import ConfigError, InputOutputError
from streamlog.listener.connection import Connection
from streamlog.listener.endpoint import Endpoint
from streamlog.listener.routing import Routes
from streamlog.listener.watchman import Watchman

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.config.listener_settings import ListenerConfig
    from streamlog.coordinator import GroupSettings

_BACKLOG = 512

_logger = logging.getLogger("streamlog.listener")


class Listener:
    """Kafka's endpoint on an open log: made by `StreamLog.listen()`, closed by `close()`, a `with`
    block or the log's own end.

    Clients connect to `bootstrap_servers`. Everything happens on a thread of its own.
    """

    def __init__(self, engine: Engine, host: str, port: int, config: ListenerConfig) -> None:
        self._socket = _bind(host, port)
        bound = self._socket.getsockname()
        self._address: tuple[str, int] = (bound[0], bound[1])
        self._lock = threading.Lock()
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._endpoint: Endpoint | None = None
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(engine, config), name="streamlog-listener", daemon=True
        )
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            self._socket.close()
            raise self._failure
        watch_forks(self)

    @property
    def address(self) -> tuple[str, int]:
        """The IPv4 address and the port that clients connect to."""
        return self._address

    @property
    def bootstrap_servers(self) -> str:
        """What clients are given as `bootstrap.servers`."""
        return f"{self._address[0]}:{self._address[1]}"

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._is_closed

    @property
    def endpoint(self) -> Endpoint:
        """What its handlers share. For `streamlog`'s own modules and tests."""
        assert self._endpoint is not None
        return self._endpoint

    def __repr__(self) -> str:
        return f"<Listener {self.bootstrap_servers}{' closed' if self._is_closed else ''}>"

    def close(self) -> None:
        """Accept nobody any more, end every connection, and wait for what is being done.

        What was acknowledged is as durable as it was said to be. Does nothing the second time.
        """
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def forked_in_child(self) -> None:
        """The connections are the parent's: their copies must not keep them open."""
        self._is_closed = True
        for descriptor in self._descriptors():
            os.close(descriptor)

    def _descriptors(self) -> list[int]:
        connections = self._endpoint.connections if self._endpoint is not None else ()
        found: list[int] = [connection.descriptor for connection in connections]
        found.append(self._socket.detach())
        return [descriptor for descriptor in found if descriptor >= 0]

    # ---------------------------------------------------------------- the thread

    def _run(self, engine: Engine, config: ListenerConfig) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(engine, config))
        except BaseException as error:
            if self._started.is_set():
                raise
            self._failure = error
        finally:
            self._loop.close()
            self._started.set()

    async def _serve(self, engine: Engine, config: ListenerConfig) -> None:
        endpoint = self._endpoint = Endpoint(engine, config, self._loop)
        endpoint.host, endpoint.port = self._address
        routes = Routes()
        # With TLS its context would be given here, and the connections were none the wiser.
        server = await self._loop.create_server(
            lambda: Connection(endpoint, routes), sock=self._socket, backlog=_BACKLOG
        )
        watchman = Watchman(endpoint)
        watchman.start()
        groups = engine.groups
        groups.take_settings(group_settings(groups.settings(), config))
        endpoint.number = groups.begin_coordinating(self._address)
        self._started.set()
        _logger.info("listening on %s", self.bootstrap_servers)
        try:
            await self._stop.wait()
        finally:
            watchman.stop()
            # Not the server's close() yet: asyncio forgets, open, what it had just accepted.
            self._loop.remove_reader(self._socket)
            endpoint.is_ending = True
            for connection in list(endpoint.connections):
                connection.close()
            await _until_gone(endpoint)
            server.close()
            await asyncio.to_thread(groups.end_coordinating, self._address)
            await asyncio.to_thread(endpoint.close)
            await self._loop.shutdown_default_executor()


async def _until_gone(endpoint: Endpoint) -> None:
    """Let the loop tell the connections that they are closed, and their tasks end."""
    await endpoint.deserted.wait()
    own = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not own]
    await asyncio.gather(*tasks, return_exceptions=True)


def group_settings(before: GroupSettings, config: ListenerConfig) -> GroupSettings:
    """What coordinators go by in a process with such a listener."""
    return replace(
        before, **{name: getattr(config, name) for name in CoordinatorConfig.__struct_fields__}
    )


def _bind(host: str, port: int) -> socket.socket:
    """A listening socket on an IPv4 address: one that clients can be told."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 0xFFFF:
        raise ConfigError(  # the resolver takes 99999, and means 34463
            f"port={port!r} is not allowed: it must be an integer from 0 to 65535",
            name="port",
            value=port,
        )
    if not isinstance(host, str):
        raise ConfigError(
            f"host={host!r} is not allowed: it must be a string", name="host", value=host
        )
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    except (OSError, UnicodeError, OverflowError) as error:
        raise ConfigError(
            f"{host}:{port} is no IPv4 address to listen on: {error}", name="host", value=host
        ) from error
    address = (str(found[0]), int(found[1]))
    if address[0] == "0.0.0.0":
        raise ConfigError(
            "clients are told the address to connect to, which 0.0.0.0 is not: name one",
            name="host",
            value=host,
        )
    # Of what is accepted from it: asyncio sets TCP_NODELAY on a socket that says it is TCP's.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise InputOutputError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror}",
            errno=error.errno,
            path=f"{address[0]}:{address[1]}",
        ) from error
    return bound
