"""Where `Producer.send` puts a record. The compiled twin, and the fast one, is `_accumulator.pyx`.

A record joins its partition's open batch by one `list.append`, so an interrupt finds it there or
not there, and is encoded when the batch is closed. The lock around looking and joining stands
for the GIL, which makes the compiled section atomic; user code is never called inside it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from streamlog.clients import arguments, delivery
from streamlog.clients.batch_state import DONE, OPEN, SEALED
from streamlog.record import encode
from streamlog.record.byteslike import EncodedHeaders, encoded_headers
from streamlog.record.layout import HEADER_SIZE, MAX_INT64
from streamlog.record.murmur2 import partition_for_key
from streamlog.record.varint import varint_size

if TYPE_CHECKING:
    from streamlog.clients.finishing import Sequence
    from streamlog.clients.runs import Run
    from streamlog.clock import Clock
    from streamlog.config import ProducerConfig, TopicConfig
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.types import Durability, RecordMetadata

_FIRST_CAPACITY = 1024


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


class PartitionQueue:
    """The batches of one partition on their way: one open, some sealed, some to be synced."""

    __slots__ = (
        "accumulator", "acks", "last_size", "lock", "log", "open", "owner", "partition", "run",
        "sealed", "sequence", "target", "topic", "unsynced",
    )  # fmt: skip

    def __init__(
        self,
        accumulator: RecordAccumulator,
        target: TopicTarget,
        partition: int,
        lock: threading.Lock,
    ) -> None:
        self.accumulator: Any = accumulator
        self.target = target
        self.topic = target.topic
        self.partition = partition
        self.acks = accumulator.acks
        self.open: ProducerBatch | None = None
        self.sealed: list[ProducerBatch] = []
        self.unsynced: dict[ProducerBatch, None] = {}
        self.lock = lock
        self.owner: int | None = None
        self.log: PartitionLog | None = None
        self.sequence: Sequence | None = None
        self.run: Run | None = None
        self.last_size = _FIRST_CAPACITY

    def seal(self) -> None:
        """Close the open batch, if there is one, and queue it; what comes next goes to another."""
        with self.accumulator.section:
            batch = self.open
            if batch is None:
                return
            if not batch.entries:  # an interrupt came between opening it and its first record
                self.open = None
                batch.release()
                return
            if batch not in self.sealed:  # there already, if this was interrupted
                self.sealed.append(batch)
            batch.state = SEALED
            self.last_size = batch.size
            self.open = None

    def rest(self) -> None:
        """Off the producer's lists if nothing is on its way, in one step for every thread."""
        with self.accumulator.section:
            if self.open is None and not self.sealed:
                self.accumulator.pending.pop(self, None)
            if not self.unsynced:
                self.accumulator._unsynced.pop(self, None)

    def list_unsynced(self, batch: ProducerBatch) -> None:
        """Have `batch` synced."""
        with self.accumulator.section:
            self.unsynced[batch] = None
            self.accumulator._unsynced[self] = None

    def __repr__(self) -> str:
        return f"<queue of {self.topic}-{self.partition}: {len(self.sealed)} sealed>"


class TopicTarget:
    """What `send()` needs to know of a topic, resolved once; `targets.fill_target` fills it."""

    __slots__ = (
        "after_max_ms", "append_time", "batch_limit", "before_max_ms", "codec", "config", "level",
        "queues", "record_limit", "requires_key", "sticky", "sticky_bytes", "topic", "topic_id",
    )  # fmt: skip

    config: TopicConfig

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.queues: list[PartitionQueue] = []
        self.topic_id: str | None = None
        self.codec = 0
        self.level: int | None = None
        self.batch_limit = self.record_limit = 0
        self.append_time = self.requires_key = False
        self.before_max_ms = self.after_max_ms = MAX_INT64
        self.sticky = self.sticky_bytes = 0

    def chosen(self, partition: object) -> PartitionQueue:
        """The queue of a partition that the caller named."""
        if type(partition) is int and 0 <= partition < len(self.queues):
            return self.queues[partition]
        added: PartitionQueue = self.queues[0].accumulator.added_partition(self, partition)
        return added

    def checked_timestamp(self, timestamp_ms: object, now_ms: int) -> int:
        """A timestamp that the caller gave, within the topic's bounds (KIP-937)."""
        if type(timestamp_ms) is not int or not 0 <= timestamp_ms <= MAX_INT64:
            raise arguments.wrong_timestamp(self, timestamp_ms, now_ms, "timestamp_ms")
        if not self.append_time and (
            now_ms - timestamp_ms > self.before_max_ms or timestamp_ms - now_ms > self.after_max_ms
        ):
            raise arguments.wrong_timestamp(self, timestamp_ms, now_ms, "timestamp_ms")
        return timestamp_ms


