"""The settings that a group has of its own: for all processes, whoever coordinates it.

They are ConfigRecords of the metadata log, of the resource type GROUP, as in Kafka (KIP-848).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from streamlog.broker.metadata_image import GROUP_RESOURCE
from streamlog.broker.resource_configs import keep_settings, value_to_set
from streamlog.config.config_entry import ConfigEntry, ConfigSource, ConfigSynonym, ConfigType
from streamlog.config.coordinator_settings import COORDINATOR_SETTINGS
from streamlog.config.parsing import format_value

if TYPE_CHECKING:
    from streamlog.broker.metadata_log import MetadataLog
    from streamlog.config.alterations import AlterConfigOp
    from streamlog.coordinator import GroupSettings

_DEFAULTS = {setting.dotted: format_value(setting.default) for setting in COORDINATOR_SETTINGS}


class GroupConfigs:
    """The settings of each group, by Kafka's dotted names. Thread-safe."""

    def __init__(self, metadata: MetadataLog, settings: Callable[[], GroupSettings]) -> None:
        self._metadata = metadata
        self._settings = settings

    def of(self, group_id: str) -> Mapping[str, str]:
        """What was set for the group, as far as this process has heard of it."""
        return self._metadata.image.settings.get((GROUP_RESOURCE, group_id), {})

    def configured(self) -> list[str]:
        """The groups that anything was set for."""
        with self._metadata.lock:
            settings = self._metadata.refresh().settings
            return sorted(name for (kind, name), own in settings.items()
                          if kind == GROUP_RESOURCE and own)  # fmt: skip

    def describe(self, group_id: str) -> dict[str, ConfigEntry]:
        """Every setting that a group can have."""
        with self._metadata.lock:
            self._metadata.refresh()
            own = dict(self.of(group_id))
        return {
            name: _entry(name, str(default), f"an integer from {low} to {high}", own.get(name))
            for name, (default, low, high) in self._settings().bounded().items()
        }

    def alter(
        self, group_id: str, changes: Mapping[str, AlterConfigOp], *, validate_only: bool = False
    ) -> None:
        """Set and delete settings of a group. Raises `ConfigError` for what is not allowed."""
        wanted = {name: self._wanted(name, change) for name, change in changes.items()}
        keep_settings(self._metadata, GROUP_RESOURCE, group_id, wanted, validate_only=validate_only)

    def _wanted(self, name: str, change: AlterConfigOp) -> str | None:
        value = value_to_set(name, change)
        return None if value is None else str(self._settings().check_group_setting(name, value))


def _entry(name: str, ours: str, allowed: str, own: str | None) -> ConfigEntry:
    """The group's own, or else what `group.NAME` of a broker says: set by a listener, or not."""
    of_broker = f"group.{name}"
    default = _DEFAULTS[of_broker]
    synonyms = [ConfigSynonym(of_broker, default, ConfigSource.DEFAULT_CONFIG)]
    if ours != default:
        synonyms.insert(0, ConfigSynonym(of_broker, ours, ConfigSource.STATIC_BROKER_CONFIG))
    if own is not None:
        synonyms.insert(0, ConfigSynonym(name, own, ConfigSource.DYNAMIC_GROUP_CONFIG))
    return ConfigEntry(
        name=name,
        value=synonyms[0].value,
        source=synonyms[0].source,
        default=ours,
        synonyms=tuple(synonyms),
        type=ConfigType.INT,
        allowed=allowed,
        documentation=f"{of_broker} for this group",
        is_honoured=True,
        reason="",
    )
