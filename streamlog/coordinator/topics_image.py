"""The topics as a coordinator sees them: an immutable image that its owner hands in."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streamlog.protocol import Uuid


class Topic(msgspec.Struct, frozen=True):
    """One topic. `racks[p]` names the racks that hold partition `p`, where racks are known."""

    name: str
    topic_id: Uuid
    partitions: int
    racks: tuple[tuple[str, ...], ...] = ()


class TopicsImage:
    """Every topic at one moment. Another moment is another image.

    Whoever adapts a broker's metadata to it hands in the same `Topic` objects again as long as
    nothing about a topic changes, so that what was computed from one is found again.
    """

    __slots__ = ("_by_id", "_by_name")

    def __init__(self, topics: Iterable[Topic] = ()) -> None:
        self._by_name = {topic.name: topic for topic in topics}
        self._by_id = {topic.topic_id: topic for topic in self._by_name.values()}

    def topic(self, name: str) -> Topic | None:
        return self._by_name.get(name)

    def topic_by_id(self, topic_id: Uuid) -> Topic | None:
        return self._by_id.get(topic_id)

    @property
    def names(self) -> Iterable[str]:
        return self._by_name.keys()


NO_TOPICS = TopicsImage()
