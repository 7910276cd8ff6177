"""Who sends much, or takes no answers, or goes away, costs the others a few requests' time.

Nothing is timed: what is counted is which connection's requests were served, in their order.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event
from typing import Any

import pytest

import streamlog.listener.connection as served
from streamlog.listener import Listener
from streamlog.listener.routing import Routes
from tests.wire.connection import TIMEOUT_S, Connection

HOSTILE = 5
PIPELINED = 500
API_VERSIONS = bytes.fromhex("0000000b 0012 0000 00000001 0001 61")


class Service:
    """The connections whose requests were served, by their ports, in that order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ports: list[int] = []
        self.unsent_bytes: list[int] = []  # what the connection still had to take, each time
        answer = Routes.answer

        def note(routes: Routes, connection: Any, request: Any) -> Any:
            self.ports.append(int(connection.peer.rpartition(":")[2]))
            self.unsent_bytes.append(connection.unsent_copied_bytes)
            return answer(routes, connection, request)

        monkeypatch.setattr(Routes, "answer", note)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


@contextmanager
def standing_still(listener: Listener) -> Iterator[None]:
    """The listener's loop does nothing meanwhile: all that is sent is there when it goes on."""
    reached, over = Event(), Event()

    def wait() -> None:
        reached.set()
        assert over.wait(TIMEOUT_S)

    listener.endpoint.loop.call_soon_threadsafe(wait)
    assert reached.wait(TIMEOUT_S)
    try:
        yield
    finally:
        over.set()


def accepted(stack: ExitStack, listener: Listener) -> Connection:
    """A connection that was answered once."""
    connection = stack.enter_context(Connection(listener.bootstrap_servers))
    connection.ask("ApiVersions", 0)
    return connection


def port(connection: Connection) -> int:
    return int(connection.socket.getsockname()[1])


def most_served_before_an_honest_client(listener: Listener, service: Service) -> int:
    """Of one connection among those that have sent hundreds of requests."""
    with ExitStack() as stack:
        hostile = [accepted(stack, listener) for _ in range(HOSTILE)]
        honest = accepted(stack, listener)
        service.ports.clear()
        with standing_still(listener):
            for connection in hostile:
                connection.socket.sendall(API_VERSIONS * PIPELINED)
            honest.send("ApiVersions", 0)
        honest.receive()
        before = service.ports[: service.ports.index(port(honest))]
        return max(before.count(port(connection)) for connection in hostile)


def test_who_pipelines_lets_others_come_in_between(listener: Listener, service: Service) -> None:
    # Twice: it may have been seen to be readable a turn of the loop later than they were.
    assert most_served_before_an_honest_client(listener, service) <= 2 * served._REQUESTS_A_TURN


def test_one_that_serves_all_that_was_received_would_be_noticed(
    listener: Listener, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = 2 * served._REQUESTS_A_TURN
    monkeypatch.setattr(served, "_REQUESTS_A_TURN", PIPELINED)
    assert most_served_before_an_honest_client(listener, service) > few


def test_all_that_was_pipelined_is_answered_in_its_order(listener: Listener) -> None:
    with Connection(listener.bootstrap_servers) as connection:
        for _ in range(PIPELINED):
            connection.send("ApiVersions", 0)
        connection.socket.shutdown(socket.SHUT_WR)
        for _ in range(PIPELINED):
            assert connection.receive().body.error_code == 0


def test_who_takes_no_answers_is_not_served(listener: Listener, service: Service) -> None:
    with ExitStack() as stack:
        hostile, honest = accepted(stack, listener), accepted(stack, listener)
        hostile.socket.setblocking(False)
        (unread,) = [
            each
            for each in listener.endpoint.connections
            if each.peer == f"127.0.0.1:{port(hostile)}"
        ]
        while unread.unsent_copied_bytes == 0:
            with suppress(BlockingIOError):
                hostile.socket.send(API_VERSIONS * PIPELINED)
            honest.ask("ApiVersions", 0)
        for _ in range(10):
            with suppress(BlockingIOError):
                hostile.socket.send(API_VERSIONS * PIPELINED)
            honest.ask("ApiVersions", 0)
    assert set(service.unsent_bytes) == {0}


def test_to_who_went_away_nothing_is_written(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio warns of each write behind the one that failed."""
    monkeypatch.setattr(served, "_REQUESTS_A_TURN", PIPELINED)
    with ExitStack() as stack, caplog.at_level(logging.WARNING, "asyncio"):
        gone, honest = accepted(stack, listener), accepted(stack, listener)
        with standing_still(listener):
            gone.socket.sendall(API_VERSIONS * PIPELINED)
            gone.close()
        while len(listener.endpoint.connections) > 1:
            honest.ask("ApiVersions", 0)
    assert caplog.records == []
