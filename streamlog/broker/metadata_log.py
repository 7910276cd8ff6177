"""The metadata log as a process sees it: what was replayed of it so far, and how to change it.

`refresh` replays what other processes appended; it costs one load when there is nothing. A
change is decided on the replayed image and appended on condition that nothing came between;
otherwise it is decided again. It is synced before it counts.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from streamlog.broker import metadata_records, metadata_snapshot
from streamlog.broker.metadata_image import MetadataImage
from streamlog.config import TopicConfig
from streamlog.errors import CorruptDirectoryError, OffsetOutOfRangeError
from streamlog.protocol.metadata_frame import decode_metadata
from streamlog.record.kernel import RecordBatch
from streamlog.storage.names import METADATA_TOPIC

if TYPE_CHECKING:
    from streamlog.clock import Clock
    from streamlog.protocol import Uuid
    from streamlog.storage.append_outcome import AppendOutcome
    from streamlog.storage.fetched import FetchCursor
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.properties import MetaProperties

_FETCH_BYTES = 1 << 20

Decide = Callable[[MetadataImage], list[Any]]


class RemovalWatcher(Protocol):
    """Somebody who has to know at once that topics went."""

    def topics_removed(self) -> None:
        """Called under the metadata's lock, by whoever found out; it must not wait."""


class MetadataLog:
    """The image of `__cluster_metadata-0` and the door for changing it. Thread-safe.

    `log` is the partition; `image` is looked at under `lock`, since a refresh changes it.
    """

    def __init__(
        self,
        log: PartitionLog,
        meta: MetaProperties,
        filesystem: Filesystem,
        clock: Clock,
    ) -> None:
        self.log = log
        self.meta = meta
        self.lock = threading.RLock()
        self.image = MetadataImage(meta.node_id)
        #: Told which topics have other settings, before anybody is given the image that says so.
        self.on_reconfigured: Callable[[set[Uuid]], None] | None = None
        self._filesystem = filesystem
        self._clock = clock
        self._next_offset = 0
        self._settled_end = 0  # everything below is replayed, and who has to know was told
        self._cursor: FetchCursor | None = None
        #: Where the log ends now, by whomever: one load, without a step of the interpreter.
        self.published_end: Callable[[], int] = log.published_end
        self._watchers: weakref.WeakSet[RemovalWatcher] = weakref.WeakSet()
        self._load_snapshot()

    @property
    def next_offset(self) -> int:
        """The offset behind the last record replayed."""
        return self._next_offset

    def refresh(self) -> MetadataImage:
        """The image with everything replayed that is published now."""
        if self.log.log_end == self._settled_end:
            return self.image
        with self.lock:
            before = self.image, len(self.image.removed)
            try:
                while self._next_offset != self.log.log_end:
                    try:
                        self._replay_some()
                    except OffsetOutOfRangeError:
                        if self._next_offset >= self.log.log_start:
                            raise
                        self._load_snapshot()  # another process trimmed the log meanwhile
            finally:
                if before != (self.image, len(self.image.removed)):
                    for watcher in list(self._watchers):
                        watcher.topics_removed()
            self._tell()
            self._settled_end = self._next_offset
        return self.image

    def watch_removals(self, watcher: RemovalWatcher) -> None:
        """Tell `watcher`, for as long as it lives, when topics were removed, by whomever."""
        self._watchers.add(watcher)

    def _tell(self) -> None:
        reconfigured = self.image.reconfigured
        if reconfigured:
            self.image.reconfigured = set()
            if self.on_reconfigured is not None:
                self.on_reconfigured(reconfigured)

    def change(
        self, decide: Decide, *, sync: bool = True, validate_only: bool = False
    ) -> MetadataImage:
        """Append the records that `decide` returns for the image as it is, and sync them.

        Without `sync` they are on the disk when the next change is, or when the log is closed.
        With `validate_only` they are decided, and nothing else.

        `decide` may be called again on a newer image, when another process was faster; it raises
        what speaks against the change and returns nothing when there is nothing to change.
        """
        with self.lock:
            while True:
                records = decide(self.refresh())
                if not records or validate_only:
                    return self.image
                batch = metadata_records.encode_batch(records, self._clock.now_ms())
                outcome = self._append(batch)
                if outcome is not None:
                    if sync:
                        self.log.sync(outcome.log_end)
                    self.refresh()
                    self._trim()
                    return self.image

    def _append(self, batch: bytearray) -> AppendOutcome | None:
        config = self.log.config
        if len(batch) > config.segment_bytes:
            # A change is one batch, and a batch lies in one segment.
            self.log.configure(
                TopicConfig.from_overrides(
                    {**config.overrides, "internal.segment.bytes": str(len(batch))}
                )
            )
        try:
            return self.log.append(
                batch, expected_log_end=self._next_offset, now_ms=self._clock.now_ms()
            )
        finally:
            self.log.configure(config)

    def _trim(self) -> None:
        """Trim the log when full segments lie before the active one, and a snapshot can stand for
        them. What fails is tried again: the change stands already.
        """
        state = self.log.state()
        if state.base_offset <= state.log_start or not self.image.is_complete:
            return
        from streamlog.broker import metadata_trim

        try:
            metadata_trim.trim(
                self._filesystem,
                self.log,
                self.image,
                self._next_offset,
                self.meta,
                self._clock.now_ms(),
            )
        except OSError as error:
            import logging

            logging.getLogger("streamlog").warning("the metadata log was not trimmed: %s", error)

    def sync(self) -> None:
        """Have on the disk what was replayed: what follows from a record comes after it."""
        self.log.sync(self._next_offset)

    def _replay_some(self) -> None:
        fetched = self.log.fetch(self._next_offset, _FETCH_BYTES, self._cursor)
        if not fetched.view:
            raise CorruptDirectoryError(
                f"the metadata log ends at {self.log.log_end}, but has nothing at "
                f"{self._next_offset}",
                file=self.log.directory,
            )
        self._next_offset = replay_batches(fetched.view, self.image, self._next_offset)
        self._cursor = fetched.cursor

    def _load_snapshot(self) -> None:
        """Begin from the newest snapshot, where there is one; the log continues it."""
        log_start = self.log.log_start  # looked at first: it moves when there is a snapshot
        found = metadata_snapshot.read_newest(self._filesystem, self.log.directory)
        if found is None:
            if log_start > 0:
                raise CorruptDirectoryError(
                    f"the metadata log begins at {log_start} and no snapshot stands "
                    "for what came before",
                    file=self.log.directory,
                )
            return
        end_offset, data = found
        if end_offset > self.log.log_end:
            raise CorruptDirectoryError(
                f"the newest snapshot of the metadata log ends at {end_offset}, the log itself at "
                f"{self.log.log_end}: its tail is missing",
                file=self.log.directory,
            )
        image = MetadataImage(self.meta.node_id)
        replay_batches(memoryview(data), image, 0)
        image.reconfigure_all()  # what it has no setting for may have had one before
        self.image = image
        self._next_offset = end_offset
        self._cursor = None


def replay_batches(view: memoryview, image: MetadataImage, next_offset: int) -> int:
    """Replay whole batches from `next_offset` on; the offset behind them.

    Raises `CorruptRecordError` for a batch that does not check.
    """
    position = 0
    while position < len(view):
        batch = RecordBatch(view, position)
        batch.check()
        position += batch.size
        if not batch.is_control:
            for record in batch.records(METADATA_TOPIC, 0, next_offset):
                image.replay(decode_metadata(record.value))
        next_offset = batch.next_offset
    return next_offset
