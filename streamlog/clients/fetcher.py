"""Finds the next data for a consumer: which partition, from which offset, and when to wait."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

from streamlog.broker.list_offsets import check_position
from streamlog.clients.fetch import Fetch
from streamlog.clients.positions import NO_EPOCH, NO_POSITION, AssignedPartition, PositionTable
from streamlog.clients.record_streams import RecordStream
from streamlog.errors import LogTruncatedError, OffsetOutOfRangeError
from streamlog.types import TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.guard import Guard
    from streamlog.clients.subscription import Subscription
    from streamlog.config import ConsumerConfig
    from streamlog.storage.log_reader import FetchCursor
    from streamlog.storage.partition_log import PartitionLog


class Fetcher:
    """Loads a `RecordStream` with one fetch after another, fair to all partitions.

    The partition that was read last comes last. The position of the partition that is loaded is
    the stream's; `settle()` writes it back to the table before anybody looks at the table.
    """

    def __init__(self, engine: Engine, config: ConsumerConfig, guard: Guard) -> None:
        self._engine = engine
        self._config = config
        self._guard = guard
        self._clock = engine.clock
        self._subscription: Subscription | None = None
        self._metadata_version = -1
        self._loaded: int | None = None
        self._cursors: dict[int, FetchCursor] = {}
        self._last = -1  # the partition that was read last; the others come first
        self._first_short_at: float | None = None
        self._fetch_bytes = min(config.max_partition_fetch_bytes, config.fetch_max_bytes)
        self.table = PositionTable()
        self._stream: weakref.ref[RecordStream] | None = None

    def open_stream(self) -> RecordStream:
        """The stream that this fetcher loads; it is the caller's, and holds the fetcher."""
        config = self._config
        stream = RecordStream(
            self,
            check_crcs=config.check_crcs,
            key_deserializer=config.key_deserializer,
            value_deserializer=config.value_deserializer,
        )
        self._stream = weakref.ref(stream)
        return stream

    @property
    def stream(self) -> RecordStream:
        """The stream, which whoever calls this holds."""
        stream = None if self._stream is None else self._stream()
        assert stream is not None, "a fetcher is used through its stream, or by who holds it"
        return stream

    # What is assigned

    def follow(self, subscription: Subscription | None) -> None:
        """Read what `subscription` wants; every position is resolved before this returns."""
        self.drop()
        version = self._metadata_end()
        table = PositionTable(self._resolve(subscription))
        self._take_table(table, version)
        self._subscription = subscription
        for index in range(len(table)):
            self._reset(index)

    def refresh(self) -> None:
        """Follow changes of the metadata: new partitions and topics, deleted ones, new epochs."""
        version = self._metadata_end()
        if version == self._metadata_version:
            return
        self.drop()
        table = PositionTable(self._resolve(self._subscription))
        new = table.carry_over(self.table)
        self._take_table(table, version)
        for index in new:
            # It was made after this consumer: all of it is new, wherever reading started.
            if self._config.auto_offset_reset != "none":
                table.confirm(index, self._log(index).log_start)

    def _take_table(self, table: PositionTable, version: int) -> None:
        self.table, self._metadata_version, self._last = table, version, -1
        self._cursors.clear()

    def _resolve(self, subscription: Subscription | None) -> Iterable[AssignedPartition]:
        if subscription is None:
            return []
        with self._engine.metadata.lock:  # no topic changes between its name and its log
            topics = self._engine.topics()
            assigned = []
            for partition in subscription.resolve(topics):
                log = self.log(partition)
                topic_id = topics[partition.topic].topic_id
                epoch = log.state().leader_epoch
                assigned.append(AssignedPartition(partition, topic_id, log.slot, epoch))
        return assigned

    def _metadata_end(self) -> int:
        """A number that moves with every change of the metadata; one load when nothing did."""
        self._engine.refresh()
        return self._engine.metadata.next_offset

    # Positions

    def settle(self) -> None:
        """Write the position of the partition that is being read into the table."""
        if self._loaded is not None:
            self.table.offsets[self._loaded] = self.stream.position

    def drop(self) -> None:
        """Settle, and forget what was fetched ahead."""
        self.settle()
        self.stream.drop()
        self._loaded = None

    def drop_if_loaded(self, index: int) -> None:
        """Forget what was fetched of this partition."""
        if index == self._loaded:
            self.drop()

    def seek(self, index: int, offset: int, leader_epoch: int = NO_EPOCH) -> None:
        """Go on from `offset`; whether it is there shows at the next read."""
        self.drop_if_loaded(index)
        self.table.put(index, offset, leader_epoch)

    def seek_to_beginning(self, index: int) -> None:
        """Go on from the first offset that there is now."""
        self.drop_if_loaded(index)
        self.table.confirm(index, self._log(index).log_start)

    def seek_to_end(self, index: int) -> None:
        """Go on from the offset that the next record gets."""
        self.drop_if_loaded(index)
        self.table.confirm(index, self._log(index).high_watermark)

    def rewind(self, index: int, offset: int) -> None:
        """Hand out again what a call had taken and could not return."""
        self.drop()
        self.table.offsets[index] = offset

    def position(self, index: int) -> int:
        """The checked position of a partition."""
        self.settle()
        if index in self.table.unchecked:
            self._check(index)
        return self.table.offsets[index]

    def log(self, partition: TopicPartition) -> PartitionLog:
        """The partition's log; opened when it has to be."""
        return self._engine.partition(partition.topic, partition.partition)

    def _log(self, index: int) -> PartitionLog:
        return self.log(self.table.partitions[index].topic_partition)

    def _reset(self, index: int) -> None:
        """Start where `auto_offset_reset` says; with "none" there is no position."""
        match self._config.auto_offset_reset:
            case "earliest":
                self.table.confirm(index, self._log(index).log_start)
            case "latest":
                self.table.confirm(index, self._log(index).log_end)

    def _check_all(self) -> None:
        for index in sorted(self.table.unchecked):
            if not self.table.is_paused(index):
                self._check(index)

    def _check(self, index: int) -> None:
        """Hold a position against the log.

        A position in a lost tail is never papered over: `LogTruncatedError`, whatever
        `auto_offset_reset` says (KIP-320).
        """
        partition, offset = self.table.partitions[index].topic_partition, self.table.offsets[index]
        log = self._log(index)
        start, end = log.log_start, log.log_end
        if offset > end:
            raise _truncated(partition, offset, end)
        check_position(log, offset, self.table.epochs[index])
        if start <= offset:
            self.table.confirm(index, offset)
            return
        if self._config.auto_offset_reset == "none":
            raise _out_of_range(partition, offset, start, end)
        self._reset(index)

    # Data

    def next_fetch(self, reached: int) -> Fetch | None:
        """What the stream calls when it has used up a fetch, and got to `reached`: the next one.

        None, the end of the iteration, once the consumer is closed or nothing came for
        `consumer_timeout_ms`.
        """
        if not self._guard.enter_unless_closed():
            return None
        try:
            if self._loaded is not None:
                self.table.offsets[self._loaded] = reached
                self._loaded = None
            timeout_ms = self._config.consumer_timeout_ms
            timeout = None if timeout_ms is None else timeout_ms / 1000
            return self._wait_for_fetch(self.deadline(timeout))
        finally:
            self._guard.leave()

    def deadline(self, timeout: float | None) -> float | None:
        """When a call that may take `timeout` seconds has to be over; None: never."""
        return None if timeout is None else self._clock.monotonic() + timeout

    @property
    def loaded(self) -> int | None:
        """The index of the partition whose records the stream hands out."""
        return self._loaded

    def load_next(self, deadline: float | None) -> bool:
        """Load the stream with the next fetch; False when nothing came in time."""
        fetch = self._wait_for_fetch(deadline)
        if fetch is not None:
            self.stream.load(fetch)
        return fetch is not None

    def _wait_for_fetch(self, deadline: float | None) -> Fetch | None:
        self.settle()
        while not self._guard.closed:
            # The bell is read before anything else is looked at: what comes later rings it.
            bell = self._engine.bell()
            fetch = self._find()
            if fetch is not None:
                return fetch
            wait = self._longest_wait(deadline)
            if wait is not None and wait <= 0:
                return None
            self._engine.wait(bell, wait)
        return None

    def _longest_wait(self, deadline: float | None) -> float | None:
        """Seconds until the deadline, or until too little data has been waited for enough."""
        ends = [] if deadline is None else [deadline]
        if self._first_short_at is not None:
            ends.append(self._first_short_at + self._config.fetch_max_wait_ms / 1000)
        if not ends:
            return None
        now = self._clock.monotonic()
        if deadline is not None and deadline <= now:
            return 0.0
        # Never 0 before the deadline: data that is overdue is found by the next look.
        return max(min(ends) - now, 1e-6)

    def _find(self) -> Fetch | None:
        """The next data that is there now."""
        self.refresh()
        if self.table.unchecked:
            self._check_all()
        index = self._engine.find_ready(self.table.slots, self.table.offsets, self._last + 1)
        if index < 0:
            return None
        if self._config.fetch_min_bytes > 1 and not self._is_enough():
            return None
        fetch = self._fetch(index)
        self._last = index
        self._loaded = None if fetch is None else index
        return fetch

    def _fetch(self, index: int) -> Fetch | None:
        """What is there of one partition from its position on; None when there is nothing."""
        partition, offset = self.table.partitions[index].topic_partition, self.table.offsets[index]
        cursor = self._cursors.get(index)
        try:
            fetched = self.log(partition).fetch(offset, self._fetch_bytes, cursor)
        except OffsetOutOfRangeError:
            # The log's start moved past the position, or the position was lost with a tail.
            self._check(index)
            offset = self.table.offsets[index]
            fetched = self.log(partition).fetch(offset, self._fetch_bytes)
        if len(fetched.view) == 0:
            return None
        if fetched.cursor is not None:
            self._cursors[index] = fetched.cursor
        return Fetch(
            fetched.view,
            partition.topic,
            partition.partition,
            offset,
            file=fetched.file,
            file_position=fetched.position,
        )

    def _is_enough(self) -> bool:
        """Whether `fetch_min_bytes` are there in all partitions, or were waited for long enough."""
        now = self._clock.monotonic()
        if self._first_short_at is None:
            self._first_short_at = now
        available, index, count = 0, -1, len(self.table)
        while available < self._config.fetch_min_bytes:
            found = self._engine.find_ready(self.table.slots, self.table.offsets, index + 1)
            if found <= index or index + 1 >= count:
                break
            index = found
            fetch = self._fetch(index)
            available += 0 if fetch is None else len(fetch.view)
        waited = now - self._first_short_at >= self._config.fetch_max_wait_ms / 1000
        if available < self._config.fetch_min_bytes and not waited:
            return False
        self._first_short_at = None
        return True


def _truncated(partition: TopicPartition, offset: int, end: int) -> LogTruncatedError:
    return LogTruncatedError(
        f"{partition}: position {offset} is behind the end of the log, which is {end}: its tail "
        "was lost in a crash, or never was; seek to a position that is there",
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
        log_end=end,
    )


def _out_of_range(
    partition: TopicPartition, offset: int, start: int, end: int
) -> OffsetOutOfRangeError:
    had = "no position" if offset == NO_POSITION else f"position {offset}"
    return OffsetOutOfRangeError(
        f"{partition}: {had}, and auto_offset_reset='none'; the log has offsets {start} to "
        f"{end - 1}: seek to one of them",
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
        log_start=start,
        log_end=end,
    )
