"""Which leader epoch began at which offset (facts 6.1), and the file that remembers it.

Entries ascend in both columns; every change keeps that. A position that a reader remembers
as (epoch, offset) is checked against them: that is how a reader learns that the log it knew
lost its tail.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.checkpoints import format_checkpoint, int_or_none, parse_checkpoint
from streamlog.storage.names import LEADER_EPOCHS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.storage.filesystem import Filesystem

UNDEFINED_EPOCH = -1
UNDEFINED_OFFSET = -1


class EpochEntry(NamedTuple):
    """Epoch `epoch` writes from `start_offset` on, up to the next entry."""

    epoch: int
    start_offset: int


class EpochEnd(NamedTuple):
    """Where an epoch ends; both are -1 when this log does not know."""

    epoch: int
    end_offset: int


class LeaderEpochs:
    """The epochs of one partition, oldest first. Changes in memory only; `write` stores them."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._entries: list[EpochEntry] = []
        for epoch, start_offset in entries:
            self.assign(epoch, start_offset)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LeaderEpochs) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"LeaderEpochs({[tuple(entry) for entry in self._entries]})"

    @property
    def entries(self) -> tuple[EpochEntry, ...]:
        """All entries, oldest first."""
        return tuple(self._entries)

    @property
    def latest(self) -> EpochEntry | None:
        """The newest entry, or None when no epoch was ever assigned."""
        return self._entries[-1] if self._entries else None

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Note that `epoch` starts at `start_offset`; whether that changed anything.

        What contradicts the new entry (an epoch not lower, or a start not lower) goes.
        """
        if epoch < 0 or start_offset < 0:
            raise ValueError(f"epoch {epoch} at offset {start_offset}: neither may be negative")
        latest = self.latest
        if latest is not None and latest.epoch == epoch and start_offset >= latest.start_offset:
            return False
        while self._entries and (
            self._entries[-1].epoch >= epoch or self._entries[-1].start_offset >= start_offset
        ):
            self._entries.pop()
        self._entries.append(EpochEntry(epoch, start_offset))
        return True

    def epoch_at(self, offset: int) -> int:
        """The epoch that wrote `offset`, or -1 when it is before the first entry."""
        index = bisect_right(self._entries, offset, key=lambda entry: entry.start_offset) - 1
        return self._entries[index].epoch if index >= 0 else UNDEFINED_EPOCH

    def end_offset_for(self, epoch: int, log_end: int) -> EpochEnd:
        """Where `epoch` ended, as OffsetsForLeaderEpoch answers it (KIP-101, KIP-279)."""
        latest = self.latest
        if epoch < 0 or latest is None or epoch > latest.epoch:
            return EpochEnd(UNDEFINED_EPOCH, UNDEFINED_OFFSET)
        if epoch == latest.epoch:
            return EpochEnd(epoch, log_end)
        higher = bisect_right(self._entries, epoch, key=lambda entry: entry.epoch)
        floor = self._entries[higher - 1].epoch if higher else epoch
        return EpochEnd(floor, self._entries[higher].start_offset)

    def truncate_from_end(self, end_offset: int) -> bool:
        """Forget epochs that start at or behind `end_offset`; whether that changed anything."""
        before = len(self._entries)
        while self._entries and self._entries[-1].start_offset >= end_offset:
            self._entries.pop()
        return len(self._entries) != before

    def truncate_from_start(self, start_offset: int) -> bool:
        """Let the log begin at `start_offset`; whether that changed anything.

        The epoch that `start_offset` falls into is kept, as starting there.
        """
        kept = bisect_right(self._entries, start_offset, key=lambda entry: entry.start_offset)
        if kept == 0:
            return False
        first = EpochEntry(self._entries[kept - 1].epoch, start_offset)
        changed = self._entries[:kept] != [first]
        self._entries[:kept] = [first]
        return changed


def parse_leader_epochs(data: bytes, file: str = LEADER_EPOCHS) -> LeaderEpochs:
    """The file's entries. Raises `CorruptDirectoryError` unless both columns ascend."""
    epochs = LeaderEpochs()
    for epoch_text, offset_text in parse_checkpoint(data, file, columns=2):
        epoch, start_offset = int_or_none(epoch_text), int_or_none(offset_text)
        latest = epochs.latest
        if epoch is None or start_offset is None or epoch < 0 or start_offset < 0:
            raise _malformed(file, f"{epoch_text} {offset_text} are not numbers")
        if latest is not None and (epoch <= latest.epoch or start_offset <= latest.start_offset):
            raise _malformed(file, f"epoch {epoch} at {start_offset} does not ascend")
        epochs.assign(epoch, start_offset)
    return epochs


def format_leader_epochs(epochs: LeaderEpochs) -> bytes:
    """The file's bytes."""
    return format_checkpoint(f"{epoch} {offset}" for epoch, offset in epochs.entries)


def read_leader_epochs(filesystem: Filesystem, directory: str) -> LeaderEpochs:
    """The epochs of the partition in `directory`; none when the file is missing.

    Raises `CorruptDirectoryError` for a malformed file.
    """
    path = f"{directory}/{LEADER_EPOCHS}"
    if not filesystem.exists(path):
        return LeaderEpochs()
    return parse_leader_epochs(filesystem.read_file(path), path)


def write_leader_epochs(
    filesystem: Filesystem, directory: str, epochs: LeaderEpochs, *, mode: int = 0o600
) -> None:
    """Store the epochs, atomically and durably."""
    path = f"{directory}/{LEADER_EPOCHS}"
    filesystem.write_atomically(path, format_leader_epochs(epochs), mode=mode)


def _malformed(file: str, why: str) -> CorruptDirectoryError:
    return CorruptDirectoryError(f"leader epochs in {file} cannot be read: {why}", file=file)
