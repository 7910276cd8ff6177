"""A process's copy of a partition's idempotent producers, kept caught up with the log.

Another process may append between a check and the append it allowed. So the append carries
the condition that no batch with a producer id came since this copy was caught up; when one
did, the copy reads on from where it was and the check is made again.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError, OffsetOutOfRangeError
from streamlog.record.kernel import RecordBatch
from streamlog.storage.names import LOG, SNAPSHOT, parse_segment_name
from streamlog.storage.producer_snapshot import read_snapshot, write_snapshot
from streamlog.storage.producer_state import (
    Duplicate,
    ProducerStateTable,
    producer_batch_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamlog.storage.fetched import FetchCursor, Fetched
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.shared import PartitionState

    Fetch = Callable[[int, int, FetchCursor | None], Fetched]

_READ_BYTES = 1 << 20


class ProducerTracker:
    """The table and how far it is caught up. Whoever calls, `forget` excepted, holds `lock`."""

    def __init__(self, filesystem: Filesystem, directory: str, fetch: Fetch) -> None:
        self.lock = threading.Lock()
        self._filesystem = filesystem
        self._directory = directory
        self._fetch = fetch
        self._table: ProducerStateTable | None = None
        self._path_generation = -1

    @property
    def caught_up(self) -> int:
        """Every batch below this offset is in the table; -1 before the first catch-up."""
        return -1 if self._table is None else self._table.end_offset

    def forget(self) -> None:
        """Start again from the snapshots at the next use."""
        self._table = None

    def catch_up(self, state: PartitionState) -> ProducerStateTable:
        """The table with everything below `state.log_end` applied."""
        log_start = state.log_start
        while True:
            table = self._table_from(log_start, state)
            try:
                self._read_on(table, state.producer_batch_end)
            except OffsetOutOfRangeError as error:  # records were removed while they were read
                log_start = error.log_start
                continue
            table.end_offset = max(table.end_offset, state.log_end)
            return table

    def _table_from(self, log_start: int, state: PartitionState) -> ProducerStateTable:
        """The table as far as it is known, at `log_start` at least.

        What was removed before it was read here is in a snapshot that was written before.
        """
        table = self._table
        if table is not None and self._path_generation != state.path_generation:
            table = None
        if table is None or table.end_offset < log_start:
            found = self._newest_snapshot(max(state.log_end, log_start))
            if table is None or found.end_offset > table.end_offset:
                table = found
        table.end_offset = max(table.end_offset, log_start)
        self._table, self._path_generation = table, state.path_generation
        return table

    def _read_on(self, table: ProducerStateTable, producer_batch_end: int) -> None:
        """Apply what follows. Nothing with a producer id lies behind `producer_batch_end`."""
        cursor = None
        while table.end_offset < producer_batch_end:
            fetched = self._fetch(table.end_offset, _READ_BYTES, cursor)
            if not fetched.view:
                break
            for batch in iterate(fetched.view):
                table.apply(producer_batch_of(batch, batch.base_offset), _coordinator_epoch(batch))
            table.end_offset = max(table.end_offset, fetched.next_offset)
            cursor = fetched.cursor

    def _newest_snapshot(self, end_offset: int) -> ProducerStateTable:
        """The newest snapshot at or below `end_offset` that can be read; else an empty table."""
        while True:
            offsets = self._snapshots(end_offset)
            # Removed with its segment meanwhile: a newer one was written before.
            with contextlib.suppress(FileNotFoundError):
                return self._read_newest(offsets)

    def _read_newest(self, offsets: list[int]) -> ProducerStateTable:
        for offset in offsets:
            try:
                return read_snapshot(self._filesystem, self._directory, offset)
            except CorruptDirectoryError:
                continue  # an older one, or the log itself, says the same
        return ProducerStateTable()

    def _snapshots(self, end_offset: int) -> list[int]:
        """The offsets of the snapshots at or below `end_offset`, newest first."""
        offsets = []
        for name in self._filesystem.listdir(self._directory):
            parsed = parse_segment_name(name)
            if parsed is not None and parsed.suffix == SNAPSHOT:
                offsets.append(parsed.base_offset)
        return sorted((offset for offset in offsets if offset <= end_offset), reverse=True)

    def check(
        self, table: ProducerStateTable, batches: list[RecordBatch], log_end: int
    ) -> Duplicate | None:
        """Whether the batches may be appended: None, or the duplicate that they are.

        Each is tried on a copy before the next is checked. Raises `OutOfOrderSequenceError`
        and `InvalidProducerEpochError`.
        """
        trial = table.copy_of(batch.producer_id for batch in batches)
        offset = log_end
        first: Duplicate | None = None
        for number, batch in enumerate(batches):
            candidate = producer_batch_of(batch, offset)
            duplicate = trial.check(candidate) if batch.producer_id >= 0 else None
            if duplicate is not None and number == 0:
                first = duplicate
            if first is None:
                trial.apply(candidate)
                offset += candidate.last_offset - candidate.base_offset + 1
        return first

    def applied(self, batches: list[RecordBatch], next_offset: int) -> None:
        """Note batches that this process just appended: their offsets are patched by now."""
        if self._table is None:  # its files were closed meanwhile: the next look reads them back
            return
        for batch in batches:
            self._table.apply(producer_batch_of(batch, batch.base_offset))
        self._table.end_offset = max(self._table.end_offset, next_offset)

    def snapshot_at(self, offset: int) -> None:
        """Save the table at the base of a segment that just began: nothing since is in it.

        Without it the log itself is read back: a disk without room for it fails no append.
        """
        table = self._table
        if table is not None and len(table):
            table.end_offset = offset
            try:
                self._save(table)
            except FileNotFoundError:
                pass  # another process saved the same at this moment, or removed the folder
            except OSError as error:
                import logging

                logging.getLogger("streamlog").warning(
                    "no producer snapshot in %s: %s", self._directory, error
                )

    def write_snapshot(self, state: PartitionState) -> None:
        """Save the table at the log's end, so that nobody has to read the log for it."""
        table = self.catch_up(state)
        if len(table):
            self._save(table)

    def _save(self, table: ProducerStateTable) -> None:
        """Write a snapshot, and remove older ones that no segment begins at, as Kafka does.

        Those were written at former ends of the log, and the new one stands for them.
        """
        write_snapshot(self._filesystem, self._directory, table)
        bases, snapshots = set(), []
        for name in self._filesystem.listdir(self._directory):
            parsed = parse_segment_name(name)
            if parsed is not None and parsed.suffix == LOG:
                bases.add(parsed.base_offset)
            elif parsed is not None and parsed.suffix == SNAPSHOT:
                snapshots.append((parsed.base_offset, name))
        for offset, name in snapshots:
            if offset < table.end_offset and offset not in bases:
                with contextlib.suppress(FileNotFoundError):  # another process does the same
                    self._filesystem.unlink(f"{self._directory}/{name}")


def _coordinator_epoch(batch: RecordBatch) -> int:
    """That of a transaction's coordinator, from its marker; -1 for other batches."""
    if not batch.is_control or batch.count == 0:
        return -1
    from streamlog.record.control import parse_end_transaction_marker

    marker = parse_end_transaction_marker(batch)
    return -1 if marker is None else marker.coordinator_epoch


def iterate(view: memoryview | bytearray) -> Iterator[RecordBatch]:
    """The batches of a buffer of whole ones."""
    position = 0
    while position < len(view):
        batch = RecordBatch(view, position)
        yield batch
        position += batch.size
