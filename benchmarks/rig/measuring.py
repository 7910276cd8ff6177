"""Contenders take turns; what counts is the ratio within each turn, and of those the median."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """One timed run. `checksum` is that of the values as they were found at the other end."""

    seconds: float
    records: int
    checksum: int

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds


class Contest:
    """The rates of each contender, turn by turn."""

    def __init__(self, rates: Mapping[str, Sequence[float]]) -> None:
        self.rates = rates

    def rate(self, name: str) -> float:
        """The median rate of a contender, in records a second."""
        return statistics.median(self.rates[name])

    def ratios(self, name: str, other: str) -> list[float]:
        """How many times as fast as `other` it was, in each turn."""
        return [a / b for a, b in zip(self.rates[name], self.rates[other], strict=True)]

    def ratio(self, name: str, other: str) -> float:
        """How many times as fast as `other` it is: the median over all turns."""
        return statistics.median(self.ratios(name, other))


def hold_contest(contenders: Mapping[str, Callable[[], Run]], repetitions: int) -> Contest:
    """Let everybody run in turn, `repetitions` times after one turn that does not count.

    The order is reversed in every other turn. Raises `AssertionError` when two contenders of a
    turn did not handle the same number of records with the same checksum.
    """
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repetitions + 1):
        names = list(contenders)[:: -1 if turn % 2 else 1]
        runs = {name: _run(contenders[name]) for name in names}
        outcomes = {(run.records, run.checksum) for run in runs.values()}
        assert len(outcomes) == 1, f"not the same records: {runs}"
        if turn:
            for name, run in runs.items():
                rates[name].append(run.rate)
    return Contest(rates)


def repeat(measure: Callable[[], float], repetitions: int) -> float:
    """The median of `measure()`, after one call that does not count."""
    measure()
    return statistics.median(measure() for _ in range(repetitions))


def percentile(samples: Sequence[float], fraction: float) -> float:
    """The value that `fraction` of all samples do not exceed."""
    ordered = sorted(samples)
    return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)]


def _run(contender: Callable[[], Run]) -> Run:
    gc.collect()
    return contender()
