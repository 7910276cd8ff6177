"""Where a consumer is in each of its partitions: a table of arrays, scanned in one call."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from streamlog.errors import UsageError
from streamlog.types import TopicPartition

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog

#: The offset of a partition that has no position yet, or none any more.
NO_POSITION = -1
#: The slot of a partition that is passed over: paused.
NO_SLOT = -1
NO_EPOCH = -1


class AssignedPartition(NamedTuple):
    """One partition of an assignment and its log, which opens its files when it has to.

    `topic_id` tells a topic from another one of the same name that was made later;
    `leader_epoch` is the metadata's.
    """

    topic_partition: TopicPartition
    topic_id: str
    log: PartitionLog
    leader_epoch: int


class PositionTable:
    """The positions of one assignment, by index.

    `offsets` and `slots` are parallel and in the order of the assignment. A position is the
    offset of the next record wanted; `epochs` holds the leader epoch under which it was right.
    """

    __slots__ = ("_index", "_paused", "epochs", "offsets", "partitions", "slots", "unchecked")

    def __init__(self, partitions: Iterable[AssignedPartition] = ()) -> None:
        self.partitions = list(partitions)
        self._index = {each.topic_partition: at for at, each in enumerate(self.partitions)}
        self._paused: set[int] = set()
        self.offsets = array("q", [NO_POSITION]) * len(self.partitions)
        self.epochs = array("q", [NO_EPOCH]) * len(self.partitions)
        self.slots = array("q", [each.log.slot for each in self.partitions])
        # Positions that were set from outside and have not been held against the log.
        self.unchecked: set[int] = set(range(len(self.partitions)))

    def __len__(self) -> int:
        return len(self.partitions)

    def __iter__(self) -> Iterator[TopicPartition]:
        return iter(self._index)

    def index(self, partition: TopicPartition) -> int:
        """Raises `UsageError` for a partition that is not assigned."""
        try:
            return self._index[partition]
        except (KeyError, TypeError):
            raise UsageError(
                f"{_named(partition)} is not assigned to this consumer",
                partition=partition,
            ) from None

    def find(self, partition: AssignedPartition) -> int | None:
        """The index of a partition of this or an earlier table; None when it is there no more."""
        index = self._index.get(partition.topic_partition)
        if index is None or self.partitions[index].topic_id != partition.topic_id:
            return None
        return index

    def indexes(self, partitions: Iterable[TopicPartition]) -> list[int]:
        """The indexes of these partitions. Raises `UsageError`, as `index` does."""
        return [self.index(each) for each in partitions]

    def put(self, index: int, offset: int, leader_epoch: int = NO_EPOCH) -> None:
        """Put a position, to be held against the log before it is used."""
        self.offsets[index] = offset
        self.epochs[index] = leader_epoch
        self.unchecked.add(index)

    def confirm(self, index: int, offset: int) -> None:
        """Put a position that the log has."""
        self.offsets[index] = offset
        self.epochs[index] = self.partitions[index].leader_epoch
        self.unchecked.discard(index)

    def carry_over(self, older: PositionTable) -> list[int]:
        """Take positions and pauses from the table before; the indexes of what is new."""
        new = []
        for at, each in enumerate(self.partitions):
            before = older.find(each)
            if before is None:
                new.append(at)
                continue
            self.offsets[at] = older.offsets[before]
            self.epochs[at] = older.epochs[before]
            if before not in older.unchecked and (
                older.partitions[before].leader_epoch == each.leader_epoch
            ):
                self.unchecked.discard(at)
            if before in older._paused:
                self.pause(at)
        return new

    def pause(self, index: int) -> None:
        """Pass over this partition until it is resumed."""
        self._paused.add(index)
        self.slots[index] = NO_SLOT

    def resume(self, index: int) -> None:
        """Read this partition again."""
        self._paused.discard(index)
        self.slots[index] = self.partitions[index].log.slot

    def is_paused(self, index: int) -> bool:
        """Whether this partition is passed over."""
        return index in self._paused

    def paused(self) -> set[TopicPartition]:
        """What is passed over."""
        return {self.partitions[index].topic_partition for index in self._paused}


def _named(partition: object) -> str:
    if isinstance(partition, TopicPartition):
        return str(partition)
    return f"{partition!r} (a TopicPartition is expected)"
