"""What all connections together hold of requests and answers, and who may read on."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol


class Holder(Protocol):
    """A connection, as the budget sees it."""

    def stop_reading(self) -> None:
        """Leave what arrives to the kernel."""

    def go_on_reading(self) -> None:
        """Receive again."""


class MemoryBudget:
    """Counts bytes; while the limit is reached connections stop reading. Used in the loop only.

    All of them may stop in the middle of a request: so the one that has waited longest reads on
    until its request is complete and answered, and then the next. What is held is at most the
    limit and one request. (Kafka's `queued.max.request.bytes` lends whole requests, and lets one
    that lies about its size keep others out.)
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.largest = 0  # that `used` ever was
        self._stopped: OrderedDict[Holder, None] = OrderedDict()
        self._favoured: Holder | None = None

    @property
    def is_spent(self) -> bool:
        """Whether connections have to wait for others."""
        return self.used >= self.limit

    def take(self, holder: Holder, count: int) -> None:
        """`holder` received `count` bytes; it is stopped when that was too much."""
        self.used += count
        self.largest = max(self.largest, self.used)
        if self.is_spent and holder is not self._favoured and holder not in self._stopped:
            self._stopped[holder] = None
            holder.stop_reading()
            self._favour_next()

    def give(self, holder: Holder, count: int) -> None:
        """`holder` is done with `count` bytes: a request is answered."""
        self.used -= count
        if holder is self._favoured:
            self._favoured = None
        self._let_go_on()

    def forget(self, holder: Holder, count: int) -> None:
        """`holder` is gone, with what it held."""
        self._stopped.pop(holder, None)
        self.give(holder, count)

    def _let_go_on(self) -> None:
        while self._stopped and not self.is_spent:
            holder, _ = self._stopped.popitem(last=False)
            holder.go_on_reading()
        self._favour_next()

    def _favour_next(self) -> None:
        if self.is_spent and self._favoured is None and self._stopped:
            self._favoured, _ = self._stopped.popitem(last=False)
            self._favoured.go_on_reading()
