"""Keeping work on the disk below a rate (Kafka's `log.cleaner.io.max.bytes.per.second`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamlog.clock import Clock

_CREDIT_S: Final = 0.3  # Kafka looks at the rate over as long
_LOOK_S: Final = 1.0  # a wait can be one of days: by then the rate may be another one


class Throttle:
    """Waits, after each piece of work, for as long as the rate in bytes a second wants it.

    `wait` waits for so many seconds; true ends it, when there is no use in waiting any more. Of
    time in which nothing was done no more than a moment is saved up: the rate holds after a rest,
    too. When it changes, what the one before still wanted is forgotten.
    """

    def __init__(
        self,
        bytes_per_second: Callable[[], float],
        clock: Clock,
        wait: Callable[[float], bool | None],
    ) -> None:
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._wait = wait
        self._rate = math.inf
        self._paid_until = -math.inf

    def passed(self, size: int) -> None:
        """So many bytes were read and written just now."""
        rate = self._bytes_per_second()
        if rate != self._rate:
            self._rate, self._paid_until = rate, -math.inf
        if math.isinf(rate):
            return
        now = self._clock.monotonic()
        self._paid_until = max(self._paid_until, now - _CREDIT_S) + size / rate
        while (left := self._paid_until - self._clock.monotonic()) > 0:
            if self._wait(min(left, _LOOK_S)) or self._bytes_per_second() != rate:
                return
