"""What stands in a writer's place when nothing may be written any more: it holds no descriptor.

The numbers of closed descriptors come back as other files; a writer that kept them would lock
and write whatever they are now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn


class RefusingWriter:
    """Answers every call that would need a descriptor with the error that `error` makes."""

    base_offset = -1
    path_generation = -1
    retired_count = 0
    failed_sync = 0
    log_fd = offset_index_fd = time_index_fd = -1

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error
        self.segment_bytes = 0
        self.segment_ms = 0
        self.segment_jitter_ms = 0
        self.index_interval_bytes = 0
        self.segment_index_bytes = 0

    def detach(self) -> list[int]:
        """Nothing: there are no descriptors."""
        return []

    def append(self, *_arguments: object) -> NoReturn:
        raise self._error()

    def attach(self, *_arguments: object) -> NoReturn:
        raise self._error()

    def sync(self, _needed: int) -> NoReturn:
        raise self._error()

    def lock(self) -> NoReturn:
        raise self._error()

    def lock_sync(self) -> NoReturn:
        raise self._error()

    def lock_structure(self) -> NoReturn:
        raise self._error()

    def roll(self, *_arguments: object) -> NoReturn:
        raise self._error()

    def advance_log_start(self, _offset: int) -> NoReturn:
        raise self._error()
