from streamlog.storage._handle import PartitionHandle
from streamlog.storage.append_outcome import AppendResult, LogStartResult

class PartitionWriter(PartitionHandle):
    def append(
        self,
        buffer: bytearray,
        expected_end: int = -1,
        caught_up: int = -1,
        now_ms: int = 0,
        wait: bool = True,
    ) -> AppendResult: ...
    def roll(self, expected_end: int = -1, now_ms: int = 0) -> AppendResult: ...
    def advance_log_start(self, offset: int) -> LogStartResult: ...
