"""`StreamLog.read()`: the records that are there when it is called, and then it ends."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from streamlog.clients.fetch import Deserializer, Fetch
from streamlog.clients.flows import Flow, call, run
from streamlog.clients.record_streams import RecordStream
from streamlog.clients.subscription import checked_partition, partitions_of
from streamlog.errors import (
    ConfigError,
    LogTruncatedError,
    OffsetOutOfRangeError,
)
from streamlog.types import TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.record.kernel import Record
    from streamlog.storage.fetched import FetchCursor, Fetched
    from streamlog.storage.partition_log import PartitionLog

_FETCH_BYTES = 1 << 20


def read(
    engine: Engine,
    topic: str,
    partition: int | None,
    *,
    start: int,
    end: int | None,
    start_time_ms: int | None,
    end_time_ms: int | None,
    key_deserializer: Deserializer | None,
    value_deserializer: Deserializer | None,
) -> Iterator[Record]:
    """See `StreamLog.read()`."""
    source = open_ranges(
        engine,
        topic,
        partition,
        start=start,
        end=end,
        start_time_ms=start_time_ms,
        end_time_ms=end_time_ms,
    )
    return RecordStream(
        source, key_deserializer=key_deserializer, value_deserializer=value_deserializer
    )


def open_ranges(
    engine: Engine,
    topic: str,
    partition: int | None,
    *,
    start: int,
    end: int | None,
    start_time_ms: int | None,
    end_time_ms: int | None,
) -> RangeSource:
    """What `StreamLog.read()` reads, resolved now."""
    for name, value in (("start", start), ("end", end), ("start_time_ms", start_time_ms),
                        ("end_time_ms", end_time_ms)):  # fmt: skip
        _check_number(name, value)
    _check_number("partition", partition)
    if start and start_time_ms is not None:
        raise ConfigError("read() takes either start or start_time_ms")
    if end is not None and end_time_ms is not None:
        raise ConfigError("read() takes either end or end_time_ms")
    if partition is None:
        partitions = partitions_of(engine.topic(topic))
    else:
        partitions = [checked_partition(TopicPartition(topic, partition), engine.topic)]
    ranges = []
    for each in partitions:
        log = engine.partition(*each)
        first = _first_offset(log, start, start_time_ms)
        ranges.append((each, first, _end_offset(log, end, end_time_ms)))
    return RangeSource(engine, ranges)


class RangeSource:
    """Hands out the ranges one after the other, about a MiB at a time."""

    __slots__ = ("_cursor", "_engine", "_reading", "_waiting")

    def __init__(self, engine: Engine, ranges: list[tuple[TopicPartition, int, int]]) -> None:
        self._engine = engine
        self._waiting = ranges[::-1]
        self._reading = False
        self._cursor: FetchCursor | None = None

    def next_fetch(self, reached: int) -> Fetch | None:
        """The rest of the range that is being read, or the next one; None behind the last."""
        return run(self.following(reached), self._engine)

    def following(self, reached: int) -> Flow[Fetch | None]:
        """The flow of `next_fetch`."""
        while self._waiting:
            partition, start, end = self._waiting[-1]
            position = reached if self._reading else start
            if position < end:
                fetched: Fetched = yield from call(partial(self._fetch, partition, position))
                if len(fetched.view):
                    self._reading, self._cursor = True, fetched.cursor
                    return Fetch(
                        fetched.view, *partition, position, end, fetched.file, fetched.position
                    )
            self._waiting.pop()
            self._reading, self._cursor = False, None
        return None

    def _fetch(self, partition: TopicPartition, position: int) -> Fetched:
        log = self._engine.partition(partition.topic, partition.partition)
        return log.fetch(position, _FETCH_BYTES, self._cursor)


def _first_offset(log: PartitionLog, start: int, start_time_ms: int | None) -> int:
    if start_time_ms is not None:
        found = log.offset_for_time(start_time_ms)
        return log.high_watermark if found is None else found[0]
    log_start, log_end = log.log_start, log.high_watermark
    if start == 0:
        return log_start
    named = f"{log.topic}-{log.partition}: start={start}"
    context = {"topic": log.topic, "partition": log.partition, "offset": start}
    if start > log_end:
        raise LogTruncatedError(
            f"{named} is behind the end of the log, which is {log_end}", log_end=log_end, **context
        )
    if start < log_start:
        raise OffsetOutOfRangeError(
            f"{named} is no longer there: the log starts at {log_start}; start=0 reads what is",
            log_start=log_start,
            log_end=log_end,
            **context,
        )
    return start


def _end_offset(log: PartitionLog, end: int | None, end_time_ms: int | None) -> int:
    last = log.high_watermark
    if end_time_ms is not None:
        found = log.offset_for_time(end_time_ms)
        return last if found is None else min(found[0], last)
    return last if end is None else min(end, last)


def _check_number(name: str, value: object) -> None:
    if value is None and name != "start":
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{name} is an integer from 0 up, not {value!r}", name=name, value=value)
