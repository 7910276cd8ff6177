"""Syncing one partition, for one process: who syncs, over which segments, and what a failure means.

`handle.py` serves the usual case, `sync.py` the order over several segments. What fails here is
one of two things. The disk refused: then the partition is poisoned, for everybody, since the next
sync would be told that all is well. Or the call itself could not be made (no lock to be had, no
descriptor left): that is an error of this call, and the partition is as healthy as it was.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

from streamlog.errors import FailedWriteError
from streamlog.storage import append_outcome as codes
from streamlog.storage import failures
from streamlog.storage.patience import check_patience
from streamlog.storage.sync import sync_segments_locked

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.slots import SharedState

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


class PartitionSync:
    """What `PartitionLog.sync` does."""

    def __init__(self, filesystem: Filesystem, slots: SharedState, log: PartitionLog) -> None:
        self._filesystem = filesystem
        self._slots = slots
        self._log = log

    def sync(self, up_to: int) -> int:
        """See `PartitionLog.sync`."""
        log = self._log
        if not log.settings.durable:
            return log.log_end
        waited_from = 0.0
        while True:
            writer = log.writer
            try:
                result = writer.sync(up_to)
            finally:
                if writer.failed_sync:  # now, or before, when the slot could not be written
                    self._poison()
            if result.code == codes.OK:
                return int(result.offset)
            if result.code == codes.NEEDS_SEGMENTS:
                reached = self._sync_segments(up_to)
                if reached is not None:
                    return reached
            elif result.code == codes.LOCK_BUSY:
                waited_from = waited_from or time.monotonic()
                check_patience(log, waited_from, result.detail, outcome="unknown")
            elif result.code == codes.SYSTEM_ERROR:
                raise failures.lock_failed(log, result.detail, outcome="unknown")
            else:
                raise failures.poisoned(log, result.detail, outcome="unknown")

    def sync_retired(self) -> None:
        """Close the descriptors of segments that were rolled, once they have been synced.

        Also where another process synced as far: only they hear of an error of their own.
        """
        if self._log.settings.durable:
            self._sync_segments(self._log.log_end)
            return
        for descriptor in self._log.writer.take_retired():
            self._filesystem.close(descriptor)

    def _sync_segments(self, up_to: int) -> int | None:
        """The sync over several segments; None while somebody else has the sync byte."""
        log, writer = self._log, self._log.writer
        code, detail = writer.lock_sync()
        if code == codes.SYSTEM_ERROR:
            raise failures.lock_failed(log, detail, outcome="unknown")
        if code != codes.OK:
            return None
        retired = writer.take_retired()
        try:
            if log.state().poisoned:  # meanwhile: a second sync would say that all is well
                return None
            synced = self._slots.read_synced(log.slot)
            if synced is not None and synced.offset >= up_to and not retired:
                return synced.offset
            return sync_segments_locked(
                self._filesystem, self._slots, log.slot, log.directory, retired
            )
        except OSError as error:
            if self._slots.is_deleted(log.slot):
                raise failures.deleted(log) from error
            if error.errno in _OUT_OF_DESCRIPTORS:
                raise failures.cannot_sync(log, error) from error
            writer.failed_sync = error.errno or errno.EIO
            raise failures.poisoned(log, error.errno or 0, outcome="unknown") from error
        finally:
            try:
                if writer.failed_sync:
                    self._poison()
                else:
                    writer.unlock_sync()
            finally:
                for descriptor in retired:
                    self._filesystem.close(descriptor)

    def _poison(self) -> None:
        """Refuse every further write, in every process, until the partition is recovered.

        The sync byte is held until the slot says so, and let go of then: nobody is told meanwhile
        that all is well. Where the slot cannot be written now, the next sync tries again.
        """
        log, writer = self._log, self._log.writer
        try:
            with log.locked():
                number, state = writer.failed_sync, log.state()
                if number and not state.poisoned:
                    self._slots.publish_state(log.slot, state._replace(poisoned=number))
                if number:
                    writer.unlock_sync()
        except FailedWriteError as error:
            raise failures.failed_sync_unsaid(log, error) from error
