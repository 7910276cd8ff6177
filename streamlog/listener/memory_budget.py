"""What all connections together hold of requests and answers, and who may read on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol


class Holder(Protocol):
    """A connection, as the budget sees it."""

    @property
    def holds_much(self) -> bool:
        """Whether it has more of what is counted than anybody may have."""

    def stop_reading(self) -> None:
        """Leave what arrives to the kernel."""

    def go_on_reading(self) -> None:
        """Receive again."""


class MemoryBudget:
    """Counts bytes; when the limit is reached who holds much stops reading. Used in the loop only.

    Small requests are read whatever others hold. Of those that stop in the middle of a larger one,
    one after the other reads on until its request is complete and answered. What is held is at
    most the limit, one request, and some KiB for each connection. (Kafka's
    `queued.max.request.bytes` lends whole requests, and lets one that lies about its size keep
    others out.)
    """

    def __init__(self, limit: int, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self.limit = limit
        self.used = 0
        self.largest = 0  # that `used` ever was
        self._call_soon = call_soon
        self._is_letting = False
        self._reading: set[Holder] = set()
        self._stopped: OrderedDict[Holder, None] = OrderedDict()
        self._favoured: Holder | None = None

    @property
    def is_spent(self) -> bool:
        """Whether connections have to wait for others."""
        return self.used >= self.limit

    def join(self, holder: Holder) -> None:
        """A new connection, which holds nothing yet."""
        self._reading.add(holder)

    def take(self, count: int) -> None:
        """Somebody received `count` bytes; who holds much is stopped when that was too much."""
        self.used += count
        self.largest = max(self.largest, self.used)
        if self.is_spent:
            # What the loop has seen to be readable is not read any more, either.
            for holder in [each for each in self._reading if each.holds_much]:
                if holder is not self._favoured:
                    self._stop(holder)
            self._favour_next()

    def give(self, holder: Holder, count: int) -> None:
        """`holder` is done with `count` bytes: a request is answered."""
        self.used -= count
        if holder is self._favoured:
            self._favoured = None
        if self._stopped:
            if holder in self._stopped and not holder.holds_much:
                self._go_on(holder)  # its turn would be lost to others: it may have nothing to say
            self._let_go_on()

    def leave(self, holder: Holder, count: int) -> None:
        """`holder` is gone, with what it held."""
        self._stopped.pop(holder, None)
        self._reading.discard(holder)
        self.give(holder, count)

    def _stop(self, holder: Holder) -> None:
        self._reading.discard(holder)
        self._stopped[holder] = None
        holder.stop_reading()

    def _go_on(self, holder: Holder) -> None:
        del self._stopped[holder]
        self._reading.add(holder)
        holder.go_on_reading()

    def _let_go_on(self) -> None:
        """Let one go on, and the next when that one had its turn: all at once would be too much."""
        if not self._stopped or self.is_spent:
            self._favour_next()
        elif not self._is_letting:
            self._is_letting = True
            self._go_on(next(iter(self._stopped)))
            self._call_soon(self._after_a_turn)

    def _after_a_turn(self) -> None:
        self._call_soon(self._let_next)

    def _let_next(self) -> None:
        self._is_letting = False
        self._let_go_on()

    def _favour_next(self) -> None:
        if self.is_spent and self._favoured is None:
            self._favoured = next(iter(self._stopped), None)
            if self._favoured is not None:
                self._go_on(self._favoured)
