"""Fetches that wait for data: no thread and no timer thread for any of them."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamlog.listener.bell_watch import BellWatch

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.storage.partition_log import PartitionLog


class _Waiting:
    """One fetch: it is woken when one of its logs ends behind what it saw, or topics changed."""

    __slots__ = ("_metadata_end", "_positions", "_slots", "future")

    def __init__(
        self, logs: Sequence[PartitionLog], ends: Sequence[int], metadata_end: int
    ) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slots = array("q", [log.slot for log in logs])
        self._positions = array("q", ends)
        self._metadata_end = metadata_end

    def is_over(self, engine: Engine) -> bool:
        return (
            engine.find_ready(self._slots, self._positions, 0) >= 0
            or engine.metadata_end() != self._metadata_end
        )


class LongPolls:
    """The fetches of a loop that wait. Used in the loop only."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._waiting: set[_Waiting] = set()
        self._is_armed = False
        self._is_closed = False
        self._watch = BellWatch(engine, self._rung)

    def __len__(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    async def wait(
        self,
        logs: Sequence[PartitionLog],
        ends: Sequence[int],
        metadata_end: int,
        bell: int,
        deadline: float,
    ) -> bool:
        """Wait until a log ends behind its end of `ends`, or topics changed; False: time is up.

        `bell` and `metadata_end` were read before the logs were looked at; `deadline` is the
        loop's time.
        """
        waiting = _Waiting(logs, ends, metadata_end)
        timer = self._loop.call_at(deadline, _finish, waiting.future)
        self._waiting.add(waiting)
        try:
            if not self._is_armed:
                self._is_armed = True
                self._watch.arm(bell)
            await waiting.future
        finally:
            self._waiting.discard(waiting)
            timer.cancel()
        return self._loop.time() < deadline

    def close(self) -> None:
        """End the thread below; who waits is told by the clock or cancelled."""
        self._is_closed = True
        self._watch.close()

    def _rung(self) -> None:
        """On the bell's thread."""
        if not self._is_closed:
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        bell = self._engine.bell()
        self._is_armed = False
        still = False
        for waiting in self._waiting:
            if waiting.is_over(self._engine):
                _finish(waiting.future)
            else:
                still = True
        if still and not self._is_closed:
            self._is_armed = True
            self._watch.arm(bell)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
