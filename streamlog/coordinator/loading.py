"""The log of a coordinator, read from its batches: what is said again later is passed over."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from streamlog.record.control import ControlType, parse_end_transaction_marker
from streamlog.record.kernel import KERNEL, RecordBatch

_COMPILED = "streamlog.coordinator._last_records"

if TYPE_CHECKING or KERNEL == "pure" or find_spec(_COMPILED) is None:
    from streamlog.coordinator.last_records import last_records
else:
    last_records = import_module(_COMPILED).last_records

TakeRecord = Callable[[bytes, "bytes | None", int, int], None]
"""Takes a key, a value, the record's offset, and its transaction's producer id or -1."""

_NO_PRODUCER = -1


class TakeMarker(Protocol):
    """Takes the end of a producer's transaction."""

    def __call__(self, producer_id: int, /, *, committed: bool) -> None: ...


class LogReader:
    """Hands the records of batches to who takes them in, in the order of the log.

    Between two transactions, of the records with the same key only the last: the log would say
    no more once it was compacted.
    """

    __slots__ = ("_take_marker", "_take_record", "next_offset")

    def __init__(self, take_record: TakeRecord, take_marker: TakeMarker, next_offset: int) -> None:
        self._take_record = take_record
        self._take_marker = take_marker
        self.next_offset = next_offset

    def read(self, batches: bytes | memoryview) -> None:
        """Take in whole batches, the first of which is the one behind the last one."""
        position = 0
        while position < len(batches):
            records, position, next_offset = last_records(batches, position)
            for offset, key, value in records:
                self._take_record(key, value, offset, _NO_PRODUCER)
            if next_offset >= 0:
                self.next_offset = next_offset
            if position < len(batches):
                position += self._read_batch(RecordBatch(batches, position))

    def _read_batch(self, batch: RecordBatch) -> int:
        """A batch of another kind; returns its size."""
        if batch.is_control:
            marker = parse_end_transaction_marker(batch) if batch.count else None
            if marker is not None:
                self._take_marker(marker.producer_id, committed=marker.type is ControlType.COMMIT)
        else:
            producer_id = batch.producer_id if batch.is_transactional else _NO_PRODUCER
            for record in batch:
                if record.key is not None:
                    self._take_record(record.key, record.value, record.offset, producer_id)
        self.next_offset = batch.next_offset
        return batch.size