class RecordAccumulator:
    """The hot half of a `Producer`: takes records into batches, and calls the other half per batch.

    The subclass provides `_open_topic(topic)`, `added_partition(target, partition)`,
    `_drain(queue)`, `_drain_full(queue)`, `_make_room(size)`, `_arm()`, `_next_sticky(target)`
    and `_refuse()`.
    """

    def __init__(self, config: ProducerConfig, clock: Clock) -> None:
        self.unusable = 0
        self.armed = False
        self.acks = config.acks
        self.pending: dict[PartitionQueue, None] = {}
        self._unsynced: dict[PartitionQueue, None] = {}
        self.section = threading.RLock()
        self._targets: dict[str, TopicTarget] = {}
        # Each is changed by one store, so that an interrupt cannot leave a wrong sum behind.
        self.__reserved: dict[ProducerBatch, int] = {}
        self.__config = config
        self.__send_at_once = config.linger_ms == 0 or config.batch_size == 0
        self.__clock = clock

    def send(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        headers: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> RecordFuture:
        """Send one record; returns its `RecordFuture`. See `Producer`."""
        if self.unusable:
            self._refuse()
        target = self._targets.get(topic) if type(topic) is str else None
        if target is None:
            target = self._open_topic(topic)
        config = self.__config
        if config.key_serializer is not None:
            key = arguments.serialized(config.key_serializer, topic, "key", key)
        if config.value_serializer is not None:
            value = arguments.serialized(config.value_serializer, topic, "value", value)
        key_bytes = None if key is None else arguments.raw(key, "key")
        value_bytes = None if value is None else arguments.raw(value, "value")
        pairs = encoded_headers(headers) if headers else ()
        timestamp = self.__clock.now_ms()
        if timestamp_ms is not None:
            timestamp = target.checked_timestamp(timestamp_ms, timestamp)
        queue = self.__choose(target, key_bytes, value_bytes, partition)
        if key_bytes is None and target.requires_key:
            raise arguments.keyless(target)
        fixed = encode.body_size(0, 0, key_bytes, value_bytes, pairs) - 2
        return self.__append(target, queue, Entry(timestamp, key_bytes, value_bytes, pairs, fixed))

    def __choose(
        self, target: TopicTarget, key: bytes | None, value: bytes | None, partition: object
    ) -> PartitionQueue | None:
        """Where a record goes; None leaves it to the sticky partition."""
        if partition is not None:
            return target.chosen(partition)
        partitioner = self.__config.partitioner
        if partitioner is not None:
            chosen = arguments.custom_partition(partitioner, target, key, value)
            return None if chosen is None else target.chosen(chosen)
        if key is None:
            return None
        return target.queues[partition_for_key(key, len(target.queues))]

    def __append(
        self, target: TopicTarget, queue: PartitionQueue | None, entry: Entry
    ) -> RecordFuture:
        """Put a record into its partition's open batch; without a queue, into the sticky one."""
        sticky = queue is None
        arguments.check_record_size(target, entry.fixed)
        while True:
            if self.unusable:
                self._refuse()
            if queue is None or sticky:
                queue = target.queues[target.sticky]
            with self.section:
                batch = queue.open
                if batch is None:
                    size = 0
                else:
                    base = batch.entries[0].timestamp if batch.entries else entry.timestamp
                    body = entry.fixed + varint_size(entry.timestamp - base)
                    body += varint_size(len(batch.entries))
                    size = batch.size + varint_size(body) + body
                    if not self.__is_full(batch, size) and size <= batch.capacity:
                        target.sticky_bytes += size - batch.size
                        batch.size = size
                        future = RecordFuture(batch, len(batch.entries), entry.timestamp)
                        batch.entries.append(entry)
                        break
            if batch is None:
                if sticky and target.sticky_bytes >= target.batch_limit:
                    queue = self.__switch_sticky(target)
                self.__open_batch(queue, entry.fixed)
            elif self.__is_full(batch, size):
                queue.seal()
                if sticky:
                    self.__switch_sticky(target)
                self._drain_full(queue)
            else:
                self.__grow(batch, size)
        if self.__send_at_once or size >= target.batch_limit:
            queue.seal()
            self._drain_full(queue)
        return future

    @staticmethod
    def __is_full(batch: ProducerBatch, size: int) -> bool:
        return size > batch.limit and bool(batch.entries)

    def __open_batch(self, queue: PartitionQueue, fixed: int) -> None:
        """Give `queue` an open batch with room for one record; another thread may be first."""
        needed = HEADER_SIZE + fixed + 7  # the two deltas take a byte each, the length up to 5
        limit = max(queue.target.batch_limit, needed)
        capacity = min(limit, max(needed, queue.last_size))
        if self.memory_used + capacity > self.__config.buffer_memory:
            self._make_room(capacity)
        batch = ProducerBatch(queue, None, None, 0, self.__clock.monotonic())
        batch.limit = limit
        batch.capacity = capacity
        batch.state = OPEN
        with self.section:
            if self.unusable:
                self._refuse()
            if queue.open is not None:
                return
            queue.open = batch
            self.__reserved[batch] = capacity
            self.pending[queue] = None
        if not self.armed:
            self._arm()

    def __grow(self, batch: ProducerBatch, needed: int) -> None:
        """More room in an open batch, towards its limit."""
        capacity = max(needed, min(batch.limit, 4 * batch.capacity))
        if self.memory_used + capacity - batch.capacity > self.__config.buffer_memory:
            self._make_room(capacity - batch.capacity)
        with self.section:
            if batch.state != OPEN or capacity <= batch.capacity:
                return  # the room that was made was its own, or another thread was faster
            self.__reserved[batch] = batch.capacity = capacity

    @property
    def memory_used(self) -> int:
        """Bytes of `buffer_memory` that open and sealed batches hold."""
        return sum(self.__reserved.values())

    def give_back(self, batch: ProducerBatch) -> None:
        """Return what `batch` reserved of the buffer memory."""
        self.__reserved.pop(batch, None)

    def __switch_sticky(self, target: TopicTarget) -> PartitionQueue:
        """Where records without a key go next (KIP-794)."""
        target.sticky_bytes = 0
        if len(target.queues) > 1:
            target.sticky = self._next_sticky(target)
        return target.queues[target.sticky]

    # What the subclass provides.

    def _open_topic(self, topic: str) -> TopicTarget:
        raise NotImplementedError

    def added_partition(self, target: TopicTarget, partition: object) -> PartitionQueue:
        raise NotImplementedError

    def _drain(self, queue: PartitionQueue, timeout: float | None = None) -> None:
        raise NotImplementedError

    def _drain_full(self, queue: PartitionQueue) -> None:
        raise NotImplementedError

    def _make_room(self, size: int) -> None:
        raise NotImplementedError

    def _arm(self) -> None:
        raise NotImplementedError

    def _next_sticky(self, target: TopicTarget) -> int:
        raise NotImplementedError

    def _refuse(self) -> NoReturn:
        raise NotImplementedError
