"""Which segments of a log may go: Kafka's rules (facts 5.1), as a decision that touches nothing.

    (1) log start   a segment that ends at or before the log's start
    (2) size        the oldest, as long as `retention_bytes` remain without it
    (3) time        one whose largest timestamp is more than `retention_ms` ago

Always from the oldest on, one rule after the other, up to the first that a rule keeps. A segment
whose records are not all below the high watermark stays. The active segment is subject to size
and time as all others are; when it goes, a new one is begun first. Kafka leaves it while it is
empty: it begins at the log's end then, and so does the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from streamlog.config import TopicConfig

NO_LIMIT = -1


class SegmentSize(NamedTuple):
    """A segment, in the order of the log: where it begins and how many bytes its `.log` has."""

    base_offset: int
    size: int


class RetentionRules(NamedTuple):
    """How much is kept; -1 is no limit. A negative `retention_bytes` is none as well."""

    retention_ms: int = NO_LIMIT
    retention_bytes: int = NO_LIMIT

    @classmethod
    def of(cls, config: TopicConfig) -> RetentionRules:
        """A topic's: without `delete` in its `cleanup_policy` nothing has a limit."""
        if "delete" not in config.cleanup_policy:
            return cls()
        return cls(config.retention_ms, config.retention_bytes)


def first_kept(
    segments: Sequence[SegmentSize],
    largest_timestamp: Callable[[SegmentSize], int],
    rules: RetentionRules,
    *,
    log_start: int,
    log_end: int,
    high_watermark: int,
    now_ms: int,
) -> int:
    """The base offset of the first segment that stays; `log_end` when every one goes.

    `segments` are all there are, the last one active. `largest_timestamp` is asked about no
    more of them than the decision needs: of the records, or where none has a timestamp when the
    file was last written.
    """
    ends = [*(each.base_offset for each in segments[1:]), log_end]
    committed = [
        segment for segment, end in zip(segments, ends, strict=True) if end <= high_watermark
    ]
    going = sum(end <= log_start for end in ends[:-1])
    going += _over_size(committed[going:], sum(each.size for each in segments[going:]), rules)
    going += _expired(committed[going:], largest_timestamp, rules, now_ms)
    return segments[going].base_offset if going < len(segments) else log_end


def _over_size(segments: Sequence[SegmentSize], total: int, rules: RetentionRules) -> int:
    """How many of the oldest can go so that `retention_bytes` of `total` remain."""
    if rules.retention_bytes < 0:
        return 0
    excess, going = total - rules.retention_bytes, 0
    for segment in segments:
        excess -= segment.size
        if excess < 0:
            break
        going += 1
    return going


def _expired(
    segments: Sequence[SegmentSize],
    largest_timestamp: Callable[[SegmentSize], int],
    rules: RetentionRules,
    now_ms: int,
) -> int:
    """How many of the oldest are older than `retention_ms`."""
    if rules.retention_ms < 0:
        return 0
    going = 0
    for segment in segments:
        if now_ms - largest_timestamp(segment) <= rules.retention_ms:
            break
        going += 1
    return going
