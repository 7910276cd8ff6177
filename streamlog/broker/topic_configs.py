"""The settings of topics: described, altered, and handed to the logs that this process has open.

A change is one conditional, synced metadata batch. Whoever replays it, in whichever process and
for whatever reason, configures its logs before anybody there is given the new image: an append
that looked at the metadata's end before obeys all that was published, for one load when nothing
was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from streamlog.broker import metadata_records
from streamlog.broker.topics import about_topic, describe_topic, find_topic
from streamlog.config import TopicConfig, alter_topic_settings
from streamlog.config.settings import LONG_MAX

if TYPE_CHECKING:
    from streamlog.broker.log_factory import LogFactory
    from streamlog.broker.metadata_image import MetadataImage
    from streamlog.broker.metadata_log import MetadataLog
    from streamlog.broker.partitions import OpenPartitions
    from streamlog.config.config_entry import ConfigEntry
    from streamlog.protocol import Uuid
    from streamlog.storage.slots import SharedState
    from streamlog.types import TopicDescription


class TopicConfigs:
    """Made once for each engine; thread-safe. `refresh` is the engine's, which may look further."""

    def __init__(
        self,
        refresh: Callable[[], MetadataImage],
        metadata: MetadataLog,
        partitions: OpenPartitions,
        factory: LogFactory,
        slots: SharedState,
    ) -> None:
        self._refresh = refresh
        self._metadata = metadata
        self._partitions = partitions
        self._factory = factory
        self._slots = slots
        metadata.on_reconfigured = self._configure_locked

    def of(self, topic: str) -> TopicConfig:
        """All settings of a topic, resolved. Raises `UnknownTopicError`."""
        with self._metadata.lock:
            image = self._refresh()
            return image.config_of(find_topic(image, topic))

    def of_new(self) -> TopicConfig:
        """All settings of a topic that has none of its own."""
        with self._metadata.lock:
            return TopicConfig.from_overrides({}, self._refresh().topic_defaults())

    def describe(self, topic: str) -> dict[str, ConfigEntry]:
        """All settings of a topic by dotted name. Raises `UnknownTopicError`."""
        with self._metadata.lock:
            overrides = dict(find_topic(self._refresh(), topic).settings)
            return self.describe_settings(overrides)

    def describe_settings(self, overrides: Mapping[str, str]) -> dict[str, ConfigEntry]:
        """All settings of a topic that has these overrides."""
        from streamlog.config.config_entry import ConfigSource
        from streamlog.config.describing import describe_topic_settings

        with self._metadata.lock:
            node, cluster = self._refresh().broker_settings()
            levels = (
                (ConfigSource.DYNAMIC_BROKER_CONFIG, dict(node)),
                (ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, dict(cluster)),
            )
        return describe_topic_settings(overrides, levels)

    def alter(
        self, changes: Mapping[str, Mapping[str, object]], *, validate_only: bool = False
    ) -> list[TopicDescription]:
        """Change settings of topics, of all of them or of none; what they are then, or would be.

        `changes` has for each topic what `alter_topic_settings` takes. Raises what that raises,
        naming the topic, and `UnknownTopicError`.
        """
        altered: dict[str, TopicDescription] = {}

        def decide(image: MetadataImage) -> list[Any]:
            records: list[Any] = []
            for name, wanted in changes.items():
                topic = find_topic(image, name)
                with about_topic(name):
                    settings = alter_topic_settings(topic.settings, wanted, image.topic_defaults())
                altered[name] = describe_topic(topic)._replace(settings=settings)
                different = _differences(topic.settings, settings)
                records += metadata_records.topic_configured(name, different)
            return records

        with self._metadata.lock:
            image = self._metadata.change(decide, validate_only=validate_only)
            if not validate_only:
                self._watch_used(image, changes)
        return list(altered.values())

    # ---------------------------------------------------------------- the logs

    def _configure_locked(self, topic_ids: set[Uuid]) -> None:
        """Hand the settings of these topics to their logs. Under the metadata's lock."""
        image = self._metadata.image
        for topic in filter(None, map(image.topic_by_id, topic_ids)):
            for partition in topic.partitions:
                log = self._partitions.find(topic.topic_id, partition)
                if log is not None:
                    log.configure(image.config_of(topic))
                    self._factory.watch(log)

    def _watch_used(self, image: MetadataImage, names: Iterable[str]) -> None:
        """With a `flush.ms`, watch what others wrote too: they may not look here for long."""
        for topic in filter(None, map(image.topics.get, names)):
            if image.config_of(topic).flush_ms == LONG_MAX:
                continue
            for partition in topic.partitions:
                if self._slots.find_slot(topic.topic_id, partition) is not None:
                    self._partitions.get(topic.topic_id, partition, topic.name)


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """What has to be stored for one set of overrides to become the other; None removes one."""
    changed: dict[str, str | None] = {
        name: value for name, value in after.items() if before.get(name) != value
    }
    return changed | {name: None for name in before if name not in after}
