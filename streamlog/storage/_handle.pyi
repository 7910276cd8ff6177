from streamlog.storage._system import SharedMap
from streamlog.storage.append_outcome import SyncResult

class PartitionHandle:
    slot: int
    directory: str
    log_fd: int
    offset_index_fd: int
    time_index_fd: int
    base_offset: int
    path_generation: int
    retired_count: int
    segment_bytes: int
    segment_ms: int
    index_interval_bytes: int
    segment_index_bytes: int
    def __init__(
        self, shared: SharedMap, slot: int, directory: str, locks_fd: int, mode: int = 0o600
    ) -> None: ...
    def attach(
        self,
        log_fd: int,
        offset_index_fd: int,
        time_index_fd: int,
        base_offset: int,
        path_generation: int,
    ) -> None: ...
    def detach(self) -> list[int]: ...
    def take_retired(self) -> list[int]: ...
    def lock(self) -> tuple[int, int]: ...
    def unlock(self) -> None: ...
    def lock_sync(self) -> tuple[int, int]: ...
    def unlock_sync(self) -> None: ...
    failed_sync: int
    def lock_structure(self) -> tuple[int, int]: ...
    def unlock_structure(self) -> None: ...
    def sync(self, needed: int) -> SyncResult: ...
