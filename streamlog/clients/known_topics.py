"""The topics that a producer sends to: looked up once, and kept true while topics change."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from streamlog.clients import arguments
from streamlog.clients.accumulators import PartitionQueue, RecordAccumulator, TopicTarget
from streamlog.clients.flows import Call, Flow, call
from streamlog.clients.targets import fill_target, refuse_internal, retire
from streamlog.errors import UnknownTopicError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.broker.engine import Engine
    from streamlog.clock import Clock
    from streamlog.config import ProducerConfig, TopicConfig
    from streamlog.types import TopicDescription


class KnownTopics(RecordAccumulator):
    """An accumulator that knows its topics. `targets.py` says what of them, and why."""

    def __init__(
        self,
        engine: Engine,
        config: ProducerConfig,
        clock: Clock,
        random_below: Callable[[int], int],
    ) -> None:
        super().__init__(config, clock)
        self._engine = engine
        self._config = config
        self._clock = clock
        self._random_below = random_below
        self._metadata_end = engine.metadata.published_end
        self._metadata_version = -1
        self._targets_lock = threading.RLock()
        engine.metadata.watch_removals(self)

    def _open_topic(self, topic: str) -> TopicTarget:
        return self.open_topic(topic)

    def open_topic(self, topic: str) -> TopicTarget:
        """The target of a topic, resolved now. Raises `UnknownTopicError` naming the nearest."""
        if not isinstance(topic, str):
            raise TypeError(f"topic must be str, not {type(topic).__name__}")
        with self._targets_lock:
            target = self._targets.get(topic)
            if target is None or target.gone:
                description, config = self._look_up(topic)
                refuse_internal(description)
                target = TopicTarget(str(topic))
                target.topic_id = description.topic_id
                fill_target(target, config, self._config)
                self._add_partitions(target, description.partitions)
                target.sticky = self._random_below(description.partitions)
                self._targets[topic] = target
            return target

    def _add_partitions(self, target: TopicTarget, count: int) -> None:
        for partition in range(len(target.queues), count):
            queue = PartitionQueue(self, target, partition, threading.Lock())
            target.queues.append(queue)

    def _look_up(self, topic: str) -> tuple[TopicDescription, TopicConfig]:
        with self._engine.metadata.lock:  # both of the same topic, not of two of that name
            return self._engine.topic(topic), self._engine.configs.of(topic)

    def refresh_targets(self) -> None:
        """Bring the targets, and the logs, up to date once the metadata moved.

        One comparison otherwise.
        """
        version = self._metadata_end()
        if version == self._metadata_version:
            return
        with self._targets_lock:
            self._engine.refresh()
            for topic, target in list(self._targets.items()):
                try:
                    description, config = self._look_up(topic)
                except UnknownTopicError:
                    retire(target)
                if not target.gone and description.topic_id != target.topic_id:
                    retire(target)
                if target.gone:
                    del self._targets[topic]
                    continue
                fill_target(target, config, self._config)
                self._add_partitions(target, description.partitions)
            self._metadata_version = version

    def _metadata_moved(self, _target: TopicTarget) -> None:
        self.refresh_targets()

    def look_again(self, target: TopicTarget) -> None:
        """Bring a target up to date before something is refused because of what it says."""
        if self._metadata_end() != self._metadata_version:
            self._metadata_moved(target)

    def topics_removed(self) -> None:
        """Hear from the metadata that topics went: what is sent now is not for the old ones.

        At once, and not at the next batch: a record must not join a batch that is to fail.
        """
        topics = self._engine.metadata.image.topics
        for name, target in list(self._targets.items()):
            if name not in topics or str(topics[name].topic_id) != target.topic_id:
                retire(target)

    def added_partition(self, target: TopicTarget, partition: object) -> PartitionQueue:
        return self.find_partition(target, partition)

    def find_partition(self, target: TopicTarget, partition: object) -> PartitionQueue:
        """The queue of a partition that the target does not know: one that was added since.

        Raises `TypeError`, and `UnknownTopicError` when there is none.
        """
        if type(partition) is int and partition >= 0:
            self.refresh_targets()
            if partition < len(target.queues):
                return target.queues[partition]
        raise arguments.wrong_partition(target, partition)

    def target_of(self, topic: str) -> Flow[TopicTarget]:
        """The target of a topic, as `send` finds it. Raises `UnknownTopicError`."""
        if self._metadata_end() != self._metadata_version:
            yield Call(self.refresh_targets)
        target = self._targets.get(topic) if type(topic) is str else None
        if target is None or target.gone:
            return (yield from call(partial(self.open_topic, topic)))
        return target

    def take_sticky(self, target: TopicTarget) -> int:
        """The partition for many records without keys; the next ones go elsewhere."""
        partition = target.sticky
        if len(target.queues) > 1:
            target.sticky = self._next_sticky(target)
        return partition

    def _next_sticky(self, target: TopicTarget) -> int:
        return self._random_below(len(target.queues))
