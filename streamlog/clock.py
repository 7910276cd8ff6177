"""The door to time: whoever needs a clock is given one, and only this module reads the machine's.

Timestamps of records come from the wall clock, which may jump either way; timeouts and ages are
measured on the monotonic one, which may not. `streamlog.testing.clock.ManualClock` replaces both
in a test.
"""

from __future__ import annotations

import time


class Clock:
    """The clocks of this machine."""

    __slots__ = ()

    def now_ms(self) -> int:
        """The wall clock, in integer milliseconds since 1970 (UTC)."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back, and is the same in all processes."""
        return time.monotonic()


SYSTEM_CLOCK = Clock()
