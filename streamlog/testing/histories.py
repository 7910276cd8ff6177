"""Whether what several processes saw of one partition could have happened one after another.

Each process notes its calls: when they began and ended, on a clock that all of them share, and what
came of them. Offsets say in which order the appends took place, so nothing has to be searched for.
A history is linearizable when every call can be given an instant between its begin and its end so
that the instants are in the order that the offsets tell. In that order, no call may have ended
before one that stands earlier has begun::

    append 0..4    |--------|
    end is 5                  |---|
    append 5..5                     |--|
    end is 5                                |--|      not linearizable: 6 was there before

Besides, appends leave no gap and do not overlap, ends lie between appends and not inside one, and
what was read is what was appended there. All of it costs a sort: some microseconds a call.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: `count` values were appended from `offset` on. Values are numbers: `first`, `first` + 1, ...
APPEND: Final = 0
#: `count` values were read from `offset` on; `first` is the `checksum` of their numbers. Perhaps
#: there were more of them.
READ: Final = 1
#: As READ, and there were no more.
READ_TO_END: Final = 2
#: The log was said to end at `offset`.
END: Final = 3

_NAMES = ("append", "read", "read to the end", "end")
_FIELDS: Final = 6


class Call(NamedTuple):
    """One call of one process. `began` and `ended` are nanoseconds of one monotonic clock."""

    kind: int
    began: int
    ended: int
    offset: int
    count: int = 0  # type: ignore[assignment]  # hides tuple.count
    first: int = 0

    def __str__(self) -> str:
        what = _NAMES[self.kind]
        end = "" if self.kind == END else f" to {self.offset + self.count - 1}"
        return f"{what} {self.offset}{end} in [{self.began}, {self.ended}]"


class NotLinearizableError(AssertionError):
    """A history that cannot have happened one call after another; the calls that show it."""


def checksum(numbers: Sequence[int]) -> int:
    """What a READ says of the numbers of its values."""
    return zlib.crc32(array("q", numbers).tobytes())


class History:
    """The calls of all processes on one partition, which was empty at the beginning.

    A process notes its calls in a history of its own; `dump` and `load` take them to another.
    """

    def __init__(self) -> None:
        self._rows: array[int] = array("q")

    def __len__(self) -> int:
        return len(self._rows) // _FIELDS

    def note(
        self, kind: int, began: int, ended: int, offset: int, count: int = 0, first: int = 0
    ) -> None:
        """Add a call; see `Call`."""
        self._rows.extend((kind, began, ended, offset, count, first))

    def dump(self) -> bytes:
        """All of it as bytes, for `load` on the same machine."""
        return self._rows.tobytes()

    def load(self, data: bytes) -> None:
        """Add the calls that another process noted."""
        self._rows.frombytes(data)

    def __iter__(self) -> Iterator[Call]:
        return (self.call(at) for at in range(len(self)))

    def check(self) -> None:
        """Raises `NotLinearizableError` naming the calls that contradict each other."""
        _Check(self, self._rows).run()

    def call(self, at: int) -> Call:
        """The call that was noted as the `at`-th, from 0."""
        return Call(*self._rows[at * _FIELDS : (at + 1) * _FIELDS])


class _Check:
    """One check of one history, column by column: calls are numbers into these."""

    def __init__(self, history: History, rows: array[int]) -> None:
        self._call = history.call
        self._kinds, self._begins, self._ended = (rows[field::_FIELDS] for field in range(3))
        self._offsets, counts, self._firsts = (rows[field::_FIELDS] for field in range(3, 6))
        self._ends = array("q", map(add, self._offsets, counts))
        self._appends = [at for at, kind in enumerate(self._kinds) if kind == APPEND]
        self._appends.sort(key=self._offsets.__getitem__)
        self._append_ends = array("q", map(self._ends.__getitem__, self._appends))

    def run(self) -> None:
        self._check_appends()
        told = [at for at, kind in enumerate(self._kinds) if kind in (END, READ_TO_END)]
        self._check_boundaries(told)
        self._check_order(told)
        self._check_reads()

    def _check_appends(self) -> None:
        """They leave no gap and do not overlap."""
        expected, before = 0, None
        for at in self._appends:
            if self._offsets[at] != expected:
                named = () if before is None else (self._call(before),)
                raise _contradiction(f"offset {expected} comes next", self._call(at), *named)
            expected, before = self._ends[at], at

    def _check_boundaries(self, told: list[int]) -> None:
        """An end that was seen is that of an append: appends are seen whole or not at all."""
        possible = {0, *self._append_ends}
        for at in told:
            if self._ends[at] not in possible:
                raise _contradiction("no append ends there", self._call(at))

    def _check_order(self, told: list[int]) -> None:
        """What is told by offsets contradicts no order in time."""
        # An end is told behind the append that made it so, and before the next append; among
        # themselves those that tell the same stand as they began.
        told.sort(key=self._begins.__getitem__)
        told.sort(key=self._ends.__getitem__)
        begins, ended, ends = self._begins, self._ended, self._ends
        earliest, witness = 1 << 62, -1
        for append in [*reversed(self._appends), None]:
            end = -1 if append is None else ends[append]
            while told and ends[told[-1]] >= end:
                at = told.pop()
                if begins[at] > earliest:
                    raise _contradiction("it ended before", self._call(witness), self._call(at))
                if ended[at] < earliest:
                    earliest, witness = ended[at], at
            if append is not None:
                if begins[append] > earliest:
                    named = self._call(append)
                    raise _contradiction("it ended before", self._call(witness), named)
                if ended[append] < earliest:
                    earliest, witness = ended[append], append

    def _check_reads(self) -> None:
        """They return what was appended there, and nothing whose append has not begun."""
        numbers: array[int] = array("q")
        for at, end in zip(self._appends, self._append_ends, strict=True):
            first = self._firsts[at]
            numbers.extend(range(first, first + end - len(numbers)))
        begun = array("q", accumulate((self._begins[at] for at in self._appends), max))
        for at, kind in enumerate(self._kinds):
            if kind not in (READ, READ_TO_END):
                continue
            start, end = self._offsets[at], self._ends[at]
            if end > len(numbers):
                raise _contradiction("nobody appended that", self._call(at))
            if zlib.crc32(numbers[start:end].tobytes()) != self._firsts[at]:
                raise _contradiction("other values were appended there", self._call(at))
            if end > start and begun[bisect_left(self._append_ends, end)] > self._ended[at]:
                raise _contradiction("its append begins later", self._call(at))


def _contradiction(why: str, *calls: Call) -> NotLinearizableError:
    return NotLinearizableError(f"{'; '.join(map(str, calls))}: {why}")
