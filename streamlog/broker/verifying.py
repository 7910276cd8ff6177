"""Verifying a directory that is open: up to what its slots publish, while others go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlog.protocol import Uuid
from streamlog.storage.finding import Finding
from streamlog.storage.names import METADATA_TOPIC
from streamlog.storage.shared import PartitionState
from streamlog.storage.verification import verify_directory

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine

Progress = Callable[[int, int], None]


def verify_open_directory(engine: Engine, progress: Progress | None = None) -> list[Finding]:
    """What is wrong in the engine's directory; changes nothing.

    `progress(done_bytes, total_bytes)` is called as the files are read.
    """
    opening = engine._opening
    published = _published(engine)
    found = verify_directory(opening.filesystem, opening.place.path, progress, published=published)
    return list(found)


def _published(engine: Engine) -> dict[tuple[str, int], PartitionState]:
    """The states of the partitions that somebody used since the directory is open."""
    shared = engine._opening.shared
    states = {}
    with engine.metadata.lock:
        keys = [(METADATA_TOPIC, 0, bytes(Uuid.ONE))] + [
            (topic.name, partition, bytes(topic.topic_id))
            for topic in engine.image.topics.values()
            for partition in topic.partitions
        ]
    for topic, partition, topic_id in keys:
        slot = shared.find_slot(topic_id, partition)
        if slot is not None:
            states[topic, partition] = shared.read_state(slot)
    return states
