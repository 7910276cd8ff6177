"""What subscriptions come to, given the topics that there are: names, ids, hashes, matches.

Everything here is computed from the image and a question, and remembered; nothing is state.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.metadata_hash import group_hash, topic_hash
from streamlog.coordinator.regex import BadRegexError, TopicRegex, compile_regex
from streamlog.coordinator.topics_image import NO_TOPICS, Topic, TopicsImage
from streamlog.protocol import Uuid


class SubscriptionResolver:
    """The topics as they are, and what was computed from them. `version` counts the images."""

    def __init__(self) -> None:
        self.version = 0
        self.image: TopicsImage = NO_TOPICS
        self._matches: dict[str, frozenset[str]] = {}
        self._hashes: dict[Topic, int] = {}
        self._group_hashes: dict[frozenset[str], int] = {}
        self._up_to_date: dict[str, int] = {}

    def take_image(self, image: TopicsImage) -> None:
        """Answer for these topics from now on."""
        self.version += 1
        self.image = image
        self._matches.clear()
        self._group_hashes.clear()
        self._up_to_date.clear()
        self._hashes = {t: h for t, h in self._hashes.items() if image.topic(t.name) is t}

    def is_up_to_date(self, group_id: str, epoch: int) -> bool:
        """Whether a group in that epoch was found to go with this image."""
        return self._up_to_date.get(group_id) == epoch

    def note_up_to_date(self, group_id: str, epoch: int) -> None:
        """A group in that epoch, as it is in the log, goes with this image.

        That is a fact which stays true: whatever changes subscriptions changes the epoch.
        """
        self._up_to_date[group_id] = epoch

    def check(self, pattern: str) -> TopicRegex:
        """The pattern, understood. RefusedError with INVALID_REGULAR_EXPRESSION if it is not."""
        try:
            return compile_regex(pattern)
        except BadRegexError as error:
            raise RefusedError(
                ErrorCode.INVALID_REGULAR_EXPRESSION,
                f"SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}",
            ) from error

    def topics_matching(self, pattern: str) -> frozenset[str]:
        """The names of all topics that a pattern matches."""
        found = self._matches.get(pattern)
        if found is None:
            regex = self.check(pattern)
            found = frozenset(name for name in self.image.names if regex.matches(name))
            self._matches[pattern] = found
        return found

    def topic_ids(self, names: Iterable[str]) -> set[Uuid]:
        """The ids of those topics that there are."""
        found = (self.image.topic(name) for name in names)
        return {topic.topic_id for topic in found if topic is not None}

    def metadata_hash(self, names: Iterable[str]) -> int:
        """The hash of those topics, as Kafka keeps it with a group's epoch."""
        wanted = frozenset(names)
        known = self._group_hashes.get(wanted)
        if known is None:
            topics = (self.image.topic(name) for name in wanted)
            known = group_hash((t.name, self._topic_hash(t)) for t in topics if t is not None)
            self._group_hashes[wanted] = known
        return known

    def _topic_hash(self, topic: Topic) -> int:
        known = self._hashes.get(topic)
        if known is None:
            known = self._hashes[topic] = topic_hash(topic)
        return known
