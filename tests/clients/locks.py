"""Locks that another process would have: held through descriptors of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlog
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.shared import PARTITION_LOCKS, SYNC_LOCKS

LIMIT_S = 30.0


@contextmanager
def hold_partition(
    log: streamlog.StreamLog, topic: str, partition: int = 0, *, sync: bool = False
) -> Iterator[None]:
    """Have a partition's lock, or its sync byte, as another process has it."""
    position = SYNC_LOCKS if sync else PARTITION_LOCKS
    slot = log.engine().log(topic, partition).slot
    descriptor = os.open(f"{log.path}/streamlog.locks", os.O_RDWR)
    try:
        assert OS_FILESYSTEM.lock(descriptor, position + slot, 1, exclusive=True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def hold_in_thread(lock: Any) -> Iterator[Callable[[], bool]]:
    """Have a lock of this process, as another thread has it, until the block is left.

    Asked inside, it says whether the thread gave up: whoever waits for the lock on the event loop
    keeps the block from being left.
    """
    held, release = threading.Event(), threading.Event()
    gave_up: list[bool] = []

    def hold() -> None:
        with lock:
            held.set()
            if not release.wait(LIMIT_S / 3):
                gave_up.append(True)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert held.wait(LIMIT_S)
    try:
        yield lambda: bool(gave_up)
    finally:
        release.set()
        thread.join(LIMIT_S)
