"""When something is due that one process does for all: by when anybody did it last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlog.clock import Clock
    from streamlog.storage.slots import SharedState


class SharedTimer:
    """A word of the shared header, with the monotonic clock in ms; 0 for never.

    The clock is the same in all processes of one boot. A time that it has not reached yet is of
    another one, and long ago.
    """

    def __init__(
        self, slots: SharedState, word: int, interval_ms: Callable[[], int], clock: Clock
    ) -> None:
        self._slots = slots
        self._word = word
        self._interval_ms = interval_ms
        self._clock = clock

    @property
    def seconds_left(self) -> float:
        """How long until it is due; 0 when it is."""
        done, now = int(self._slots.map.words[self._word]), self._now_ms()
        if done == 0 or done > now:
            return 0.0
        return max(done + self._interval_ms() - now, 0) / 1000

    def restart(self) -> None:
        """It was done just now."""
        self._slots.map.words[self._word] = max(self._now_ms(), 1)

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)
