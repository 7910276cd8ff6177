"""Readers that look again: no lock, and nothing believed that was found while it changed.

A reader copies the published state, lists and opens what it needs, and then compares: segments
that were removed, exchanged or copied anew meanwhile make whatever it found worthless, an error
included. Then it starts again from the state of now. What it found under a state that still
holds is the truth, and a file that is missing then is really missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from streamlog.errors import CorruptDirectoryError, CorruptRecordError, StreamlogError
from streamlog.storage import failures
from streamlog.storage.patience import check_patience
from streamlog.storage.structure import same_segments, wait_for_exchange

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState

Found = TypeVar("Found")

_LOOKS = 8  # at the same segments: another thread may have closed a file that is in use


def look(log: PartitionLog, find: Callable[[PartitionState], Found]) -> Found:
    """What `find` finds under the published state.

    Raises what it raises under a state that still holds, `InputOutputError` for a disk that does
    not answer, `CorruptDirectoryError` for a file that is missing; `LockTimeoutError` when the
    segments never stop changing.
    """
    looks, waited_from = 0, 0.0
    while True:
        state = log.state()
        try:
            return find(state)
        except (OSError, CorruptRecordError, CorruptDirectoryError) as error:
            now = log.current_state()
            if same_segments(state, now):
                if isinstance(error, StreamlogError):
                    raise
                if not isinstance(error, FileNotFoundError):
                    raise failures.cannot_read(log, error) from error
                looks += 1
                if looks == _LOOKS:
                    raise failures.cannot_open(log, error) from error
                if looks > 1:
                    log._reader.close()
                continue
        waited_from = waited_from or time.monotonic()
        check_patience(log, waited_from, log._slots.structure_holder(log.slot))
        if now.restructuring:
            wait_for_exchange(log)
