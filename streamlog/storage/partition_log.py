"""`PartitionLog`: one partition as a whole, for one process.

It wires and answers; the work is elsewhere: `append.py` (the path of a batch), `log_reader.py`
and `looking.py` (reading), `partition_sync.py` (syncing), `producer_tracker.py` (idempotent
producers), `folder.py` (files), `structure.py` (whose segments may change). What this file owns is
how the answers of those become results and errors.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from streamlog.errors import PartitionPoisonedError, UnknownTopicError
from streamlog.storage import append_outcome as codes
from streamlog.storage import failures, system
from streamlog.storage.append_outcome import AppendOutcome, WouldWait
from streamlog.storage.fetched import FetchCursor, Fetched
from streamlog.storage.folder import create_folder, open_active_files
from streamlog.storage.leader_epochs import LeaderEpochs, read_leader_epochs
from streamlog.storage.log_reader import LogReader
from streamlog.storage.looking import look
from streamlog.storage.partition_sync import PartitionSync
from streamlog.storage.patience import check_patience, held
from streamlog.storage.producer_tracker import ProducerTracker, iterate
from streamlog.storage.refusing_writer import RefusingWriter
from streamlog.storage.time_lookup import find_largest_timestamp, find_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from streamlog.config import TopicConfig
    from streamlog.storage.append_outcome import AppendResult, LogStartResult
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.log_settings import LogSettings
    from streamlog.storage.shared import PartitionState
    from streamlog.storage.slots import SharedState
    from streamlog.types import OffsetAndTimestamp

_RETIRED_LIMIT = 8
_TOOK_PLACE = frozenset({codes.OK, codes.NOT_AT_EXPECTED_END, codes.BEHIND_PRODUCERS})
_TAKES_WAITING = frozenset({codes.STALE, codes.NEEDS_SEGMENTS, codes.LOCK_BUSY})


class PartitionLog:
    """Appends, reads and syncs. Thread-safe; opens its files at first use."""

    def __init__(
        self,
        filesystem: Filesystem,
        slots: SharedState,
        slot: int,
        directory: str,
        locks_descriptor: int,
        *,
        topic: str,
        partition: int,
        topic_id: bytes,
        config: TopicConfig,
        settings: LogSettings,
    ) -> None:
        self._filesystem = filesystem
        self._slots = slots
        self._map = slots.map
        self.slot = slot
        self.directory = directory
        self.topic = topic
        self.partition = partition
        self.topic_id = topic_id
        self.settings = settings
        #: Called around the opening of files, no lock held: who counts descriptors makes room.
        self.on_open: Callable[[PartitionLog], None] | None = None
        #: Called before the state is looked at again, where it is a copy of the published one.
        self.on_look: Callable[[], None] | None = None
        self._files_lock = threading.RLock()
        self._writer = system.open_writer(
            filesystem, slots, slot, directory, locks_descriptor, settings.file_mode
        )
        self._reader = LogReader(
            filesystem,
            directory,
            topic,
            partition,
            now=self.current_state,
            writable=not settings.read_only,
        )
        self.configure(config)
        #: The idempotent producers; looked at under its lock.
        self.producers = ProducerTracker(filesystem, directory, self.fetch)
        self._syncing = PartitionSync(filesystem, slots, self)

    def configure(self, config: TopicConfig) -> None:
        """Take over settings that changed. What was compacted once keeps its gaps."""
        self.config = config
        self._reader.configure(
            map_length=config.segment_bytes if self.settings.use_maps else 0,
            has_gaps=config.is_compacted or self._reader.has_gaps,
        )
        writer = self._writer
        writer.segment_bytes = config.segment_bytes
        writer.segment_ms = config.max_segment_ms
        writer.segment_jitter_ms = min(config.segment_jitter_ms, config.max_segment_ms)
        writer.index_interval_bytes = config.index_interval_bytes
        writer.segment_index_bytes = config.segment_index_bytes

    def expect_gaps(self) -> None:
        """Know that offsets are missing, though the topic may not be compacted any more."""
        self._reader.has_gaps = True

    @property
    def writer(self) -> Any:
        """The handle that appends, syncs and locks, in either kernel."""
        return self._writer

    # ---------------------------------------------------------------- state

    def state(self) -> PartitionState:
        """Everything published about the partition, at one instant."""
        return self._slots.read_state(self.slot)

    def current_state(self) -> PartitionState:
        """As `state`, brought up to date first: for who only reads it is a copy."""
        if self.on_look is not None:
            self.on_look()
        return self.state()

    @property
    def log_start(self) -> int:
        """The first offset that can be read."""
        return int(self._map.state_word(self.slot, 0))

    @property
    def published_end(self) -> Callable[[], int]:
        """Tells where the log ends now, by whomever, without a step of the interpreter."""
        return partial(self._map.log_end, self.slot)

    @property
    def log_end(self) -> int:
        """The offset that the next record gets."""
        return int(self._map.log_end(self.slot))

    @property
    def high_watermark(self) -> int:
        """The offset up to which consumers may read; without replicas the log end."""
        return int(self._map.state_word(self.slot, 3))

    @property
    def synced_end(self) -> int:
        """The offset below which the disk has everything; 0 when it has nothing."""
        synced = self._slots.read_synced(self.slot)
        return 0 if synced is None else synced.offset

    # ---------------------------------------------------------------- append

    def append(
        self,
        batches: bytearray | memoryview,
        *,
        expected_log_end: int = -1,
        check_producers: bool = False,
        now_ms: int,
        wait: bool = True,
    ) -> AppendOutcome | None:
        """Append whole batches, whose offsets and epoch are assigned in place.

        `expected_log_end`: only if the log ends there; None when it does not (the primitive of
        coordinators and expected-version appends). `check_producers`: hold them against the
        producers' sequences. Raises `failures.append_failed`, and without `wait` `WouldWait`.
        """
        if check_producers:
            with self.producers.lock:
                return self._append_checked(batches, expected_log_end, now_ms)
        result = self._append(batches, expected_log_end, -1, now_ms, wait)
        if result.code == codes.OK:
            return AppendOutcome(result.base_offset, result.next_offset - 1, result.next_offset)
        return None

    def _append_checked(
        self, batches: bytearray | memoryview, expected_log_end: int, now_ms: int
    ) -> AppendOutcome | None:
        while True:
            state = self.state()
            self._ensure_open()
            try:
                table = self.producers.catch_up(state)
            except FileNotFoundError as error:
                raise failures.cannot_open(self, error) from error
            except OSError as error:
                raise failures.cannot_read(self, error) from error
            parsed = list(iterate(batches))
            duplicate = self.producers.check(table, parsed, state.log_end)
            if duplicate is not None:
                return AppendOutcome(
                    duplicate.base_offset, duplicate.last_offset, state.log_end, duplicate=True
                )
            result = self._append(batches, expected_log_end, table.end_offset, now_ms)
            if result.code == codes.NOT_AT_EXPECTED_END:
                return None
            if result.code == codes.OK:
                if result.rolled:
                    self.producers.snapshot_at(result.base_offset)
                self.producers.applied(list(iterate(batches)), result.next_offset)
                return AppendOutcome(result.base_offset, result.next_offset - 1, result.next_offset)

    def _append(
        self,
        batches: bytearray | memoryview,
        expected: int,
        caught_up: int,
        now_ms: int,
        wait: bool = True,
    ) -> AppendResult:
        """One append that took place, or whose condition failed; everything else raises."""
        waited_from = 0.0
        while True:
            result: AppendResult = self._writer.append(batches, expected, caught_up, now_ms, wait)
            if result.code in _TOOK_PLACE:
                if wait and self._writer.retired_count > _RETIRED_LIMIT:
                    self._syncing.sync_retired()
                return result
            if not wait and result.code in _TAKES_WAITING:
                raise WouldWait
            waited_from = self._make_possible(result, len(batches), waited_from)

    def _make_possible(self, result: AppendResult, size: int, waited_from: float) -> float:
        """Do what an append or a roll was refused for, so that it is tried again, or raise.

        Since when its lock has been waited for is returned.
        """
        if result.code == codes.STALE:
            self._open_files()
        elif result.code == codes.NEEDS_SEGMENTS:
            self._syncing.sync_retired()
        elif result.code == codes.LOCK_BUSY:
            waited_from = waited_from or time.monotonic()
            check_patience(self, waited_from, result.detail)
        else:
            raise failures.append_failed(self, result, size)
        return waited_from

    def roll(self, *, expected_end: int = -1, now_ms: int) -> bool:
        """Begin a new segment at the log's end, unless the active one is empty.

        `expected_end`: only if the log ends there; False when it does not. Raises as `append`.
        """
        waited_from = 0.0
        while True:
            result: AppendResult = self._writer.roll(expected_end, now_ms)
            if result.code in _TOOK_PLACE:
                return result.code == codes.OK
            waited_from = self._make_possible(result, 0, waited_from)

    def advance_log_start(self, offset: int) -> int:
        """Let the log begin at `offset`, if it begins before it; where it begins now.

        Nobody reads what lies before it from then on; nothing is removed. Raises
        `OffsetOutOfRangeError` behind the high watermark, `PartitionPoisonedError`,
        `UnknownTopicError` for a topic that was deleted, `LockTimeoutError`.
        """
        waited_from = 0.0
        while True:
            result: LogStartResult = self._writer.advance_log_start(offset)
            if result.code == codes.OK:
                return result.log_start
            if result.code != codes.LOCK_BUSY:
                raise failures.log_start_refused(self, offset, result)
            waited_from = waited_from or time.monotonic()
            check_patience(self, waited_from, result.detail)

    def let_go_of_removed(self) -> None:
        """Keep nothing open of segments that are gone: their room is free when nobody does."""
        self._reader.let_go_of_removed(self.state())
        if self._writer.retired_count:
            self._syncing.sync_retired()

    # ---------------------------------------------------------------- files

    def _ensure_open(self) -> None:
        if self._writer.base_offset < 0:
            self._open_files()

    def _open_files(self) -> None:
        """Open the active segment that is published now, for appending."""
        if self.on_open is not None:
            self.on_open(self)
        with self._files_lock:
            state = self.state()
            if self._writer.path_generation not in {-1, state.path_generation}:
                # The file of that name is another one: what became of the old one is no matter,
                # and a sync of it may fail for ever.
                self._close_descriptors()
            if self._writer.retired_count > _RETIRED_LIMIT:
                self._syncing.sync_retired()
            try:
                files = self._open_active(state)
            except OSError as error:
                raise failures.cannot_open(self, error) from error
            self._writer.attach(*files, state.base_offset, state.path_generation)
            if self._slots.is_deleted(self.slot):  # and whoever deleted it has closed its files
                self._close_descriptors()
                raise failures.deleted(self)
        if self.on_open is not None:
            self.on_open(self)

    def _open_active(self, state: PartitionState) -> tuple[int, int, int]:
        mode = self.settings.file_mode
        try:
            return open_active_files(self._filesystem, self.directory, state.base_offset, mode)
        except FileNotFoundError:
            if state.log_end > 0 or state.base_offset > 0:
                raise
        with self.locked():
            if self._slots.is_deleted(self.slot):
                raise failures.deleted(self)
            create_folder(self._filesystem, self.directory, self.topic_id, state.leader_epoch, mode)
        return open_active_files(self._filesystem, self.directory, 0, mode)

    def locked(self) -> AbstractContextManager[None]:
        """Hold the partition's lock, to publish a change. Not for anything that waits."""
        return held(self, self._writer.lock, self._writer.unlock)

    def close(self) -> None:
        """Sync what is unsynced and close every descriptor; views stay valid. Idempotent.

        A fresh descriptor may never see a write-back error that this one would: so an unsynced
        file is not closed before it was synced. Where that could not be tried, it stays open:
        `LockTimeoutError`, `InputOutputError`. Raises `PartitionPoisonedError` when it failed.
        """
        with self._files_lock:
            try:
                if self._writer.base_offset >= 0 or self._writer.retired_count:
                    self.sync(self.log_end)
            except UnknownTopicError:
                pass  # deleted meanwhile: nothing of it needs the disk
            except PartitionPoisonedError:
                self.abandon()
                raise
            self.abandon()

    def abandon(self) -> None:
        """Close every descriptor without syncing: a fork's copies, or after a failed sync."""
        self._close_descriptors()
        self._reader.close()
        self.producers.forget()

    def refuse(self, error: Callable[[], Exception], *, forked: bool = False) -> None:
        """Close every descriptor, and answer what would need one with `error()` from now on.

        `forked`: in a child, where a thread that is not there may hold any lock.
        """
        if not forked:
            self.abandon()
        self._writer = RefusingWriter(error)

    def _close_descriptors(self) -> None:
        if self._writer.failed_sync:  # it could not be said to others: they will hear of their own
            self._writer.unlock_sync()
        for descriptor in self._writer.detach():  # waits for a sync that uses one
            self._filesystem.close(descriptor)

    @property
    def open_descriptors(self) -> int:
        """How many descriptors this partition holds now."""
        own = 3 if self._writer.base_offset >= 0 else 0
        retired: int = self._writer.retired_count
        return own + retired + self._reader.open_descriptors

    # ---------------------------------------------------------------- sync

    def sync(self, up_to: int) -> int:
        """Have everything below offset `up_to` on the disk; the offset reached.

        One sync serves every waiter of every thread and process. Raises
        `PartitionPoisonedError` when the disk refused; `LockTimeoutError`, and
        `InputOutputError` for a call that failed for itself, which leave the partition healthy.
        The `outcome` of all of them is "unknown".
        """
        return self._syncing.sync(up_to)

    # ---------------------------------------------------------------- reading

    def fetch(self, offset: int, max_bytes: int, cursor: FetchCursor | None = None) -> Fetched:
        """Whole batches from `offset` on, about `max_bytes` of them, one at least if any.

        The first may begin before `offset`. Raises `OffsetOutOfRangeError`, and
        `CorruptRecordError` where no batch can be made out; the batches are not checked.
        """
        before = self._reader.open_descriptors
        fetched = look(
            self, partial(self._reader.fetch, offset=offset, max_bytes=max_bytes, cursor=cursor)
        )
        if self.on_open is not None and self._reader.open_descriptors > before:
            self.on_open(self)
        return fetched

    def fetch_appended(self, max_bytes: int, cursor: FetchCursor) -> Fetched | None:
        """What `fetch` returns at `cursor`, where that takes no time; None where it would.

        The shortest way for who waited at the log's end.
        """
        if self.on_look is not None:
            return None
        return self._reader.fetch_appended(self._map, self.slot, max_bytes, cursor)

    def offset_for_time(self, timestamp: int) -> OffsetAndTimestamp | None:
        """The first record whose timestamp is at least `timestamp` (ListOffsets)."""
        return look(self, lambda state: find_time(self._reader, state, timestamp))

    def offset_of_max_timestamp(self) -> OffsetAndTimestamp | None:
        """The first record with the largest timestamp (KIP-734)."""
        return look(self, lambda state: find_largest_timestamp(self._reader, state))

    def leader_epochs(self) -> LeaderEpochs:
        """Where each leader epoch begins, as the partition's checkpoint has it."""
        return read_leader_epochs(self._filesystem, self.directory)

    def write_producer_snapshot(self) -> None:
        """Save the idempotent producers as of the log's end, if there are any."""
        state = self.state()
        if state.producer_batch_end > 0:
            with self.producers.lock:
                self.producers.write_snapshot(state)
