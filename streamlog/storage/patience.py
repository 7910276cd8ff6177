"""Waiting for a partition's locks: in slices, so that signals are heard, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamlog.storage import append_outcome as codes
from streamlog.storage import failures

if TYPE_CHECKING:
    from streamlog.errors import Outcome
    from streamlog.storage.partition_log import PartitionLog


@contextmanager
def held(
    log: PartitionLog,
    take: Callable[[], tuple[int, int]],
    release: Callable[[], None],
    *,
    wait: bool = True,
) -> Iterator[None]:
    """Hold one of the writer's locks. Raises `LockTimeoutError` naming the process that has it.

    Without `wait` that is raised after one slice of waiting. `InputOutputError` where the lock
    itself could not be asked for.
    """
    waited_from = 0.0
    while True:
        code, holder = take()
        if code == codes.OK:
            break
        if code == codes.SYSTEM_ERROR:
            raise failures.lock_failed(log, holder, outcome="not_written")
        if not wait:
            raise failures.lock_timeout(log, holder)
        waited_from = waited_from or time.monotonic()
        check_patience(log, waited_from, holder)
    try:
        yield
    finally:
        release()


def check_patience(
    log: PartitionLog, since: float, holder: int, outcome: Outcome = "not_written"
) -> None:
    """Raises `LockTimeoutError` once `lock_timeout_ms` have passed since the monotonic time."""
    if (time.monotonic() - since) * 1000 >= log.settings.lock_timeout_ms:
        raise failures.lock_timeout(log, holder, outcome=outcome)
