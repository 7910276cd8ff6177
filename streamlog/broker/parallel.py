"""Several files at a time: what waits for the disk, waits for all of it at once.

Syncs of different files share the work of the file system's journal, so a few threads that sync
get through in a fraction of the time that one needs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")

THREADS = 16


def in_parallel(
    work: Callable[[Item], object], items: Iterable[Item], *, threads: int = THREADS
) -> None:
    """Call `work` for every item, in the order of the items, by up to `threads` threads.

    This thread is one of them. When all have come back, the first error of them is raised. An
    interrupt ends it after the items that were begun.
    """
    waiting = deque(items)
    failures: list[Exception] = []

    def take_turns() -> None:
        while True:
            try:
                item = waiting.popleft()
            except IndexError:
                return
            try:
                work(item)
            except Exception as error:  # noqa: BLE001  # raised below
                failures.append(error)

    helpers = _start_helpers(take_turns, min(len(waiting), threads) - 1)
    try:
        take_turns()
    finally:
        waiting.clear()
        for helper in helpers:
            helper.join()
    if failures:
        raise failures[0]


def _start_helpers(work: Callable[[], None], count: int) -> list[threading.Thread]:
    helpers: list[threading.Thread] = []
    try:
        for _ in range(count):
            helper = threading.Thread(target=work, name="streamlog sync", daemon=True)
            helper.start()
            helpers.append(helper)
    except RuntimeError:  # the interpreter ends and starts no more threads: this one does it all
        pass
    return helpers
