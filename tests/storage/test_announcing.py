"""A bell that is announced wakes who sleeps, and ends nobody's wait before it rings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import streamlog
from streamlog.storage.system import COMPILED


@pytest.fixture
def log(tmp_path: Path) -> streamlog.StreamLog:
    return streamlog.open(tmp_path)


def sleeps_of(thread: threading.Thread) -> int:
    """How often the kernel let it sleep so far."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def in_thread(function: Callable[[], object], answers: list[object]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    return thread


@pytest.mark.skipif(not COMPILED, reason="the pure kernel polls: it sleeps without a futex")
def test_who_sleeps_is_woken_and_sleeps_again(log: streamlog.StreamLog) -> None:
    engine, answers = log.engine(), []
    seen = engine.bell()
    waiting = in_thread(lambda: engine.wait(seen, 60), answers)
    before = sleeps_of(waiting)
    announcements = 0
    while sleeps_of(waiting) < before + 1000:  # by itself it looks up twenty times a second
        engine.announce()
        announcements += 1
    assert announcements >= 900
    assert engine.bell() == seen
    assert answers == []
    engine.ring()
    waiting.join()
    assert answers == [True]
    log.close()


def test_nothing_is_lost_by_announcements(log: streamlog.StreamLog) -> None:
    log.create_topic("a")
    engine, answers = log.engine(), []
    with log.consumer("a") as consumer, log.producer(acks=1) as producer:
        for number in range(300):
            waiting = in_thread(lambda: next(consumer).offset, answers)
            for _ in range(number % 5):
                engine.announce()
            producer.send("a", b"x").result()
            waiting.join()
    assert answers == list(range(300))
    log.close()


def test_an_announcement_ends_no_wait(log: streamlog.StreamLog) -> None:
    engine, answers = log.engine(), []
    seen = engine.bell()
    waiting = in_thread(lambda: engine.wait(seen, 0.05), answers)
    while waiting.is_alive():
        engine.announce()
    assert answers == [False]
    log.close()
