from streamlog.storage._handle import PartitionHandle
from streamlog.storage.append_outcome import AppendResult

class PartitionWriter(PartitionHandle):
    def append(
        self, buffer: bytearray, expected_end: int = -1, caught_up: int = -1, now_ms: int = 0
    ) -> AppendResult: ...
    def roll(self, expected_end: int = -1, now_ms: int = 0) -> AppendResult: ...
