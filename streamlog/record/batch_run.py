"""The whole batches of a buffer, checked and decided upon. The compiled twin: `_batch_run.pyx`."""

from __future__ import annotations

from collections.abc import Iterator

from streamlog.record import layout
from streamlog.record.batch import RecordBatch
from streamlog.record.byteslike import BytesLike
from streamlog.record.cleaning_outcome import BatchDecision, Decide
from streamlog.record.corruption import BAD_OFFSET, malformed_batch

_DECIDED = layout.TRANSACTIONAL_BIT | layout.CONTROL_BIT


class BatchRun:
    """Iterates over (batch, decision), up to the buffer's end or a batch that is cut there.

    `consumed`, `needed` and `next_offset` are as in `FillOutcome`, and count a batch once the
    next one is asked for. Raises `CorruptRecordError` (`position`) for a batch that does not
    check or comes before `expected_offset` or the batch before it, `UnsupportedFormatError` for
    message formats v0 and v1.
    """

    __slots__ = ("_decide", "_view", "consumed", "needed", "next_offset")

    def __init__(self, data: BytesLike, decide: Decide, expected_offset: int) -> None:
        self._view = memoryview(data).cast("B")
        self._decide = decide
        self.consumed = self.needed = 0
        self.next_offset = expected_offset

    def __iter__(self) -> Iterator[tuple[RecordBatch, BatchDecision]]:
        while self.consumed < len(self._view):
            self.needed = self._missing_size()
            if self.needed:
                return
            batch = RecordBatch(self._view, self.consumed)
            batch.check()
            if batch.base_offset < self.next_offset:
                raise malformed_batch(batch.position, BAD_OFFSET)
            decision = BatchDecision.KEEP
            if batch.attributes & _DECIDED:
                decision = self._decide(batch)
            yield batch, decision
            self.consumed += batch.size
            self.next_offset = batch.next_offset

    def _missing_size(self) -> int:
        """The size of the batch that begins here and is not all there; 0 for any other bytes."""
        remaining = len(self._view) - self.consumed
        if remaining < layout.MAGIC_END:
            return layout.HEADER_SIZE
        length: int = layout.INT32.unpack_from(self._view, self.consumed + layout.LENGTH_AT)[0]
        if self._view[self.consumed + layout.MAGIC_AT] != layout.MAGIC:
            return 0
        if length < layout.MIN_LENGTH or length + layout.LOG_OVERHEAD <= remaining:
            return 0
        return length + layout.LOG_OVERHEAD
