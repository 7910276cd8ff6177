from typing import Any

from streamlog.storage.fetched import FetchCursor, Fetched
from streamlog.storage.filesystem import ReadMap

def appended(
    slots: Any,
    slot: int,
    mapped: ReadMap | None,
    cursor: FetchCursor,
    max_bytes: int,
    has_gaps: bool,
    path: str,
) -> Fetched | None: ...
def whole_batches(view: memoryview, expected: int, wanted: int = -1) -> tuple[int, int]: ...
