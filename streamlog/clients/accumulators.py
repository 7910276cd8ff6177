"""Selects the compiled accumulator or its pure twin, as `streamlog.record.kernel` did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.record.kernel import KERNEL

if TYPE_CHECKING or KERNEL == "pure":
    from streamlog.clients.accumulator import PartitionQueue, RecordAccumulator, TopicTarget
    from streamlog.clients.batch import ProducerBatch, RecordFuture
    from streamlog.clients.columns import group_by_partition, largest_size
else:
    from streamlog.clients._accumulator import (
        PartitionQueue,
        ProducerBatch,
        RecordAccumulator,
        RecordFuture,
        TopicTarget,
    )
    from streamlog.clients._columns import group_by_partition, largest_size

__all__ = [
    "PartitionQueue",
    "ProducerBatch",
    "RecordAccumulator",
    "RecordFuture",
    "TopicTarget",
    "group_by_partition",
    "largest_size",
]
