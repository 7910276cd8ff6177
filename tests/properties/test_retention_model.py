"""Retention's decision against Kafka's procedure, which deletes from a list, rule after rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.storage.retention import RetentionRules, SegmentSize, first_kept

NOW = 1_000


class Segment(NamedTuple):
    base: int
    size: int
    timestamp: int


class Log(NamedTuple):
    segments: list[Segment]
    start: int
    end: int
    high_watermark: int
    rules: RetentionRules


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Segments of one to five offsets; the active one may be empty."""
    first = draw(st.integers(0, 3))
    base, segments = first, []
    for _ in range(draw(st.integers(0, 6))):
        segments.append(Segment(base, draw(st.integers(1, 9)), draw(st.integers(985, 1005))))
        base += draw(st.integers(1, 5))
    last = draw(st.integers(0, 9))
    segments.append(Segment(base, last, draw(st.integers(985, 1005))))
    end = base + (draw(st.integers(1, 5)) if last else 0)
    start = draw(st.integers(first, end))
    limits = st.sampled_from([-1, 0, 1, 5, 10, 20, 60])
    rules = RetentionRules(draw(limits), draw(limits | st.just(-7)))
    return Log(segments, start, end, draw(st.integers(start, end)), rules)


def kafkas_first_kept(log: Log) -> int:
    """What `UnifiedLog.deleteOldSegments` leaves, step by step."""
    left = list(log.segments)

    def delete_while(condition: Callable[[Segment, Segment | None], bool]) -> None:
        deletable = []
        for number, segment in enumerate(left):
            following = left[number + 1] if number + 1 < len(left) else None
            upper = log.end if following is None else following.base
            is_empty_last = following is None and segment.size == 0
            if log.high_watermark < upper or not condition(segment, following) or is_empty_last:
                break
            deletable.append(segment)
        if len(deletable) == len(left) and left:
            left.append(Segment(log.end, 0, NOW))  # a new active segment comes first
        del left[: len(deletable)]

    delete_while(lambda _, following: following is not None and following.base <= log.start)
    excess = sum(segment.size for segment in left) - log.rules.retention_bytes

    def is_in_excess(segment: Segment, _: Segment | None) -> bool:
        nonlocal excess
        if log.rules.retention_bytes < 0 or excess - segment.size < 0:
            return False
        excess -= segment.size
        return True

    delete_while(is_in_excess)
    delete_while(lambda segment, _: 0 <= log.rules.retention_ms < NOW - segment.timestamp)
    return left[0].base


def decide(log: Log, asked: list[int]) -> int:
    timestamps = {segment.base: segment.timestamp for segment in log.segments}

    def largest_timestamp(segment: SegmentSize) -> int:
        asked.append(segment.base_offset)
        return timestamps[segment.base_offset]

    return first_kept(
        [SegmentSize(segment.base, segment.size) for segment in log.segments],
        largest_timestamp,
        log.rules,
        log_start=log.start,
        log_end=log.end,
        high_watermark=log.high_watermark,
        now_ms=NOW,
    )


@settings(max_examples=2000, deadline=None)
@given(logs())
def test_the_first_segment_kept_is_kafkas(log: Log) -> None:
    asked: list[int] = []
    kept = decide(log, asked)
    assert kept == kafkas_first_kept(log)
    # An index is opened for what goes, and for the first that stays.
    assert asked == sorted(set(asked))
    assert len([base for base in asked if base >= kept]) <= 1


@given(logs())
def test_nothing_goes_unless_a_rule_says_so(log: Log) -> None:
    first = log.segments[0].base
    assert decide(log._replace(rules=RetentionRules(), start=first), []) == first


@given(logs())
def test_what_one_round_leaves_the_next_one_leaves(log: Log) -> None:
    kept = decide(log, [])
    left = [segment for segment in log.segments if segment.base >= kept]
    again = log._replace(segments=left or [Segment(kept, 0, NOW)], start=max(log.start, kept))
    assert decide(again, []) == kept
