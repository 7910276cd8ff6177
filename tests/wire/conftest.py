"""A log with a listener, and each of the clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import streamlog
from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from tests.wire.clients import CLIENTS, Client
from tests.wire.connection import Connection


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """kafka-python reads its definitions in a way that Python 3.11 deprecates."""
    ignored = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")
    for item in items:
        if "tests/wire/" in item.path.as_posix():
            item.add_marker(ignored)


@pytest.fixture
def log() -> Iterator[StreamLog]:
    with streamlog.open(":memory:") as log:
        yield log


@pytest.fixture
def listener(log: StreamLog) -> Iterator[Listener]:
    """Topics made through it keep their records, whose timestamps are of years ago."""
    with log.listen(log_retention_ms=-1) as listener:
        yield listener


@pytest.fixture(params=CLIENTS, ids=lambda kind: kind.name)
def client(request: pytest.FixtureRequest, listener: Listener) -> Client:
    """One of Kafka's clients; a test with it runs once for each."""
    kind: type[Client] = request.param
    return kind(listener.bootstrap_servers)


@pytest.fixture
def connection(listener: Listener) -> Iterator[Connection]:
    """A connection that sends any message in any version."""
    with Connection(listener.bootstrap_servers) as connection:
        yield connection
