"""The transactions that compaction passes on its way through a log, and what may go of them.

    data of an aborted transaction     goes at once
    data of a committed one            is looked at record by record
    ABORT marker                       stays while data of its transaction was met in this pass,
                                       and so does its entry in the transaction index
    COMMIT marker                      stays while data of its transaction was met in this pass
    a marker whose data is gone        stays until its delete horizon, set now if it has none

Cleaning never passes the last stable offset, so every transaction that it meets is decided.
(Kafka's `CleanedTransactionMetadata`, facts 5.4.)
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError
from streamlog.record.cleaning_outcome import BatchDecision
from streamlog.record.control import ControlType, parse_control_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamlog.record.kernel import RecordBatch
    from streamlog.storage.transaction_index import AbortedTransaction


class CleanedTransactions:
    """Decides about the transactional and control batches of one pass, in the log's order.

    `last_markers` maps the producers of which a marker is the last thing in the log to its
    epoch: the header of that marker stays (it is what keeps older instances of them out).
    `retained` gathers the index entries of the aborted transactions whose markers stay.
    """

    __slots__ = (
        "_aborted",
        "_coming",
        "_committed",
        "_directory",
        "_last_markers",
        "_now_ms",
        "retained",
    )

    def __init__(self, directory: str, now_ms: int, last_markers: Mapping[int, int]) -> None:
        self._directory = directory
        self._now_ms = now_ms
        self._last_markers = last_markers
        self._coming: list[tuple[int, AbortedTransaction]] = []
        self._aborted: dict[int, _Aborted] = {}
        self._committed: set[int] = set()
        self.retained: list[AbortedTransaction] = []

    def add_aborted(self, transactions: Iterable[AbortedTransaction]) -> None:
        """Tell of aborted transactions before their data is met; again does no harm."""
        for transaction in transactions:
            heappush(self._coming, (transaction.first_offset, transaction))

    def decide(self, batch: RecordBatch) -> BatchDecision:
        """What becomes of the batch.

        Raises `CorruptDirectoryError` when markers contradict the transaction index.
        """
        self._begin_until(batch.last_offset)
        if batch.is_control:
            return self._decide_control(batch)
        aborted = self._aborted_of(batch)
        if aborted is None:
            self._committed.add(batch.producer_id)
            return BatchDecision.KEEP
        aborted.has_data = True
        return BatchDecision.DISCARD

    def _begin_until(self, offset: int) -> None:
        while self._coming and self._coming[0][0] <= offset:
            _, transaction = heappop(self._coming)
            begun = self._aborted.get(transaction.producer_id)
            if begun is None or begun.transaction.last_offset < transaction.first_offset:
                self._aborted[transaction.producer_id] = _Aborted(transaction)

    def _aborted_of(self, batch: RecordBatch) -> _Aborted | None:
        """The aborted transaction that the batch is part of."""
        begun = self._aborted.get(batch.producer_id)
        if begun is None or begun.transaction.last_offset < batch.base_offset:
            return None
        return begun

    def _decide_control(self, batch: RecordBatch) -> BatchDecision:
        if batch.count > 0 and not self._is_marker_without_data(batch):
            return BatchDecision.KEEP
        has_expired = batch.has_delete_horizon and batch.base_timestamp <= self._now_ms
        if batch.count > 0 and not has_expired:
            return BatchDecision.EXPIRE
        if self._last_markers.get(batch.producer_id) == batch.producer_epoch:
            return BatchDecision.EMPTY
        return BatchDecision.DISCARD

    def _is_marker_without_data(self, batch: RecordBatch) -> bool:
        """End the transaction; whether nothing of it is left. Other control batches are none."""
        key, _ = parse_control_batch(batch)
        producer_id = batch.producer_id
        aborted = self._aborted_of(batch)
        if key.type == ControlType.ABORT:
            if producer_id in self._committed:
                raise self._contradiction(batch, "aborted")
            if aborted is None:
                return True
            del self._aborted[producer_id]
            if aborted.has_data:
                self.retained.append(aborted.transaction)
            return not aborted.has_data
        if key.type == ControlType.COMMIT:
            if aborted is not None:
                raise self._contradiction(batch, "committed")
            had_data = producer_id in self._committed
            self._committed.discard(producer_id)
            return not had_data
        return False

    def _contradiction(self, batch: RecordBatch, what: str) -> CorruptDirectoryError:
        """Going on would take for data what never happened, or the other way round."""
        return CorruptDirectoryError(
            f"the transaction of producer {batch.producer_id} that ended at offset "
            f"{batch.last_offset} was {what}, but the .txnindex files in {self._directory} say "
            "otherwise: one is missing, or another log's. The log is not compacted",
            file=self._directory,
            producer_id=batch.producer_id,
            offset=batch.last_offset,
        )


class _Aborted:
    """An aborted transaction that has begun, and whether a batch of it was met."""

    __slots__ = ("has_data", "transaction")

    def __init__(self, transaction: AbortedTransaction) -> None:
        self.transaction = transaction
        self.has_data = False
