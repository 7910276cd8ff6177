"""Appends, reads and ends of several processes could have happened one after another.

The checker first refutes histories that were written to be wrong, and engines that are. Then
some tens of thousands of calls in a plain run, a million in those marked `system`, and by hand:

    STREAMLOG_CALLS=10000000 python -m pytest -m soak tests/multiprocess/test_linearizability.py
"""

from __future__ import annotations

from pathlib import Path

import pytest

import streamlog
from streamlog.testing.histories import (
    APPEND,
    END,
    READ,
    READ_TO_END,
    History,
    NotLinearizableError,
    checksum,
)
from tests.machine.sizes import SEED, size
from tests.multiprocess.nursery import Nursery

#: By role, how many processes there are and which share of the calls each has.
CAST = {"append": (3, 0.18), "read": (2, 0.15), "look": (1, 0.16)}


def history_of(*calls: tuple[int, ...]) -> History:
    history = History()
    for call in calls:
        history.note(*call)
    return history


def read(kind: int, began: int, ended: int, offset: int, numbers: list[int]) -> tuple[int, ...]:
    return kind, began, ended, offset, len(numbers), checksum(numbers)


FIRST = (APPEND, 10, 20, 0, 2, 100)  # the numbers 100 and 101 at the offsets 0 and 1
SECOND = (APPEND, 30, 40, 2, 1, 200)
EMPTY = read(READ_TO_END, 1, 5, 0, [])

GOOD = {
    "nothing": (),
    "one after another": (EMPTY, FIRST, (END, 21, 22, 2), SECOND, (END, 41, 42, 3)),
    "an end while it is appended": (FIRST, (END, 12, 13, 0), (END, 14, 15, 2)),
    "overlapping appends in either order": ((APPEND, 10, 50, 1, 1, 9), (APPEND, 20, 30, 0, 1, 8)),
    "a read across two appends": (FIRST, SECOND, read(READ, 41, 42, 1, [101, 200])),
    "a read that stops early": (FIRST, SECOND, read(READ, 41, 42, 0, [100])),
    "a read that runs into an append": (FIRST, read(READ, 5, 11, 0, [100, 101])),
    "all that was there": (FIRST, read(READ_TO_END, 21, 22, 1, [101]), SECOND),
}

WRONG = {
    "a gap": (FIRST, (APPEND, 30, 40, 3, 1, 200)),
    "an overlap": (FIRST, (APPEND, 30, 40, 1, 1, 200)),
    "no beginning": ((APPEND, 30, 40, 1, 1, 200),),
    "a later append with the smaller offset": (
        (APPEND, 30, 40, 0, 2, 100),
        (APPEND, 1, 9, 2, 1, 5),
    ),
    "a stale end": (FIRST, SECOND, (END, 41, 42, 2)),
    "an end before its append": (FIRST, (END, 5, 9, 2)),
    "an end inside an append": (FIRST, (END, 21, 22, 1)),
    "an end that goes back": (FIRST, (END, 12, 13, 2), (END, 14, 15, 0)),
    "a stale read to the end": (FIRST, SECOND, read(READ_TO_END, 41, 42, 0, [100, 101])),
    "an empty read of what was seen": (FIRST, (END, 11, 12, 2), read(READ_TO_END, 13, 14, 0, [])),
    "a read of what is not there yet": (FIRST, read(READ, 1, 9, 0, [100, 101])),
    "a read of what nobody appended": (FIRST, read(READ, 21, 22, 2, [7])),
    "a read of other values": (FIRST, read(READ, 21, 22, 0, [100, 100])),
    "half a batch as all there is": (FIRST, read(READ_TO_END, 21, 22, 0, [100])),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_may_happen_is_accepted(name: str) -> None:
    history_of(*GOOD[name]).check()


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_happen_is_refuted(name: str) -> None:
    with pytest.raises(NotLinearizableError):
        history_of(*WRONG[name]).check()


def test_histories_are_carried_from_process_to_process() -> None:
    whole = history_of(*GOOD["one after another"])
    other = History()
    other.load(whole.dump())
    assert list(other) == list(whole)
    assert len(other) == 5


def record(nursery: Nursery, folder: Path, calls: int, plant: str = "") -> History:
    """Let the processes of the cast make so many calls on one partition, all at once."""
    path = str(folder / "log")
    with streamlog.open(path) as log:
        log.create_topic("flights", internal_segment_bytes=1 << 20)
    children = []
    for role, (count, share) in CAST.items():
        for _ in range(count):
            number = len(children) + 1
            children.append(
                nursery.start(
                    "record",
                    path=path,
                    process=number,
                    operations=int(calls * share),
                    doing=role,
                    seed=SEED,
                    plant=plant,
                )
            )
    for child in children:
        assert child.answer() == "ready"
    history = History()
    for number, child in enumerate(children, 1):
        assert child.answer(patience_s=3600) == "done"
        assert child.wait() == 0
        recorded = Path(f"{path}.{number}")
        history.load(recorded.read_bytes())
        recorded.unlink()
    return history


@pytest.mark.parametrize("plant", ["stale end", "early end", "no lock"])
def test_a_planted_bug_is_refuted(pure_nursery: Nursery, memory_path: Path, plant: str) -> None:
    with pytest.raises((NotLinearizableError, AssertionError)) as caught:
        record(pure_nursery, memory_path, 6000, plant).check()
    assert "traceback" not in str(caught.value) or plant == "no lock"


def test_many_calls_are_linearizable(nursery: Nursery, memory_path: Path) -> None:
    history = record(nursery, memory_path, 50_000)
    assert len(history) >= 49_000
    history.check()


@pytest.mark.system
def test_a_million_calls_are_linearizable(nursery: Nursery, memory_path: Path) -> None:
    history = record(nursery, memory_path, 1_000_000)
    assert len(history) >= 990_000
    history.check()


@pytest.mark.soak
def test_ten_million_calls_are_linearizable(nursery: Nursery, memory_path: Path) -> None:
    history = record(nursery, memory_path, size("CALLS", 10_000_000))
    print(len(history), "calls")
    history.check()
