"""Keeping work on the disk below a rate (Kafka's `log.cleaner.io.max.bytes.per.second`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamlog.clock import Clock

_CREDIT_S: Final = 0.3  # Kafka looks at the rate over as long


class Throttle:
    """Waits, after each piece of work, for as long as the rate in bytes a second wants it.

    `wait` waits for so many seconds, or until there is no use in it any more. Of time in
    which nothing was done no more than a moment is saved up: the rate holds after a rest, too.
    """

    def __init__(
        self, bytes_per_second: float, clock: Clock, wait: Callable[[float], object]
    ) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._wait = wait
        self._paid_until = -math.inf

    def passed(self, size: int) -> None:
        """So many bytes were read and written just now."""
        if math.isinf(self._rate):
            return
        now = self._clock.monotonic()
        self._paid_until = max(self._paid_until, now - _CREDIT_S) + size / self._rate
        if self._paid_until > now:
            self._wait(self._paid_until - now)
