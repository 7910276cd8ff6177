"""What a consumer commits for its group: what was handed out and done with, and when by itself.

What was handed out before the user asks for more is done with. So when a poll begins everything
is, at any other time all but what was handed out last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from streamlog.clients.flows import Flow, call
from streamlog.clients.positions import NO_EPOCH
from streamlog.clients.subscription import checked_partition
from streamlog.config.checking import size_of_text
from streamlog.config.settings import INT_MAX, LONG_MAX
from streamlog.errors import ConfigError
from streamlog.types import OffsetAndMetadata, TopicPartition

if TYPE_CHECKING:
    from array import array

    from streamlog.broker.engine import Engine
    from streamlog.clients.fetcher import Fetcher
    from streamlog.clients.group_client import GroupClient, Member
    from streamlog.clients.positions import PositionTable
    from streamlog.config import ConsumerConfig

Offsets = Mapping[TopicPartition, "int | OffsetAndMetadata"]


class GroupOffsets:
    """The commits of one consumer. `member` says as whom: its id and epoch."""

    def __init__(
        self,
        engine: Engine,
        config: ConsumerConfig,
        fetcher: Fetcher,
        client: GroupClient,
        member: Callable[[], Member],
    ) -> None:
        self._engine = engine
        self._fetcher = fetcher
        self._client = client
        self._member = member
        self._by_itself = config.enable_auto_commit
        self._interval = config.auto_commit_interval_ms / 1000
        self._last = engine.clock.monotonic()
        self._committed: dict[TopicPartition, int] = {}
        self._table: PositionTable | None = None  # of the last poll
        self._before: array[int] | None = None  # the positions when it began
        self._after: array[int] | None = None  # and when it was over

    # ---------------------------------------------------------------- what is consumed

    def begin_poll(self) -> None:
        """The next records are about to be handed out: those before are done with."""
        self._table = self._fetcher.table
        self._before, self._after = self._table.offsets[:], None

    def end_poll(self) -> None:
        """They are handed out, and being worked on."""
        self._fetcher.settle()
        if self._table is self._fetcher.table:
            self._after = self._table.offsets[:]

    def consumed(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """The positions: behind everything that was handed out."""
        self._fetcher.settle()
        table = self._fetcher.table
        return self._positions(table, table.offsets)

    def _done_with(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """What surely is, when somebody leaves in the middle: not what was handed out last."""
        self._fetcher.settle()
        table, loaded = self._fetcher.table, self._fetcher.loaded
        offsets = table.offsets[:]
        if table is self._table and self._before is not None and offsets == self._after:
            offsets = self._before
        elif loaded is not None:
            offsets[loaded] -= 1  # the position is behind the record that was iterated to
        found = self._positions(table, offsets)
        return {
            partition: offset
            for partition, offset in found.items()
            if offset.offset >= self._committed.get(partition, 0)
        }

    def _positions(
        self, table: PositionTable, offsets: array[int]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        return {
            each.topic_partition: OffsetAndMetadata(
                offsets[at], "", None if table.epochs[at] == NO_EPOCH else table.epochs[at]
            )
            for at, each in enumerate(table.partitions)
            if offsets[at] >= 0
        }

    # ---------------------------------------------------------------- committing

    def commit(self, offsets: Offsets | None = None) -> Flow[None]:
        """Commit these offsets, or all positions; those that are committed already if they all are.

        Raises `GroupError`, `UnknownTopicError`, `ConfigError`.
        """
        if offsets is None:
            consumed = self.consumed()
            yield from self._commit(self._changed(consumed) or consumed)
        else:
            checked = yield from call(partial(self._checked, offsets))
            yield from self._commit(checked)

    def commit_if_due(self) -> Flow[None]:
        """What a poll does: all that was handed out before it, every `auto_commit_interval_ms`."""
        if not self._by_itself:
            return
        now = self._engine.clock.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            yield from self._commit(self._changed(self.consumed()))

    def commit_at_end(self, *, in_the_middle: bool = False) -> Flow[None]:
        """What giving up partitions, or closing, does. `in_the_middle`: of handling records."""
        if self._by_itself:
            done = self._done_with() if in_the_middle else self.consumed()
            yield from self._commit(self._changed(done))

    def _changed(
        self, offsets: dict[TopicPartition, OffsetAndMetadata]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        committed = self._committed
        return {p: offset for p, offset in offsets.items() if committed.get(p) != offset.offset}

    def _commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> Flow[None]:
        if offsets:
            yield from call(partial(self._client.commit, self._member(), offsets))
            self._committed.update((p, each.offset) for p, each in offsets.items())

    def _checked(self, offsets: Offsets) -> dict[TopicPartition, OffsetAndMetadata]:
        if not isinstance(offsets, Mapping):
            raise ConfigError(f"offsets by partition are expected, not {offsets!r}")
        return {
            checked_partition(each, self._engine.topic): _typed(each, offset)
            for each, offset in offsets.items()
        }

    # ---------------------------------------------------------------- what is committed

    def committed(
        self, partitions: Iterable[TopicPartition]
    ) -> Flow[dict[TopicPartition, OffsetAndMetadata | None]]:
        """What the group has committed of these partitions; None where it has nothing."""
        asked = list(partitions)
        found = yield from call(partial(self._client.committed, asked))
        return {partition: found.get(partition) for partition in asked}

    def begin_there(self, indexes: Iterable[int]) -> Flow[None]:
        """Go on where the group was in these partitions; where it never was, as the setting says.

        Raises `OffsetOutOfRangeError` with `auto_offset_reset="none"`, when they are read.
        """
        table = self._fetcher.table
        partitions = {table.partitions[at].topic_partition: at for at in indexes}
        if not partitions:
            return
        found = yield from call(partial(self._client.committed, list(partitions)))
        for partition, at in partitions.items():
            known = found.get(partition)
            if known is None:
                self._committed.pop(partition, None)
                self._fetcher.assignment.begin(at)
            else:
                self._committed[partition] = known.offset
                epoch = NO_EPOCH if known.leader_epoch is None else known.leader_epoch
                table.put(at, known.offset, epoch)


def _typed(partition: TopicPartition, offset: Any) -> OffsetAndMetadata:
    given = offset if isinstance(offset, OffsetAndMetadata) else OffsetAndMetadata(offset)
    number, metadata, epoch = given
    if not _is_integer(number, 0, LONG_MAX):
        raise ConfigError(
            f"an offset of {partition} is an integer from 0 up, of 64 bits, not {number!r}",
            value=number,
        )
    if not isinstance(metadata, str):
        raise ConfigError(f"an offset's metadata is a str, not {metadata!r}", value=metadata)
    size_of_text(f"the metadata of an offset of {partition}", metadata)
    if epoch is not None and not _is_integer(epoch, NO_EPOCH, INT_MAX):
        raise ConfigError(
            f"a leader epoch is an integer from {NO_EPOCH} up, of 32 bits, or None, not {epoch!r}",
            value=epoch,
        )
    return given


def _is_integer(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
