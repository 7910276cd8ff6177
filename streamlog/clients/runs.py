"""Full batches of one partition, written several at a time.

A producer that is fast fills batches faster than they have to be written. Four of them in one
append are one lock, one system call and larger pages in the cache instead of four of each. A run
is a unit: it is in the log as a whole or not at all, also when the append is interrupted and
taken up again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streamlog.clients.batch_state import SEALED
from streamlog.clients.finishing import finish
from streamlog.errors import SendError

if TYPE_CHECKING:
    from streamlog.clients.accumulators import PartitionQueue, ProducerBatch

#: Full batches that wait for each other; the linger thread takes them sooner.
RUN_BATCHES = 4
_RUN_BYTES = 256 * 1024


class Run(NamedTuple):
    """Batches that follow each other, and their bytes in one piece."""

    wire: bytearray
    batches: list[ProducerBatch]


def gather(queue: PartitionQueue) -> Run | None:
    """The sealed batches at the front that can go together; None when it is one or none.

    Not those of an idempotent producer, whose sequences are given one append at a time, nor
    where the log stamps the records.
    """
    if queue.target.append_time or queue.sequence is not None:
        return None
    limit = min(_RUN_BYTES, queue.target.config.segment_bytes)
    batches: list[ProducerBatch] = []
    size = 0
    for batch in queue.sealed:
        fresh = batch.state == SEALED and batch.parts is None and batch.wire is None
        if not fresh or size + batch.size > limit:
            break
        batches.append(batch)
        size += batch.size
    if len(batches) < 2:
        return None
    try:
        return Run(bytearray().join([finish(one, queue.target, None) for one in batches]), batches)
    except SendError:
        return None  # one of them cannot be written: each by itself says which
