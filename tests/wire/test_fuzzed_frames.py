"""Damaged requests of every API and version to a listener, an honest client beside them.

    STREAMLOG_FUZZED_CONNECTIONS=500 python -m pytest -m soak tests/wire/test_fuzzed_frames.py

makes so many connections for each version; STREAMLOG_SEED makes them others.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterator
from random import Random

import pytest

import streamlog
from streamlog.listener import Listener
from streamlog.protocol.api import apis
from tests.fuzz.requests import EVERY, OFFER, damaged_frames
from tests.machine.sizes import SEED, size
from tests.wire import requests
from tests.wire.connection import Connection
from tests.wire.test_hostile import LIMIT, check_honest

FEW = 30


WRONG_LENGTHS = (-1, 0, 7, 1 << 19, 0x7FFFFFFF)
MAY_WAIT = {"Produce", "Fetch", "JoinGroup", "SyncGroup"}  # or, with acks=0, are not answered
GONE = (errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE)


def send(listener: Listener, pieces: list[bytes], *, is_waited_for: bool) -> bool:
    """On a connection of its own, which is answered or closed. Says whether it was answered."""
    with Connection(listener.bootstrap_servers) as hostile:
        try:
            for piece in pieces:
                hostile.socket.sendall(piece)
            if not is_waited_for:
                hostile.socket.shutdown(socket.SHUT_WR)
            return bool(hostile.socket.recv(1 << 16))
        except OSError as error:
            if error.errno not in GONE:
                raise
            return False  # sent away in the middle


def fuzz(seed: str, key: int, count: int) -> None:
    answered = 0
    with (
        streamlog.open(":memory:") as log,
        log.listen(queued_max_request_bytes=LIMIT, log_retention_ms=-1) as listener,
    ):
        log.create_topic("flights")
        with Connection(listener.bootstrap_servers) as honest:
            for version in (version for api, version in EVERY if api.key == key):
                rng = Random(f"{seed} {apis()[key].name} {version}")
                for frame in damaged_frames(rng, apis()[key], version, count):
                    length = len(frame) if rng.random() < 0.8 else rng.choice(WRONG_LENGTHS)
                    data = length.to_bytes(4, signed=True) + frame
                    at = rng.randrange(len(data)) if rng.random() < 0.3 else len(data)
                    waited_for = length <= len(frame) and apis()[key].name not in MAY_WAIT
                    pieces = [data[:at], data[at:]]
                    answered += send(listener, pieces, is_waited_for=waited_for)
                    honest.ask("Metadata", 12, **requests.metadata("flights"))
        check_honest(listener)
        assert listener.endpoint.budget.largest < LIMIT
    assert listener.endpoint.budget.used == 0
    assert answered > 0 or apis()[key].name in MAY_WAIT


KEYS = pytest.mark.parametrize("key", OFFER, ids=lambda key: apis()[key].name)


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A handler or a thread that fails says so in the log."""
    yield
    said = [each for each in caplog.get_records("call") if each.levelno >= logging.WARNING]
    assert [each.getMessage() for each in said] == []


@KEYS
def test_damaged_requests(key: int) -> None:
    fuzz("few", key, FEW)


@pytest.mark.soak
@KEYS
def test_many_damaged_requests(key: int) -> None:
    fuzz(f"many {SEED}", key, size("FUZZED_CONNECTIONS", 500))
