"""The background thread itself: it is woken once, does what is due, and goes back to sleep."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.clients.sender import Sender
from streamlog.clock import SYSTEM_CLOCK
from tests.clients.producer_rig import Rig, open_rig


@pytest.fixture(params=["pure", "compiled"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with open_rig(str(tmp_path / "log"), request.param) as rig:
        rig.engine.create_topic("one")
        rig.clock = SYSTEM_CLOCK  # type: ignore[assignment]  # the thread's time is the machine's
        rig.sender = Sender()
        yield rig


def settled(future: Any) -> bool:
    """Wait, at most half a minute, until the sender has seen to `future`."""
    event = threading.Event()
    future.add_done_callback(lambda _: event.set())
    return event.wait(30)


@pytest.mark.parametrize("acks", [1, "all"])
def test_the_thread_sends_what_lingered_and_syncs_what_nobody_waits_for(
    rig: Rig, acks: Any
) -> None:
    producer = rig.producer(linger_ms=5, acks=acks)
    futures = [producer.send("one", b"a"), producer.send("one", b"b")]
    assert all(settled(future) for future in futures)
    assert rig.values("one") == [b"a", b"b"]


def test_a_producer_without_references_still_sends_what_it_buffered(rig: Rig) -> None:
    producer = rig.producer(linger_ms=20)
    event = threading.Event()
    producer.send("one", b"a").add_done_callback(lambda _: event.set())
    rig._made.clear()
    del producer
    gc.collect()
    assert event.wait(30)
    assert rig.values("one") == [b"a"]


def test_an_idle_producer_is_disarmed_and_armed_again(rig: Rig) -> None:
    disarmed = threading.Event()
    producer = rig.producer(linger_ms=1)
    real_tick = producer.tick

    def tick() -> float | None:
        due = real_tick()
        if due is None:
            disarmed.set()
        return due  # type: ignore[no-any-return]

    producer.tick = tick
    assert settled(producer.send("one", b"a"))
    assert disarmed.wait(30)
    assert settled(producer.send("one", b"b"))
    assert rig.values("one") == [b"a", b"b"]


def test_a_producer_in_trouble_does_not_keep_the_others_from_being_served(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    troubled = rig.producer(linger_ms=1)

    def fail() -> float | None:
        raise OSError("the metadata cannot be read")

    troubled.tick = fail
    troubled.send("one", b"a")
    other = rig.producer(linger_ms=1)
    assert settled(other.send("one", b"b"))
    assert rig.values("one") == [b"b"]
    assert "the metadata cannot be read" in caplog.text
    del troubled.tick


def test_the_thread_comes_to_a_batch_that_the_closing_thread_has_written(tmp_path: Path) -> None:
    log = streamlog.open(tmp_path)
    log.create_topic("one")
    producer = log.producer(linger_ms=60_000, acks=1)
    future = producer.send("one", b"a")
    (queue,) = producer.pending
    queue.seal()  # here it saw it
    log.close()
    producer._metadata_version = -1  # another process created a topic: it would be looked up
    producer._drain_soon(queue)
    assert future.result().offset == 0
