from typing import Any

from streamlog.storage.filesystem import ReadMap
from streamlog.storage.log_reader import FetchCursor

def appended(
    slots: Any,
    slot: int,
    mapped: ReadMap,
    cursor: FetchCursor,
    max_bytes: int,
    has_gaps: bool,
) -> tuple[memoryview, int, int, int] | None: ...
def whole_batches(view: memoryview, expected: int, wanted: int = -1) -> tuple[int, int]: ...
