"""Selects the compiled `RecordStream` or its pure twin, as `streamlog.record.kernel` did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.record.kernel import KERNEL

if TYPE_CHECKING or KERNEL == "pure":
    from streamlog.clients.record_stream import PartitionBatch, RecordStream
else:
    from streamlog.clients._record_stream import PartitionBatch, RecordStream

__all__ = ["PartitionBatch", "RecordStream"]
