"""A batch of records on their way, and what a caller holds of it: `RecordFuture`.

The compiled twin is `_batch.pxi`, a part of `_accumulator.pyx`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.clients import delivery
from streamlog.clients.batch_state import DONE, SEALED
from streamlog.record import encode
from streamlog.record.byteslike import EncodedHeaders
from streamlog.record.layout import HEADER_SIZE

if TYPE_CHECKING:
    from streamlog.clients.accumulator import PartitionQueue
    from streamlog.types import Durability, RecordMetadata


class Entry(NamedTuple):
    """A record as it waits in an open batch. `fixed`: its size without length and deltas."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: EncodedHeaders
    fixed: int


class RecordFuture:
    """The outcome of one `send()`: `result()` waits for it, and so does `await`."""

    __slots__ = ("_batch", "_index", "_observed", "_timestamp")

    def __init__(self, batch: ProducerBatch, index: int, timestamp: int) -> None:
        self._batch = batch
        self._index = index
        self._timestamp = timestamp
        self._observed = False

    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._batch.queue.acks == 0 or self._batch.state >= DONE

    def result(self, timeout: float | None = None) -> RecordMetadata:
        """The `RecordMetadata`, once the record is as durable as `acks` asks.

        Sends the record's batch at once, linger or not. `timeout` (seconds) bounds the wait for
        other threads; a write or sync that has begun is not cut short. Raises what made the
        send fail, `TimeoutError`, or `ForkedHandleError` in a forked child.
        """
        delivery.complete(self, self._batch, timeout)
        return delivery.record_metadata(self._batch, self._index, self._timestamp)

    def exception(self, timeout: float | None = None) -> Exception | None:
        """The error that made the send fail, or None; waits like `result`."""
        return delivery.exception_of(self, self._batch, timeout)

    def add_done_callback(self, callback: Callable[[RecordFuture], object]) -> None:
        """Call `callback(future)` when the outcome is known, from whichever thread knows it."""
        delivery.add_callback(self, self._batch, callback)

    def observe(self) -> None:
        """Note that somebody has seen this outcome; `flush()` need not raise it."""
        if not self._observed:
            self._observed = True
            self._batch.observed += 1

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        return delivery.wait_async(self, self._batch)

    def __repr__(self) -> str:
        return delivery.describe(self._batch, self._index)


class ProducerBatch:
    """What one append writes: the open batch of a partition, or an encoded run of `send_many`."""

    __slots__ = (
        "_encoded_count", "append_time_ms", "base_offset", "callbacks", "capacity", "created_s",
        "durability", "entries", "error", "limit", "observed", "parts", "queue", "size", "state",
        "wire",
    )  # fmt: skip

    def __init__(
        self,
        queue: PartitionQueue,
        wire: bytearray | None,
        parts: list[int] | None,
        count: int,
        created_s: float,
    ) -> None:
        self.queue = queue
        self.wire = wire
        self.parts = parts
        self._encoded_count = count
        self.created_s = created_s
        self.state = SEALED
        self.base_offset = self.append_time_ms = -1
        self.observed = self.capacity = self.limit = 0
        self.size = HEADER_SIZE
        self.durability: Durability = "buffered"
        self.error: Exception | None = None
        self.callbacks: deque[tuple[Callable[[Any], object], Any]] | None = None
        self.entries: list[Entry] = []

    @property
    def count(self) -> int:
        """Records in the batch."""
        return len(self.entries) or self._encoded_count

    def close(self, attributes: int) -> bytearray:
        """The encoded batch, CRC and producer excepted. May be called again, if interrupted."""
        entries = list(self.entries)
        base = entries[0].timestamp
        out = bytearray(HEADER_SIZE)
        for index, (timestamp, key, value, headers, _) in enumerate(entries):
            delta = timestamp - base
            body = encode.body_size(delta, index, key, value, headers)
            encode.append_record(out, body, delta, index, key, value, headers)
        with memoryview(out) as view:
            encode.write_header(
                view,
                encode.BatchSettings(codec=attributes),
                base_sequence=-1,
                count=len(entries),
                base_timestamp=base,
                max_timestamp=max(entry.timestamp for entry in entries),
            )
        return out

    def release(self) -> None:
        """Give the memory back: nothing will be encoded or written any more."""
        self.queue.accumulator.give_back(self)
        self._encoded_count = self.count
        self.wire = None
        self.entries = []
