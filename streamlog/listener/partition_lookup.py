"""Partition logs by a topic's name or id, as requests name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import UnknownTopicError
from streamlog.listener.answers import UNKNOWN_TOPIC_ID
from streamlog.protocol import Uuid

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.storage.partition_log import PartitionLog


class PartitionLookup:
    """Remembers what it found for as long as the metadata stay as they are. Not thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._metadata_end = -1
        self._found: dict[tuple[str | Uuid, int], PartitionLog] = {}

    def refresh(self) -> None:
        """See what changed meanwhile: once for each request, before it is looked at."""
        self._engine.refresh()
        end = self._engine.metadata_end()
        if end != self._metadata_end:
            self._metadata_end = end
            self._found.clear()

    def find(self, topic: str | Uuid, partition: int) -> PartitionLog:
        """The log. Raises `UnknownTopicError`, for an id with the code that is its own."""
        log = self._found.get((topic, partition))
        if log is None:
            name = self.name_of(topic) if isinstance(topic, Uuid) else topic
            log = self._found[topic, partition] = self._engine.partition(name, partition)
        return log

    def name_of(self, topic_id: Uuid) -> str:
        """The topic of that id. Raises `UnknownTopicError`."""
        with self._engine.metadata.lock:
            topic = self._engine.image.topic_by_id(topic_id)
        if topic is None:
            raise UnknownTopicError(
                f"no topic has the id {topic_id}", topic=None, nearest=None, code=UNKNOWN_TOPIC_ID
            )
        return topic.name
