"""Verifying a directory that is open: up to what its slots publish, while others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from streamlog.protocol import Uuid
from streamlog.storage.finding import Finding
from streamlog.storage.names import METADATA_TOPIC
from streamlog.storage.shared import PartitionState
from streamlog.storage.verification import verify_directory

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.storage.slots import SharedState

Progress = Callable[[int, int], None]


def verify_open_directory(engine: Engine, progress: Progress | None = None) -> list[Finding]:
    """What is wrong in the engine's directory; changes nothing.

    `progress(done_bytes, total_bytes)` is called as the files are read.
    """
    opening = engine._opening
    found = verify_directory(
        opening.filesystem, opening.place.path, progress, published=_PublishedStates(engine)
    )
    return list(found)


class _PublishedStates(Mapping[tuple[str, int], PartitionState]):
    """By (topic, partition), what is published at that instant, where anybody used it so far."""

    def __init__(self, engine: Engine) -> None:
        self._shared: SharedState = engine._opening.shared
        with engine.metadata.lock:
            topics = engine.image.topics.values()
            self._ids = {
                (topic.name, partition): bytes(topic.topic_id)
                for topic in topics
                for partition in topic.partitions
            }
        self._ids[METADATA_TOPIC, 0] = bytes(Uuid.ONE)

    def __getitem__(self, key: tuple[str, int]) -> PartitionState:
        slot = self._shared.find_slot(self._ids[key], key[1])
        if slot is None:
            raise KeyError(key)
        return self._shared.read_state(slot)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return (key for key in self._ids if key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
