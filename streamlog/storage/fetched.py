"""What a read of a partition gives, and where the next one goes on."""

from __future__ import annotations

from typing import NamedTuple


class FetchCursor(NamedTuple):
    """Where the next read goes on: it saves the index lookup. Worth nothing by itself.

    `files` is what its position is true for.
    """

    offset: int
    segment: int
    position: int
    files: tuple[int, int]


class Fetched(NamedTuple):
    """Whole batches, the first of which holds the wanted offset or is the first behind it.

    `view` is empty at the log's end. `file` and `position` say where the view lies.
    """

    view: memoryview
    next_offset: int
    log_end: int
    cursor: FetchCursor | None
    file: str
    position: int
