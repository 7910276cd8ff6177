"""Index searches against a list; Kafka's bytes; what start-up refuses."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.storage.indexes import (
    OFFSET_ENTRY,
    TIME_ENTRY,
    OffsetIndex,
    TimeIndex,
    index_problem,
)


def test_the_entries_are_kafkas():
    offsets = OffsetIndex(bytes.fromhex("000001f400002000"), 8, 1000)
    assert offsets.entry(0) == (1500, 8192)
    times = TimeIndex(bytes.fromhex("0000018bcfe56800000001f4"), 12, 1000)
    assert times.entry(0) == (1700000000000, 1500)


# More entries than the warm region holds, so that both halves of the search are met.
@pytest.mark.parametrize("count", [0, 1, 2, 3, 1024, 1025, 1026, 3000])
@given(data=st.data())
def test_searches_agree_with_a_list(count, data):
    steps = [3 + (n * 7) % 5 for n in range(count)]
    offsets = [sum(steps[: n + 1]) for n in range(count)] if count < 10 else _running(steps)
    raw = b"".join(OFFSET_ENTRY.pack(offset, 100 * n) for n, offset in enumerate(offsets))
    index = OffsetIndex(raw + b"unpublished", len(raw), 50)
    target = data.draw(st.integers(-5, (offsets[-1] if offsets else 0) + 5))
    assert index.find(50 + target) == bisect_right(offsets, target) - 1
    position = data.draw(st.integers(-1, 100 * count))
    assert index.find_position(position) == bisect_right(range(0, 100 * count, 100), position) - 1
    raw = b"".join(TIME_ENTRY.pack(offset * 10, n) for n, offset in enumerate(offsets))
    times = TimeIndex(raw, len(raw), 0)
    assert times.find(target * 10) == bisect_right(offsets, target) - 1


def _running(steps):
    total, found = 0, []
    for step in steps:
        total += step
        found.append(total)
    return found


@pytest.mark.parametrize(
    ("is_time", "data", "problem"),
    [
        (False, b"", None),
        (False, OFFSET_ENTRY.pack(5, 100), None),
        (False, b"1234567", "multiple"),
        (False, OFFSET_ENTRY.pack(-1, 100), "below the segment's base"),
        (True, TIME_ENTRY.pack(9, 1) + TIME_ENTRY.pack(8, 2), "below its first"),
        (True, TIME_ENTRY.pack(9, 1) + TIME_ENTRY.pack(9, 2), None),
        (True, b"12345678", "multiple"),
    ],
)
def test_what_start_up_refuses(is_time, data, problem):
    found = index_problem(is_time, data, len(data), 0)
    assert (found is None) == (problem is None)
    assert problem is None or (found is not None and problem in found)
