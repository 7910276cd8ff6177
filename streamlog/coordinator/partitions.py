"""Partitions by topic id: how the coordinator holds them, and how messages spell them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from streamlog.protocol import Uuid

TopicIdPartition: TypeAlias = tuple[Uuid, int]


def by_topic(partitions: Iterable[TopicIdPartition]) -> dict[Uuid, list[int]]:
    """Sorted, so that the same partitions always make the same record or response."""
    found: dict[Uuid, list[int]] = {}
    for topic_id, partition in sorted(partitions):
        found.setdefault(topic_id, []).append(partition)
    return found


def flatten(topic_partitions: Iterable[Any]) -> set[TopicIdPartition]:
    """The partitions of structures that have a `topic_id` and `partitions`."""
    return {(entry.topic_id, p) for entry in topic_partitions for p in entry.partitions}
