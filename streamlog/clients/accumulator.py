"""Where `Producer.send` puts a record. The compiled twin, and the fast one, is `_accumulator.pyx`.

A record joins its partition's open batch by one `list.append`, so an interrupt finds it there or
not there, and is encoded when the batch is closed. The lock around looking and joining stands
for the GIL, which makes the compiled section atomic; user code is never called inside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from streamlog.clients import arguments
from streamlog.clients.batch import Entry, ProducerBatch, RecordFuture
from streamlog.clients.batch_state import OPEN, SEALED
from streamlog.clients.postponed import NoRoom
from streamlog.record import encode
from streamlog.record.byteslike import encoded_headers
from streamlog.record.layout import HEADER_SIZE, MAX_INT64
from streamlog.record.murmur2 import partition_for_key
from streamlog.record.varint import varint_size

if TYPE_CHECKING:
    from streamlog.clients.finishing import Sequence
    from streamlog.clients.runs import Run
    from streamlog.clock import Clock
    from streamlog.config import ProducerConfig, TopicConfig
    from streamlog.storage.partition_log import PartitionLog

_FIRST_CAPACITY = 1024


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
        "after_max_ms", "append_time", "batch_limit", "before_max_ms", "codec", "config", "gone",
        "level", "queues", "record_limit", "requires_key", "sticky", "sticky_bytes", "topic",
        "topic_id",
    )  # fmt: skip

    config: TopicConfig

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.queues: list[PartitionQueue] = []
        self.topic_id: str | None = None
        self.codec = 0
        self.level: int | None = None
        self.batch_limit = self.record_limit = 0
        self.append_time = self.requires_key = self.gone = False
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
            return arguments.checked_timestamp(self, timestamp_ms, now_ms, "timestamp_ms")
        if not self.append_time and (
            now_ms - timestamp_ms > self.before_max_ms or timestamp_ms - now_ms > self.after_max_ms
        ):
            return arguments.checked_timestamp(self, timestamp_ms, now_ms, "timestamp_ms")
        return timestamp_ms


class RecordAccumulator:
    """The hot half of a `Producer`: takes records into batches, and calls the other half per batch.

    The subclass provides `_open_topic(topic)`, `added_partition(target, partition)`,
    `refresh_targets()`, `_metadata_moved(target)`, `_drain(queue)`, `_drain_full(queue)`,
    `_make_room(size)`, `_arm()`, `_next_sticky(target)` and `_refuse()`, and sets
    `_metadata_end()`, where the metadata log ends, and `_metadata_version`, where it was looked at.
    """

    _metadata_end: Callable[[], int]
    _metadata_version: int

    def __init__(self, config: ProducerConfig, clock: Clock) -> None:
        self.unusable = 0
        self.armed = False
        self.last_send_ms = 0
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
        queue = None if partition is None else target.chosen(partition)
        config = self.__config
        key_bytes, value_bytes = key, value
        if config.key_serializer is not None:
            key_bytes = arguments.serialized(config.key_serializer, topic, "key", key)
        if config.value_serializer is not None:
            value_bytes = arguments.serialized(config.value_serializer, topic, "value", value)
        key_bytes = None if key_bytes is None else arguments.raw(key_bytes, "key")
        value_bytes = None if value_bytes is None else arguments.raw(value_bytes, "value")
        pairs = encoded_headers(headers) if headers else ()
        timestamp = self.last_send_ms = self.__clock.now_ms()
        if timestamp_ms is not None:
            timestamp = target.checked_timestamp(timestamp_ms, timestamp)
        if partition is None:
            queue = self.__choose(target, key_bytes, value_bytes)
        if key_bytes is None and target.requires_key:
            arguments.check_key(target)
        fixed = encode.body_size(0, 0, key_bytes, value_bytes, pairs) - 2
        entry = Entry(timestamp, key_bytes, value_bytes, pairs, fixed)
        future = self.put(target, queue, entry)
        if future is None:
            self._open_topic(topic)  # the next of that name, if there is one
            return self.send(topic, value, key, headers, partition, timestamp_ms)
        return future

    def put(
        self, target: TopicTarget, queue: PartitionQueue | None, entry: Entry
    ) -> RecordFuture | None:
        """The second half of `send`: a record that is made, into its batch.

        None when the target's topic is gone. Where `_make_room` does not wait but raises `NoRoom`,
        that has its arguments.
        """
        try:
            return self.__append(target, queue, entry)
        except NoRoom as postponed:
            postponed.record = (target, queue, entry)
            raise

    def __choose(
        self, target: TopicTarget, key: bytes | None, value: bytes | None
    ) -> PartitionQueue | None:
        """Where a record goes; None leaves it to the sticky partition."""
        partitioner = self.__config.partitioner
        if partitioner is not None:
            chosen = arguments.custom_partition(partitioner, target, key, value)
            return None if chosen is None else target.chosen(chosen)
        if key is None:
            return None
        return target.queues[partition_for_key(key, len(target.queues))]

    def __append(
        self, target: TopicTarget, queue: PartitionQueue | None, entry: Entry
    ) -> RecordFuture | None:
        """Put a record into its partition's open batch; without a queue, into the sticky one.

        None when the target's topic is gone: the record is for another target.
        """
        sticky = queue is None
        if not target.gone:
            arguments.check_record_size(target, entry.fixed)
        while not target.gone:
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
        else:
            return None
        if self.__send_at_once or size >= target.batch_limit:
            queue.seal()
            self._drain_full(queue)
        return future

    @staticmethod
    def __is_full(batch: ProducerBatch, size: int) -> bool:
        return size > batch.limit and bool(batch.entries)

    def __open_batch(self, queue: PartitionQueue, fixed: int) -> None:
        """Give `queue` an open batch with room for one record; another thread may be first."""
        if self._metadata_end() != self._metadata_version:
            self._metadata_moved(queue.target)
        if queue.target.gone:
            return
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

    def refresh_targets(self) -> None:
        raise NotImplementedError

    def _metadata_moved(self, target: TopicTarget) -> None:
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
