"""Where records go that name no partition.

A key decides by Kafka's murmur2 (`streamlog.record.murmur2`, bit for bit). Without a key, records
stick to one partition for about `batch_size` bytes and then to another, picked at random
(KIP-480, KIP-794): batches get full instead of many. A callable given as `partitioner`
replaces both: `(topic, key, value, partition_count) -> int`, or None for the sticky one.
"""

from __future__ import annotations

import os


def random_below(count: int) -> int:
    """A random integer from 0 to `count - 1`, without loading a generator for it."""
    return int.from_bytes(os.urandom(8), "little") % count


class RoundRobinPartitioner:
    """Each record of a topic to the partition after the last one's, whatever its key.

    Kafka's `RoundRobinPartitioner`. Batches stay small: use it where an even spread counts
    for more than speed.
    """

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def __call__(
        self, topic: str, key: bytes | None, value: bytes | None, partition_count: int
    ) -> int:
        del key, value
        partition = self._next.get(topic, 0) % partition_count
        self._next[topic] = partition + 1
        return partition
