from __future__ import annotations

import time

import pytest

from streamlog.clock import SYSTEM_CLOCK
from streamlog.testing.clock import ManualClock


def test_system_clock_is_the_machines() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= SYSTEM_CLOCK.now_ms() <= time.time_ns() // 1_000_000
    assert SYSTEM_CLOCK.monotonic() <= time.monotonic()


def test_manual_clock_stands_until_it_is_moved() -> None:
    clock = ManualClock(now_ms=1000)
    assert (clock.now_ms(), clock.monotonic()) == (1000, 0.0)
    clock.advance(1500)
    assert (clock.now_ms(), clock.monotonic()) == (2500, 1.5)
    clock.jump(-2000)
    assert (clock.now_ms(), clock.monotonic()) == (500, 1.5)
    with pytest.raises(ValueError, match="time passes forwards"):
        clock.advance(-1)
