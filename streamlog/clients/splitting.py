"""Batches that became too large: their topic takes only smaller ones since they were filled.

The records go into several batches of one append, as many as it takes: their offsets still follow
each other, so every future finds its own (Kafka's producer splits such a batch, too: KIP-126).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamlog.clients.arguments import too_large
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder

if TYPE_CHECKING:
    from streamlog.clients.accumulators import TopicTarget
    from streamlog.record.kernel import Record


def refit(wire: bytearray, target: TopicTarget) -> tuple[bytearray, list[int]]:
    """The records of the batches in `wire`, in batches that `target` takes; how many each has.

    Raises `RecordTooLargeError` when a record by itself is too large.
    """
    fitting: list[bytearray] = []
    counts: list[int] = []
    position = 0
    while position < len(wire):
        batch = RecordBatch(wire, position)
        if batch.size <= target.config.max_batch_bytes:
            fitting.append(wire[position : position + batch.size])
            counts.append(batch.count)
        else:
            _halve(list(batch.records(target.topic, -1)), target, fitting, counts)
        position += batch.size
    return bytearray().join(fitting), counts


def _halve(
    records: Sequence[Record], target: TopicTarget, fitting: list[bytearray], counts: list[int]
) -> None:
    limit = target.config.max_batch_bytes
    builder = RecordBatchBuilder(codec=target.codec, level=target.level)
    for record in records:
        builder.append(record.timestamp, record.key, record.value, record.headers)
    encoded = builder.build()
    if len(encoded) <= limit:
        fitting.append(encoded)
        counts.append(len(records))
        return
    if len(records) == 1:
        raise too_large(target.topic, len(encoded), limit)
    middle = len(records) // 2
    _halve(records[:middle], target, fitting, counts)
    _halve(records[middle:], target, fitting, counts)
