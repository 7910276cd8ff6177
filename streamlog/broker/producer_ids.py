"""Producer ids: blocks of 1,000 a process, taken through the metadata log (facts 3.5)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from streamlog.broker.metadata_records import PRODUCER_ID_BLOCK, producer_ids_taken

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage
    from streamlog.broker.metadata_log import MetadataLog


class ProducerIds:
    """Hands out ids that no other process does. A block is synced before its first id is used.

    What is left of a block when the process ends is lost, as in Kafka.
    """

    def __init__(self, metadata: MetadataLog) -> None:
        self._metadata = metadata
        self._lock = threading.Lock()
        self._next = 0
        self._end = 0

    def next_id(self) -> int:
        """A producer id, its epoch being 0."""
        with self._lock:
            if self._next == self._end:
                self._next = self._take_block()
                self._end = self._next + PRODUCER_ID_BLOCK
            self._next += 1
            return self._next - 1

    def _take_block(self) -> int:
        taken: list[int] = []

        def decide(image: MetadataImage) -> list[Any]:
            taken[:] = [image.next_producer_id]
            node_id = self._metadata.meta.node_id
            return [producer_ids_taken(taken[0] + PRODUCER_ID_BLOCK, node_id)]

        self._metadata.change(decide)
        return taken[0]
