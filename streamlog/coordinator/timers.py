"""Timers as data: what has been scheduled, by key, on the monotonic clock.

Scheduling a key that is scheduled already replaces it. Nothing here fires anything: whoever
drives the machine asks for the first timer that is due.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from streamlog.coordinator.timer_events import TimerEvent

_COMPACTION_MIN = 64


class TimerChange(NamedTuple):
    """Schedule `event` for `deadline_ms` of the monotonic clock; None cancels it.

    With `keep` a timer that is scheduled already stays as it is.
    """

    event: TimerEvent
    deadline_ms: int | None
    keep: bool = False


class Timers:
    """The scheduled events. Equal deadlines are due in the order of their scheduling."""

    __slots__ = ("_heap", "_numbers", "_scheduled")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, TimerEvent]] = []
        self._scheduled: dict[tuple[object, ...], tuple[int, int, TimerEvent]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._scheduled)

    def change(self, change: TimerChange) -> None:
        key = change.event.key
        if change.deadline_ms is None:
            self._scheduled.pop(key, None)
        elif not (change.keep and key in self._scheduled):
            entry = (change.deadline_ms, next(self._numbers), change.event)
            self._scheduled[key] = entry
            heappush(self._heap, entry)
        self._drop_replaced()

    def is_scheduled(self, event: TimerEvent) -> bool:
        return event.key in self._scheduled

    def deadline_of(self, event: TimerEvent) -> int | None:
        entry = self._scheduled.get(event.key)
        return None if entry is None else entry[0]

    def next_deadline_ms(self) -> int | None:
        """When the first timer is due; None when nothing is scheduled."""
        return self._heap[0][0] if self._heap else None

    def due(self, monotonic_ms: int) -> TimerEvent | None:
        """The first event whose time has come. It stays scheduled."""
        if self._heap and self._heap[0][0] <= monotonic_ms:
            return self._heap[0][2]
        return None

    def _drop_replaced(self) -> None:
        """Keep a scheduled entry at the top, and the heap no larger than twice what it holds."""
        heap, scheduled = self._heap, self._scheduled
        while heap and scheduled.get(heap[0][2].key) is not heap[0]:
            heappop(heap)
        if len(heap) > _COMPACTION_MIN + 2 * len(scheduled):
            self._heap = sorted(scheduled.values())
