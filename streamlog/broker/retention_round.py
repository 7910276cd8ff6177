"""One round of retention over the partitions of a directory.

First every log begins behind what has expired, then all their starts are recorded with one
write, then the files go: a thousand partitions cost one checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from streamlog.broker.typed_errors import typed_error
from streamlog.errors import UnknownTopicError
from streamlog.storage.expiry import expire
from streamlog.storage.removal import record_log_starts, remove_hidden
from streamlog.storage.retention import RetentionRules

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.broker.metadata_image import MetadataImage, TopicImage
    from streamlog.config import TopicConfig
    from streamlog.errors import StreamlogError
    from streamlog.storage.partition_log import PartitionLog

_SETTINGS = ("cleanup.policy", "retention.bytes", "retention.ms")
_UNLIMITED = RetentionRules()


class Subject(NamedTuple):
    """A partition with records, and the rules by which they expire."""

    log: PartitionLog
    rules: RetentionRules

    @property
    def may_expire(self) -> bool:
        """Whether any rule has something to say to it."""
        return self.rules != _UNLIMITED or self.log.log_start > 0


class RetentionRound:
    """Used once. `errors` are what went wrong, by partition; each stopped no other.

    `is_stopped` is asked between partitions; `now_ms` is what the records' age is measured by.
    """

    def __init__(
        self, metadata_log: PartitionLog, now_ms: int, is_stopped: Callable[[], bool]
    ) -> None:
        self._metadata_log = metadata_log
        self._now_ms = now_ms
        self._is_stopped = is_stopped
        self.errors: dict[PartitionLog, StreamlogError] = {}

    def run(self, subjects: Iterable[Subject]) -> None:
        """Apply retention to all of these partitions."""
        hidden = [
            subject.log
            for subject in subjects
            if subject.may_expire and self._try(subject.log, expire, subject.rules, self._now_ms)
        ]
        if not hidden:
            return
        try:
            starts = record_log_starts(self._metadata_log, hidden)
        except OSError as error:
            self.errors |= dict.fromkeys(hidden, typed_error(error, self._metadata_log.directory))
            return
        for log, log_start in starts.items():
            self._try(log, remove_hidden, log_start)

    def _try(self, log: PartitionLog, do: Callable[..., object], *arguments: object) -> bool:
        if self._is_stopped():
            return False
        try:
            return bool(do(log, *arguments))
        except UnknownTopicError:
            return False  # deleted meanwhile
        except OSError as error:
            self.errors[log] = typed_error(error, log.directory)
            return False


def find_subjects(
    engine: Engine, *, compacted: bool, topics: frozenset[str] | None = None
) -> Iterator[Subject]:
    """The partitions of topics that are `compacted`, or are not, and of these `topics` alone.

    Of those that are not, only where a rule may find something.
    """
    with engine.metadata.lock:
        image = engine.metadata.refresh()
        defaults = image.topic_defaults()
        found = [
            (topic, list(topic.partitions), _config_of(topic, image, defaults))
            for name, topic in image.topics.items()
            if topics is None or name in topics
        ]
    for topic, partitions, config in found:
        if (config is not None and config.is_compacted) == compacted:
            rules = _UNLIMITED if config is None else RetentionRules.of(config)
            for partition in partitions:
                if _has_records(engine, topic, partition, at_all=compacted or rules != _UNLIMITED):
                    log = engine.partitions.get(topic.topic_id, partition, topic.name)
                    yield Subject(log, rules)


def _config_of(
    topic: TopicImage, image: MetadataImage, defaults: dict[str, str]
) -> TopicConfig | None:
    """The settings of a topic; None, which is cheaper, where none of them is about retention."""
    if not any(name in topic.settings or name in defaults for name in _SETTINGS):
        return None
    return image.config_of(topic)


def _has_records(engine: Engine, topic: TopicImage, partition: int, *, at_all: bool) -> bool:
    """Whether a partition was ever written to; without `at_all`, and records of it deleted."""
    slots = engine._opening.shared
    slot = slots.find_slot(topic.topic_id, partition)
    if slot is None or slots.is_deleted(slot):
        return False
    state = slots.read_state(slot)
    return state.log_end > 0 and (at_all or state.log_start > 0)
