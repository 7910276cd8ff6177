"""What a consumer is assigned now, and whether its positions there are right."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from streamlog.broker.list_offsets import check_position
from streamlog.clients.flows import Flow, call
from streamlog.clients.positions import NO_EPOCH, NO_POSITION, AssignedPartition, PositionTable
from streamlog.errors import LogTruncatedError, OffsetOutOfRangeError, UsageError
from streamlog.types import TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.subscription import Subscription
    from streamlog.storage.partition_log import PartitionLog


class Assignment:
    """Follows a subscription and the metadata; `table` holds the positions.

    The table is replaced when the assignment changes, and only by `follow` and `refresh`.
    """

    def __init__(self, engine: Engine, auto_offset_reset: str) -> None:
        self._engine = engine
        self._auto_offset_reset = auto_offset_reset
        self._subscription: Subscription | None = None
        self._published_end = (
            engine.metadata_end if engine.looks_at_files else engine.metadata.published_end
        )
        self._metadata_end = -1
        self.table = PositionTable()

    def follow(self, subscription: Subscription | None) -> Flow[None]:
        """Read what `subscription` wants; every position is resolved when this is over."""
        table, end = yield from call(partial(self._resolve, subscription))
        self.table, self._subscription, self._metadata_end = table, subscription, end
        for index in range(len(table)):
            self._reset(index)

    def require(self) -> None:
        """Raises `UsageError` when nothing was ever asked for: waiting for it would not end."""
        if self._subscription is None:
            raise UsageError("nothing to read: call subscribe() or assign() first")

    def is_stale(self) -> bool:
        """Whether the metadata changed since; one load when it did not."""
        return self._published_end() != self._metadata_end

    def exchange(self, subscription: Subscription | None) -> Flow[list[int]]:
        """Read what `subscription` wants, with the positions that there are already.

        The indexes of what is new, which have none.
        """
        table, end = yield from call(partial(self._resolve, subscription))
        new = table.carry_over(self.table)
        self.table, self._subscription, self._metadata_end = table, subscription, end
        return new

    def refresh(self) -> Flow[None]:
        """Take over what changed: new partitions and topics, deleted ones, leader epochs."""
        new = yield from self.exchange(self._subscription)
        table = self.table
        for index in new:
            # It was made after this consumer: all of it is new, wherever reading started.
            if self._auto_offset_reset != "none":
                table.confirm(index, table.partitions[index].log.log_start)

    def log(self, index: int) -> PartitionLog:
        """The log of one partition of the table."""
        return self.table.partitions[index].log

    def _resolve(self, subscription: Subscription | None) -> tuple[PositionTable, int]:
        """A table of what `subscription` wants now, and the end of the metadata it follows."""
        self._engine.refresh()
        end = self._engine.metadata.next_offset
        if subscription is None:
            return PositionTable(), end
        with self._engine.metadata.lock:  # no topic changes between its name and its log
            topics = self._engine.topics()
            assigned = []
            for partition in subscription.resolve(topics):
                log = self._engine.partition(partition.topic, partition.partition)
                topic_id = topics[partition.topic].topic_id
                epoch = log.state().leader_epoch
                assigned.append(AssignedPartition(partition, topic_id, log, epoch))
        return PositionTable(assigned), end

    # Positions

    def begin(self, index: int) -> None:
        """Start a partition for which no position is known where `auto_offset_reset` says."""
        self._reset(index)

    def seek_to_beginning(self, index: int) -> None:
        """Go on from the first offset that there is now."""
        self.table.confirm(index, self.log(index).log_start)

    def seek_to_end(self, index: int) -> None:
        """Go on from the offset that the next record gets."""
        self.table.confirm(index, self.log(index).high_watermark)

    def check_all(self) -> Flow[None]:
        """Hold every position against its log that was set since the last time."""
        for index in sorted(self.table.unchecked):
            if not self.table.is_paused(index):
                yield from self.check(index)

    def check(self, index: int) -> Flow[None]:
        """Hold a position against the log, and reset one that fell behind the log's start.

        A position in a lost tail is never papered over: `LogTruncatedError`, whatever
        `auto_offset_reset` says (KIP-320).
        """
        partition, offset = self.table.partitions[index].topic_partition, self.table.offsets[index]
        log = self.log(index)
        start, end = log.log_start, log.log_end
        if offset > end:
            raise _truncated(partition, offset, end)
        if self.table.epochs[index] != NO_EPOCH:
            yield from call(partial(check_position, log, offset, self.table.epochs[index]))
        if start <= offset:
            self.table.confirm(index, offset)
        elif self._auto_offset_reset == "none":
            raise _out_of_range(partition, offset, start, end)
        else:
            self._reset(index)

    def _reset(self, index: int) -> None:
        """Start where `auto_offset_reset` says; with "none" there is no position."""
        match self._auto_offset_reset:
            case "earliest":
                self.seek_to_beginning(index)
            case "latest":
                self.seek_to_end(index)


def _truncated(partition: TopicPartition, offset: int, end: int) -> LogTruncatedError:
    return LogTruncatedError(
        f"{partition}: position {offset} is behind the end of the log, which is {end}: its tail "
        "was lost in a crash, or never was; seek to a position that is there, or, if a group has "
        "committed it, have the group go on elsewhere: admin.reset_offsets()",
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
