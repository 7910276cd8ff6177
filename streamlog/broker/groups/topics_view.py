"""The topics of an engine as coordinators see them: one image for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.coordinator import Topic, TopicsImage

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine


class TopicsView:
    """Follows the metadata. `image` is another object when, and only when, topics changed.

    Thread-safe. A topic that did not change keeps its `Topic`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._end = -1
        self._topics: dict[str, Topic] = {}
        self.image = TopicsImage()

    def refresh(self) -> TopicsImage:
        """The image of what is published now; one load when nothing changed."""
        if self._engine.metadata_end() != self._end:
            with self._engine.metadata.lock:
                self._rebuild()
        return self.image

    def _rebuild(self) -> None:
        before, topics = self._topics, self._engine.refresh().topics
        self._topics = {}
        for name, topic in topics.items():
            known, now = before.get(name), Topic(name, topic.topic_id, len(topic.partitions))
            self._topics[name] = now if known is None or known != now else known
        if self._topics != before:
            self.image = TopicsImage(self._topics.values())
        self._end = self._engine.metadata.next_offset
