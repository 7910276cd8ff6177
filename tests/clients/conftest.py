"""A log in RAM with topics to read, written batch by batch so that every boundary is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import streamlog
from streamlog.broker import registry
from streamlog.clients.asynchronous.workers import Workers
from streamlog.record.kernel import RecordBatchBuilder
from tests.clients.skins import SKINS, LoopThread, open_with

NOON_MS = 1_700_000_000_000


class Story:
    """The verbs of the reading tests."""

    def __init__(self, log: Any) -> None:
        self.log = log  # a `StreamLog`, or an `AsyncStreamLog` that is driven

    def write(
        self, topic: str, partition: int, *values: bytes | None, timestamp_ms: int = NOON_MS
    ) -> int:
        """Append one batch of records a millisecond apart; the log's end."""
        builder = RecordBatchBuilder()
        for index, value in enumerate(values):
            builder.append(timestamp_ms + index, b"key", value, ())
        log = self.log.engine().partition(topic, partition)
        outcome = log.append(builder.build(), now_ms=timestamp_ms)
        assert outcome is not None
        return outcome.log_end

    def damage(self, topic: str, partition: int) -> None:
        """Flip a bit in the last byte of a partition's only segment."""
        path = f"{self.log.path}/{topic}-{partition}/{0:020}.log"
        with open(path, "r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)[0]
            file.seek(-1, 2)
            file.write(bytes([last ^ 1]))


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    """The event loop that drives asynchronous clients in synchronous tests."""
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(params=SKINS)
def open_log(request: pytest.FixtureRequest, loop_thread: LoopThread) -> Callable[..., Any]:
    """`streamlog.open`, or `open_async` driven in its manner."""
    return open_with(request.param, loop_thread)


@pytest.fixture
def story(open_log: Callable[..., Any]) -> Iterator[Story]:
    """Topics "orders" (2 partitions) and "flights" (1) in a new log, with either skin."""
    with open_log(":memory:") as log:
        log.create_topic("orders", partitions=2)
        log.create_topic("flights")
        yield Story(log)


@pytest.fixture
def blocking_story() -> Iterator[Story]:
    """The same with the synchronous clients: what only they have, or what strikes a thread."""
    with streamlog.open(":memory:") as log:
        log.create_topic("orders", partitions=2)
        log.create_topic("flights")
        yield Story(log)


@pytest.fixture
def workers_take_a_turn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that a worker does is so fast that it cannot be cancelled. Nothing stays open."""
    outcome = Workers.outcome

    async def later(job: Any) -> Any:
        await asyncio.sleep(0)
        return await outcome(job)

    monkeypatch.setattr(Workers, "outcome", staticmethod(later))
    yield
    assert not registry._registry.engines()
