"""`Consumer`: reads topics as they grow, from positions that it keeps itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from streamlog.clients import offsets
from streamlog.clients.committing import Commits
from streamlog.clients.fetcher import Fetcher
from streamlog.clients.flows import Flow, call, run, synchronous
from streamlog.clients.forking import watch_forks
from streamlog.clients.guard import Guard
from streamlog.clients.leaving import leaving
from streamlog.clients.polling import Polling, Run
from streamlog.clients.positions import NO_EPOCH
from streamlog.clients.subscription import (
    AssignedPartitions,
    NamedTopics,
    TopicPattern,
    given_partitions,
    typed_partitions,
    typed_topics,
)
from streamlog.config.checking import check_callable
from streamlog.errors import ConfigError, UnsupportedFeatureError
from streamlog.types import OffsetAndTimestamp, TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.group_membership import Callback
    from streamlog.clients.record_streams import PartitionBatch
    from streamlog.config import ConsumerConfig
    from streamlog.record.kernel import Record

R = TypeVar("R")


class Consumer(Commits):
    """Reads records; made by `StreamLog.consumer()`.

    Iterating blocks, and ends after `close()` from any thread, or when no record came for
    `consumer_timeout_ms`. The position of a partition is the offset behind the last record that
    was handed out, whatever was fetched ahead. Partitions take turns.

    For one thread at a time: two at once get `ConcurrentUseError`; only `close()` may come from
    another one. In a forked child every call raises `ForkedHandleError`, after `close()`
    `ClosedError`. Reading raises `CorruptRecordError` for bytes that do not check,
    `LogTruncatedError` for a position in a tail that was lost, `OffsetOutOfRangeError` with
    `auto_offset_reset="none"`, `UnknownTopicError` when an assigned topic was deleted, and
    `SerializationError` when a deserializer failed; the position then stays before that record.

    With a `group_id` it shares the partitions of what it subscribes to with the other members of
    the group, in any thread and process, and begins where the group has got to. Polling is what
    keeps it a member: one that does not for `max_poll_interval_ms` loses its partitions, and its
    next poll or commit raises `MemberFencedError`. An iteration polls every `max_poll_records`.
    """

    def __init__(
        self,
        engine: Engine,
        topics: Iterable[str],
        config: ConsumerConfig,
        guard: Guard | None = None,
    ) -> None:
        if config.isolation_level != "read_uncommitted":
            raise UnsupportedFeatureError(
                f"isolation_level={config.isolation_level!r} is not supported: this version has "
                "no transactions, and cannot tell which records of a broker's were aborted",
                feature="isolation_level",
            )
        self._engine = engine
        self._config = config
        self._guard = Guard("consumer") if guard is None else guard
        # For `streamlog`'s own modules.
        self.fetcher = Fetcher(engine, config, self._guard)
        self.stream = self.fetcher.open_stream()
        self._polling = Polling(self.fetcher, self.stream)
        if config.group_id is not None:
            from streamlog.clients.group_membership import GroupMembership

            self.group = self.fetcher.group = GroupMembership(engine, config, self.fetcher)
        self._has_left = False
        watch_forks(self)
        names = list(topics)
        if names:
            self.subscribe(names)

    def __repr__(self) -> str:
        group = self._config.group_id
        what = f" in {group}" if group is not None else ""
        state = " closed" if self._guard.closed else ""
        return f"<Consumer{what} on {self._engine.place.path}{state}>"

    # Reading

    def __iter__(self) -> Iterator[Record]:
        """Records as they come. A compiled iterator: ask it, not the consumer, in a tight loop."""
        with self._guard:
            return self.stream

    def __next__(self) -> Record:
        return next(self.stream)

    @synchronous
    def poll(
        self, timeout_ms: float | None = None, max_records: int | None = None
    ) -> Flow[list[Record]]:
        """The next records, in the order of each partition; as soon as there is one.

        `timeout_ms` None waits, 0 does not; an empty list when nothing came in time. At most
        `max_records`, or the setting `max_poll_records`.
        """
        runs = yield from self._poll(timeout_ms, max_records)
        return runs[0][1] if len(runs) == 1 else [each for _, run in runs for each in run]

    @synchronous
    def poll_by_partition(
        self, timeout_ms: float | None = None, max_records: int | None = None
    ) -> Flow[dict[TopicPartition, list[Record]]]:
        """The same as `poll()`, by partition."""
        found: dict[TopicPartition, list[Record]] = {}
        for partition, records in (yield from self._poll(timeout_ms, max_records)):
            found.setdefault(partition, []).extend(records)
        return found

    @synchronous
    def poll_batches(self, timeout_ms: float | None = None) -> Flow[list[PartitionBatch]]:
        """The next whole record batches of one partition, without decoding or copying them.

        Views of the file, about `max_partition_fetch_bytes` together, CRC checked unless
        `check_crcs=False`; each knows its `topic` and `partition`, and iterating it decodes its
        records. They stay valid for as long as they are kept. The position moves behind the last
        of them. Control batches are left out.
        """
        self._begin_poll()
        batches = yield from self._polling.batches(_seconds(timeout_ms))
        self._end_poll()
        return batches

    def _poll(self, timeout_ms: float | None, max_records: int | None) -> Flow[list[Run]]:
        limit = self._config.max_poll_records if max_records is None else max_records
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ConfigError(f"max_records must be an integer from 1 up, not {limit!r}")
        self._begin_poll()
        runs = yield from self._polling.records(limit, _seconds(timeout_ms))
        self._end_poll()
        return runs

    def _begin_poll(self) -> None:
        if self.group is not None:
            self.fetcher.settle()
            self.group.offsets.begin_poll()

    def _end_poll(self) -> None:
        if self.group is not None:
            self.group.offsets.end_poll()

    # What is read

    @synchronous
    def subscribe(
        self,
        topics: Iterable[str] | str | None = None,
        *,
        pattern: str | None = None,
        on_assign: Callback = None,
        on_revoke: Callback = None,
        on_lost: Callback = None,
    ) -> Flow[None]:
        """Read all partitions of these topics, or of those whose whole name matches `pattern`.

        Partitions and matching topics that are added later are read from their beginning.
        Replaces what was read before. Raises `UnknownTopicError` naming the nearest topic.

        With a group it reads what the group's coordinator assigns to this member, and goes on
        where the group was. Callbacks are called with lists of partitions, while this consumer
        polls, is closed, or is in this very call: `on_assign` when it got some, `on_revoke` before
        it gives some up, when it may still commit, `on_lost` (else `on_revoke`) when others may
        have them already. They may use the consumer, but not poll. What one raises comes out of
        the call that it was called in, once: what it was told of happens all the same. Raises
        `GroupError`.
        """
        callbacks = {"on_assign": on_assign, "on_revoke": on_revoke, "on_lost": on_lost}
        for name, callback in callbacks.items():
            check_callable(name, callback)
        if (topics is None) == (pattern is None):
            raise ConfigError("subscribe() takes either topics or a pattern")
        wanted: NamedTopics | TopicPattern
        if pattern is not None:
            wanted = TopicPattern(pattern)
        else:
            names = typed_topics(topics)
            wanted = yield from call(partial(NamedTopics, names, self._engine.topic))
        if self.group is not None:
            yield from self.group.subscribe(wanted, **callbacks)
        elif any(callbacks.values()):
            raise ConfigError("without a group_id nothing is rebalanced: callbacks are for members")
        else:
            yield from self.fetcher.follow(wanted)

    @synchronous
    def assign(self, partitions: Iterable[TopicPartition]) -> Flow[None]:
        """Read exactly these partitions; replaces what was read before.

        With a group it is no member of it, and goes on where the group was; it can commit as long
        as the group has no members. Raises `UnknownTopicError`.
        """
        wanted = typed_partitions(partitions)
        assigned = yield from call(partial(AssignedPartitions, wanted, self._engine.topic))
        if self.group is not None:
            yield from self.group.leave()
        yield from self.fetcher.follow(assigned)
        if self.group is not None:
            yield from self.group.offsets.begin_there(range(len(self.fetcher.table)))
            self.group.raise_failure()

    @synchronous
    def unsubscribe(self) -> Flow[None]:
        """Read nothing any more, and leave the group."""
        if self.group is not None:
            yield from self.group.leave()
        yield from self.fetcher.follow(None)
        if self.group is not None:
            self.group.raise_failure()

    @synchronous
    def subscription(self) -> Flow[frozenset[str]]:
        """The topics that are read; a member's, those that it wants to read."""
        yield from self.fetcher.refresh()
        if self.group is not None:
            topics = yield from call(self.group.topics)
            if topics is not None:
                return topics
        return frozenset(partition.topic for partition in self.fetcher.table)

    @synchronous
    def assignment(self) -> Flow[set[TopicPartition]]:
        """The partitions that are read."""
        yield from self.fetcher.refresh()
        return set(self.fetcher.table)

    @synchronous
    def pause(self, *partitions: TopicPartition | Iterable[TopicPartition]) -> Flow[None]:
        """Hand out nothing of these partitions, or of any, until `resume()`.

        They are given one by one, or as one list: so they are to the other methods that take all
        when none is given.
        """
        for index in (yield from self._indexes(given_partitions(partitions))):
            self.fetcher.leave(index)
            self.fetcher.table.pause(index)

    @synchronous
    def resume(self, *partitions: TopicPartition | Iterable[TopicPartition]) -> Flow[None]:
        """Read these partitions again, or all."""
        for index in (yield from self._indexes(given_partitions(partitions))):
            self.fetcher.leave(index)
            self.fetcher.table.resume(index)

    @synchronous
    def paused(self) -> Flow[set[TopicPartition]]:
        """The partitions that are paused."""
        yield from self.fetcher.refresh()
        return self.fetcher.table.paused()

    # Positions

    @synchronous
    def position(self, partition: TopicPartition) -> Flow[int]:
        """The offset of the next record that will be handed out of this partition."""
        (index,) = yield from self._indexes([partition])
        return (yield from self.fetcher.position(index))

    @synchronous
    def seek(
        self, partition: TopicPartition, offset: int, *, leader_epoch: int | None = None
    ) -> Flow[None]:
        """Go on from `offset`.

        `leader_epoch`, that of the record before (`record.leader_epoch`), lets the next read
        notice that the log lost its tail since and raise `LogTruncatedError` (KIP-320).
        """
        if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
            raise ConfigError(f"an offset is an integer from 0 up, not {offset!r}", value=offset)
        (index,) = yield from self._indexes([partition])
        self.fetcher.leave(index)
        epoch = NO_EPOCH if leader_epoch is None else leader_epoch
        self.fetcher.table.put(index, offset, epoch)

    @synchronous
    def seek_to_beginning(
        self, *partitions: TopicPartition | Iterable[TopicPartition]
    ) -> Flow[None]:
        """Go on from the first offset that there is now, of these partitions or of all."""
        for index in (yield from self._indexes(given_partitions(partitions))):
            self.fetcher.leave(index)
            self.fetcher.assignment.seek_to_beginning(index)

    @synchronous
    def seek_to_end(self, *partitions: TopicPartition | Iterable[TopicPartition]) -> Flow[None]:
        """Go on with what is appended after this call, in these partitions or in all."""
        for index in (yield from self._indexes(given_partitions(partitions))):
            self.fetcher.leave(index)
            self.fetcher.assignment.seek_to_end(index)

    @synchronous
    def lag(self) -> Flow[dict[TopicPartition, int]]:
        """How many offsets each partition read has that were not handed out yet."""
        yield from self.fetcher.refresh()
        lags = {}
        for index, partition in enumerate(self.fetcher.table):
            position = yield from self.fetcher.position(index)
            lags[partition] = self.fetcher.assignment.log(index).high_watermark - position
        return lags

    def _indexes(self, partitions: Iterable[TopicPartition] | None) -> Flow[list[int]]:
        """Where these partitions, or all (None), are in the table as it is now."""
        yield from self.fetcher.refresh()
        table = self.fetcher.table
        return list(range(len(table))) if partitions is None else table.indexes(partitions)

    # The logs

    @synchronous
    def offsets_for_times(
        self, timestamps: Mapping[TopicPartition, int]
    ) -> Flow[dict[TopicPartition, OffsetAndTimestamp | None]]:
        """The first record of each partition at or after a time in ms; None when there is none."""
        return (yield from call(partial(offsets.offsets_for_times, self._engine, timestamps)))

    @synchronous
    def beginning_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> Flow[dict[TopicPartition, int]]:
        """The first offset of each partition."""
        return (yield from call(partial(offsets.beginning_offsets, self._engine, partitions)))

    @synchronous
    def end_offsets(self, partitions: Iterable[TopicPartition]) -> Flow[dict[TopicPartition, int]]:
        """The offset that the next record of each partition gets."""
        return (yield from call(partial(offsets.end_offsets, self._engine, partitions)))

    # Its life

    def forked_in_child(self) -> None:
        """Hand out nothing of what the parent had fetched."""
        self.stream.close()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._guard.closed

    def close(self, timeout: float = 30.0) -> None:
        """End every call and iteration, from any thread; does nothing the second time.

        Waits at most `timeout` seconds for a thread that is in a call to leave it. A member commits
        its positions, with `enable_auto_commit`, and leaves its group. Raises what that raises.
        """
        self._close(timeout)

    def _close(self, timeout: float = 30.0, *, in_the_middle: bool = False) -> None:
        self.begin_close()
        if not self._guard.forked:
            is_idle = self._guard.wait_until_idle(timeout)
            with self._guard.last_words():
                run(self.end_close(is_idle=is_idle, in_the_middle=in_the_middle), self._engine)

    def end_close(self, *, is_idle: bool, in_the_middle: bool = False) -> Flow[None]:
        """Leave the group. `in_the_middle`: what was handed out last is not done with."""
        if self.group is not None and not self._has_left:
            self._has_left = True
            yield from self.group.leave(commits=is_idle, in_the_middle=in_the_middle)
            self.group.raise_failure()

    def begin_close(self) -> None:
        """Let every call and iteration end, and wait for none of them."""
        self._guard.closed = True
        self.stream.close()
        if not self._guard.forked:
            self._engine.ring()

    def _run(self, flow: Flow[R]) -> R:
        with self._guard:
            return run(flow, self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with leaving(error):
            self._close(in_the_middle=error is not None)


def _seconds(timeout_ms: float | None) -> float | None:
    if timeout_ms is None:
        return None
    is_number = isinstance(timeout_ms, (int, float)) and not isinstance(timeout_ms, bool)
    if not is_number or not timeout_ms >= 0:  # which NaN is not
        raise ConfigError(f"timeout_ms is a number from 0 up or None, not {timeout_ms!r}")
    return timeout_ms / 1000
