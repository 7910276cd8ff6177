"""A clock that moves when a test says so."""

from __future__ import annotations

from streamlog.clock import Clock


class ManualClock(Clock):
    """Stands still until it is moved. Starts at 2024-01-01 unless told otherwise."""

    __slots__ = ("_monotonic_ms", "_now_ms")

    def __init__(self, now_ms: int = 1_704_067_200_000) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        """The wall clock, in milliseconds since 1970 (UTC)."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds by which the clock was advanced so far."""
        return self._monotonic_ms / 1000

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass, on both clocks."""
        if ms < 0:
            raise ValueError(f"time passes forwards: advance({ms}); use jump() for the wall clock")
        self._now_ms += ms
        self._monotonic_ms += ms

    def jump(self, ms: int) -> None:
        """Set the wall clock forwards or back by `ms`, as a time server does; no time passes."""
        self._now_ms += ms
