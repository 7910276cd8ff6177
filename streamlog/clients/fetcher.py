"""Finds the next data for a consumer: which partition, from which offset, and when to wait."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from streamlog.clients.assignment import Assignment
from streamlog.clients.fetch import NO_END, Fetch
from streamlog.clients.flows import Flow, Wait, call, run
from streamlog.clients.record_streams import RecordStream
from streamlog.errors import OffsetOutOfRangeError

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.group_membership import GroupMembership
    from streamlog.clients.guard import Guard
    from streamlog.clients.positions import AssignedPartition, PositionTable
    from streamlog.clients.subscription import Subscription
    from streamlog.config import ConsumerConfig
    from streamlog.storage.fetched import FetchCursor, Fetched


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
        # Bound once: who has just woken up pays for each call of the interpreter.
        self._bell, self._find_ready = engine.bell, engine.find_ready
        self.assignment = Assignment(engine, config.auto_offset_reset)
        self._loaded: int | None = None
        self._cursors: dict[int, FetchCursor] = {}
        self._last = -1  # the partition that was read last; the others come first
        self._first_short_at: float | None = None
        # What comes after everything was read was just written: it is in memory.
        self._is_caught_up = False
        self._fetch_bytes = min(config.max_partition_fetch_bytes, config.fetch_max_bytes)
        self._stream: weakref.ref[RecordStream] | None = None
        #: Whose member this consumer is: it has a say at each poll.
        self.group: GroupMembership | None = None

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

    # Positions

    @property
    def table(self) -> PositionTable:
        """The positions as they were last settled."""
        return self.assignment.table

    def follow(self, subscription: Subscription | None) -> Flow[None]:
        """Read what `subscription` wants instead of what was read before."""
        self.drop()
        yield from self.assignment.follow(subscription)
        self._start_anew()

    def refresh(self) -> Flow[None]:
        """Follow changes of the metadata."""
        looking = self.assignment.is_stale
        if (yield from call(looking)) if self._engine.looks_at_files else looking():
            self.drop()
            yield from self.assignment.refresh()
            self._start_anew()

    def exchange(self, subscription: Subscription) -> Flow[list[int]]:
        """Read what `subscription` wants, going on where it was read before; what has no position.

        Those are to be given one before anything is read.
        """
        self.drop()
        new = yield from self.assignment.exchange(subscription)
        self._start_anew()
        return new

    def _start_anew(self) -> None:
        self._last = -1
        self._is_caught_up = False
        self._cursors.clear()

    def settle(self) -> None:
        """Write the position of the partition that is being read into the table."""
        if self._loaded is not None:
            self.table.offsets[self._loaded] = self.stream.position

    def drop(self) -> None:
        """Settle, and forget what was fetched ahead."""
        self.settle()
        self.stream.drop()
        self._loaded = None

    def leave(self, index: int) -> None:
        """Forget what was fetched of this partition, before its position or pause is changed."""
        self._is_caught_up = False
        if index == self._loaded:
            self.drop()

    def position(self, index: int) -> Flow[int]:
        """The checked position of a partition."""
        self.settle()
        if index in self.table.unchecked:
            yield from self.assignment.check(index)
        return self.table.offsets[index]

    def rewind(self, partition: AssignedPartition, offset: int) -> None:
        """Hand out again what a call had taken and could not return."""
        self.drop()
        index = self.table.find(partition)
        if index is not None:
            self.table.offsets[index] = offset

    # Data

    def next_fetch(self, reached: int) -> Fetch | None:
        """What the stream calls when it has used up a fetch, and got to `reached`: the next one.

        None, the end of the iteration, once the consumer is closed or nothing came for
        `consumer_timeout_ms`.
        """
        if not self._guard.enter_unless_closed():
            return None
        try:
            return run(self.following(reached), self._engine)
        finally:
            self._guard.leave()

    def following(self, reached: int) -> Flow[Fetch | None]:
        """The flow of `next_fetch`."""
        if self._loaded is not None:
            self.table.offsets[self._loaded] = reached
            self._loaded = None
        timeout_ms = self._config.consumer_timeout_ms
        timeout = None if timeout_ms is None else timeout_ms / 1000
        fetch = yield from self._wait_for_fetch(self.deadline(timeout))
        if fetch is None or self.group is None:
            return fetch
        # A member polls every so many records.
        return fetch._replace(end=fetch.position + self._config.max_poll_records)

    def deadline(self, timeout: float | None) -> float | None:
        """When a call that may take `timeout` seconds has to be over; None: never."""
        return None if timeout is None else self._clock.monotonic() + timeout

    @property
    def loaded(self) -> int | None:
        """The index of the partition whose records the stream hands out."""
        return self._loaded

    def begin_poll(self) -> Flow[None]:
        """A member of a group hears what is new, and goes on with what is still its own."""
        if self.group is not None:
            yield from self.group.poll()

    def load_next(self, deadline: float | None, *, polls: bool = True) -> Flow[bool]:
        """Load the stream with the next fetch; False when nothing came in time.

        `polls` not: what the same call has found before is not handed out yet, so that nothing
        of it may be given up.
        """
        fetch = yield from self._wait_for_fetch(deadline, polls=polls)
        if fetch is not None:
            self.stream.load(fetch)
        return fetch is not None

    def _wait_for_fetch(self, deadline: float | None, *, polls: bool = True) -> Flow[Fetch | None]:
        self.assignment.require()
        self.settle()
        while True:
            # The bell is read before anything is looked at: what comes later rings it.
            bell = self._bell()
            if self._guard.closed:
                return None
            if polls and self.group is not None:
                yield from self.group.poll()
            fetch = self._appended() or (yield from self._find())
            if fetch is not None:
                return fetch
            wait = self._longest_wait(deadline)
            if wait is not None and wait <= 0:
                return None
            yield Wait(bell, wait, self._is_worth_a_look)

    def _longest_wait(self, deadline: float | None) -> float | None:
        """Seconds until the deadline, or until too little data has been waited for enough."""
        ends = [] if deadline is None else [deadline]
        if self.group is not None:
            ends.append(self.group.next_look)
        if self._first_short_at is not None:
            ends.append(self._first_short_at + self._config.fetch_max_wait_ms / 1000)
        if not ends or min(ends) == float("inf"):
            return None
        now = self._clock.monotonic()
        if deadline is not None and deadline <= now:
            return 0.0
        # Never 0 before the deadline: data that is overdue is found by the next look.
        return max(min(ends) - now, 1e-6)

    def _is_worth_a_look(self) -> bool:
        """Whether a look would find something. Changes nothing: another thread may ask."""
        if self._guard.closed or self.assignment.is_stale():
            return True
        if self.group is not None and self.group.is_stale():
            return True
        return self._find_ready(self.table.slots, self.table.offsets, 0) >= 0

    def _appended(self) -> Fetch | None:
        """What `_find` would find, where all was read to its end before: what was just appended.

        It is in memory, so nothing has to be waited for. None where it takes more to tell.
        """
        assignment = self.assignment
        if not self._is_caught_up or self._config.fetch_min_bytes > 1:
            return None
        if self._engine.looks_at_files or assignment.is_stale():
            return None
        table = assignment.table
        index = self._find_ready(table.slots, table.offsets, self._last + 1)
        cursor = self._cursors.get(index)
        if cursor is None or table.unchecked or cursor.offset != table.offsets[index]:
            return None
        (topic, number), _, log, _ = table.partitions[index]
        fetched = log.fetch_appended(self._fetch_bytes, cursor)
        if fetched is None:
            return None
        self._last = self._loaded = index
        return self._taken(fetched, topic, number, index, cursor.offset)

    def _taken(self, fetched: Fetched, topic: str, number: int, index: int, offset: int) -> Fetch:
        """What a partition gave, for the stream; where it goes on is noted."""
        self._is_caught_up = self._is_caught_up and fetched.next_offset >= fetched.log_end
        if fetched.cursor is not None:
            self._cursors[index] = fetched.cursor
        view, _, _, _, file, position = fetched
        return Fetch(view, topic, number, offset, NO_END, file, position)

    def _find(self) -> Flow[Fetch | None]:
        """The next data that is there now."""
        yield from self.refresh()
        if self.table.unchecked:
            yield from self.assignment.check_all()
        index = self._find_ready(self.table.slots, self.table.offsets, self._last + 1)
        if index < 0:
            self._is_caught_up = True
            return None
        if self._config.fetch_min_bytes > 1 and not (yield from self._is_enough()):
            return None
        fetch = yield from self._fetch(index)
        self._last = index
        self._loaded = None if fetch is None else index
        return fetch

    def _fetch(self, index: int) -> Flow[Fetch | None]:
        """What is there of one partition from its position on; None when there is nothing."""
        table = self.table
        (topic, number), _, log, _ = table.partitions[index]
        while True:
            offset = table.offsets[index]
            read = partial(log.fetch, offset, self._fetch_bytes, self._cursors.get(index))
            try:
                fetched: Fetched = read() if self._is_caught_up else (yield from call(read))
                break
            except OffsetOutOfRangeError:
                # The log's start moved past the position, or the position was lost with a tail.
                yield from self.assignment.check(index)
        if len(fetched.view) == 0:
            return None
        return self._taken(fetched, topic, number, index, offset)

    def _is_enough(self) -> Flow[bool]:
        """Whether `fetch_min_bytes` are there in all partitions, or were waited for long enough."""
        now = self._clock.monotonic()
        if self._first_short_at is None:
            self._first_short_at = now
        available, index, count = 0, -1, len(self.table)
        while available < self._config.fetch_min_bytes:
            found = self._find_ready(self.table.slots, self.table.offsets, index + 1)
            if found <= index or index + 1 >= count:
                break
            index = found
            fetch = yield from self._fetch(index)
            available += 0 if fetch is None else len(fetch.view)
        waited = now - self._first_short_at >= self._config.fetch_max_wait_ms / 1000
        if available < self._config.fetch_min_bytes and not waited:
            return False
        self._first_short_at = None
        return True
