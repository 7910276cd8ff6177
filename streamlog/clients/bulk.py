"""`send_many`: everything is checked, then written piece by piece, each in one append call.

A piece is about a MiB of values. Its records are encoded into batches of 64 KiB (or `batch_size`,
if that is more): large enough that a batch costs nothing, small enough that a reader decodes it
inside the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from streamlog.clients import arguments
from streamlog.clients.accumulators import (
    PartitionQueue,
    ProducerBatch,
    TopicTarget,
    group_by_partition,
    largest_size,
)
from streamlog.clients.flows import Call, Flow, Pause, call
from streamlog.clients.futures import SendManyFuture
from streamlog.clients.postponed import TopicNotOpen
from streamlog.errors import RecordTooLargeError
from streamlog.record.kernel import encode_many, partition_many
from streamlog.record.layout import HEADER_SIZE, MAX_INT64, MAX_RECORD_OVERHEAD
from streamlog.record.varint import varint_size

if TYPE_CHECKING:
    from streamlog.clients.producer import Producer
    from streamlog.config import ProducerConfig

_BATCH_BYTES = 64 * 1024
_PIECE_BYTES = 1024 * 1024
_FIRST_PIECE_RECORDS = 1024
_MOST_PIECE_RECORDS = 64 * 1024
_SERIALIZED_AT_ONCE = 512


def send_many(
    producer: Producer,
    config: ProducerConfig,
    topic: str,
    values: Iterable[Any],
    keys: Sequence[Any] | None,
    partition: int | None,
    timestamps_ms: Sequence[int | None] | None,
) -> Flow[SendManyFuture]:
    """See `Producer.send_many`."""
    target = yield from producer.target_of(topic)
    now_ms = producer.now_ms()
    if partition is not None and not _is_partition(partition, target):
        yield from call(partial(producer.find_partition, target, partition))
    choose = Chooser(producer, config, target, partition)
    columns = Columns(
        _column(values, "values"),
        None if keys is None else _column(keys, "keys"),
        None if timestamps_ms is None else _column(timestamps_ms, "timestamps_ms"),
    )
    yield from columns.serialize(target.topic, config)
    yield from _check(columns, producer, target, now_ms)
    batches: list[ProducerBatch] = []
    start = 0
    step = _FIRST_PIECE_RECORDS
    while start < len(columns.values):
        piece = columns.slice(start, start + step)
        written = yield from _send_piece(producer, config, choose, piece, now_ms, batches)
        yield Pause()
        start += step
        step = max(1, min(_MOST_PIECE_RECORDS, step * _PIECE_BYTES // max(written, 1)))
    return SendManyFuture(batches)


class Columns:
    """Values with their keys and timestamps, position by position."""

    __slots__ = ("keys", "timestamps", "values")

    def __init__(
        self,
        values: tuple[Any, ...],
        keys: tuple[Any, ...] | None,
        timestamps: tuple[Any, ...] | None,
    ) -> None:
        for name, column in (("keys", keys), ("timestamps_ms", timestamps)):
            if column is not None and len(column) != len(values):
                raise ValueError(f"{len(values)} values but {len(column)} {name}")
        self.values = values
        self.keys = keys
        self.timestamps = timestamps

    def slice(self, start: int, stop: int) -> Columns:
        return Columns(
            self.values[start:stop],
            None if self.keys is None else self.keys[start:stop],
            None if self.timestamps is None else self.timestamps[start:stop],
        )

    def serialize(self, topic: str, config: ProducerConfig) -> Flow[None]:
        """Replace keys and values by their bytes, where there is a serializer."""
        if config.value_serializer is not None:
            self.values = yield from _serialized(
                config.value_serializer, topic, "values", self.values
            )
        if config.key_serializer is not None and self.keys is not None:
            self.keys = yield from _serialized(config.key_serializer, topic, "keys", self.keys)

    def check(self, target: TopicTarget, now_ms: int) -> None:
        """Raise what is wrong with any record, before one is written."""
        largest = largest_size(self.values, "values")
        if self.keys is not None:
            largest += largest_size(self.keys, "keys")
        if HEADER_SIZE + MAX_RECORD_OVERHEAD + largest > target.record_limit:
            self._check_sizes(target)
        if target.requires_key and (self.keys is None or None in self.keys) and self.values:
            arguments.check_key(target)
        if self.timestamps is not None:
            self._check_timestamps(target, now_ms)

    def _check_sizes(self, target: TopicTarget) -> None:
        for index, value in enumerate(self.values):
            key = None if self.keys is None else self.keys[index]
            try:
                arguments.check_record_size(target, 2 + _span_size(key) + _span_size(value))
            except RecordTooLargeError as error:
                error.add_note(f"it is values[{index}]")
                raise

    def _check_timestamps(self, target: TopicTarget, now_ms: int) -> None:
        earliest = 0 if target.append_time else max(0, now_ms - target.before_max_ms)
        latest = MAX_INT64 if target.append_time else now_ms + target.after_max_ms
        for index, timestamp in enumerate(self.timestamps or ()):
            if timestamp is None or (type(timestamp) is int and earliest <= timestamp <= latest):
                continue
            arguments.checked_timestamp(target, timestamp, now_ms, f"timestamps_ms[{index}]")


def _serialized(
    serializer: Callable[[Any], bytes | None], topic: str, name: str, column: tuple[Any, ...]
) -> Flow[tuple[Any, ...]]:
    serialized: list[bytes | None] = []
    for start in range(0, len(column), _SERIALIZED_AT_ONCE):
        serialized += (
            arguments.serialized(serializer, topic, f"{name}[{index}]", value)
            for index, value in enumerate(column[start : start + _SERIALIZED_AT_ONCE], start)
        )
        yield Pause()
    return tuple(serialized)


def _check(columns: Columns, producer: Producer, target: TopicTarget, now_ms: int) -> Flow[None]:
    while True:
        try:
            return columns.check(target, now_ms)
        except TopicNotOpen:  # it may take by now what it seems to refuse
            yield Call(producer.refresh_targets)


def _is_partition(partition: object, target: TopicTarget) -> bool:
    return type(partition) is int and 0 <= partition < len(target.queues)


def _column(values: Iterable[Any], name: str) -> tuple[Any, ...]:
    if isinstance(values, str | bytes | bytearray | memoryview):
        raise TypeError(f"{name} must be an iterable of them, not one {type(values).__name__}")
    try:
        return tuple(values)
    except TypeError as error:
        if hasattr(values, "__iter__"):
            raise  # the iterable itself failed
        raise TypeError(f"{name} must be iterable, not {type(values).__name__}") from error


def _span_size(data: Any) -> int:
    size = 0 if data is None else memoryview(data).nbytes
    return varint_size(size) + size


class Chooser:
    """Which records of a piece go to which partition."""

    __slots__ = ("_partition", "_partitioner", "_producer", "target")

    def __init__(
        self, producer: Producer, config: ProducerConfig, target: TopicTarget, partition: Any
    ) -> None:
        self._producer = producer
        self._partition = partition
        self._partitioner = config.partitioner
        self.target = target

    def assign(self, piece: Columns) -> list[tuple[PartitionQueue, Sequence[int] | None]]:
        """Queues with the positions that are theirs; None is all of them."""
        queues = self.target.queues
        if self._partition is not None:
            return [(queues[self._partition], None)]
        if self._partitioner is None and (len(queues) == 1 or piece.keys is None):
            return [(queues[self._producer.take_sticky(self.target)], None)]
        groups = group_by_partition(self._partitions(piece, len(queues)), len(queues))
        keyless = groups.pop()
        if keyless:  # they join what goes to the sticky partition, in their order
            sticky = self._producer.take_sticky(self.target)
            groups[sticky] = sorted(groups[sticky] + keyless)
        return [(queues[number], indexes) for number, indexes in enumerate(groups) if indexes]

    def _partitions(self, piece: Columns, count: int) -> Sequence[int]:
        """The partition of each record; -1 leaves it to the sticky one."""
        keys = piece.keys or (None,) * len(piece.values)
        if self._partitioner is None:
            return partition_many(keys, count)
        partitions = []
        for key, value in zip(keys, piece.values, strict=True):
            partition = arguments.custom_partition(self._partitioner, self.target, key, value)
            partitions.append(-1 if partition is None else partition)
        return partitions


def _send_piece(
    producer: Producer,
    config: ProducerConfig,
    choose: Chooser,
    piece: Columns,
    now_ms: int,
    batches: list[ProducerBatch],
) -> Flow[int]:
    """Encode and write one piece; the bytes it took."""
    target = choose.target
    limit = target.config.max_batch_bytes
    total = 0
    for queue, indexes in choose.assign(piece):
        wire, parts = encode_many(
            piece.values,
            piece.keys,
            piece.timestamps,
            now_ms,
            indexes=indexes,
            batch_size=min(max(config.batch_size, _BATCH_BYTES), limit),
            codec=target.codec,
            level=target.level,
        )
        total += len(wire)
        runs = _runs(wire, parts, min(_PIECE_BYTES, target.config.segment_bytes))
        batches += yield from producer.append_encoded(queue, runs)
    return total


def _runs(
    wire: bytearray, parts: list[tuple[int, int, int]], limit: int
) -> list[tuple[bytearray, list[int]]]:
    """The encoded batches in runs of at most `limit` bytes: (bytes, record count of each batch)."""
    if len(wire) <= limit:
        return [(wire, [count for _, _, count in parts])]
    runs: list[tuple[bytearray, list[int]]] = []
    start = end = 0
    counts: list[int] = []
    for position, size, count in parts:
        if counts and position + size - start > limit:
            runs.append((wire[start:end], counts))
            start, counts = position, []
        end = position + size
        counts.append(count)
    runs.append((wire[start:end], counts))
    return runs
