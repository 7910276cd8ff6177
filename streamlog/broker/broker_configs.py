"""The settings of a directory's nodes, as who looks for them from outside sees and changes them.

A node is a listener. What is changed while it runs are ConfigRecords of the resource type BROKER,
as in Kafka (KIP-226): of one node, by its id, or of all, with the name "". It counts from the
next look at the metadata on, in every process: for each connection that a listener takes, each
topic that it makes, each pass and chunk of the cleaner. The cleaner is the directory's and no
node's: it goes by what is set for all, and for the node that the directory says it is, which is
the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from streamlog.broker.metadata_image import BROKER_RESOURCE
from streamlog.broker.resource_configs import keep_settings, value_to_set
from streamlog.config.broker_settings import (
    changed_config,
    describe_broker_settings,
    describe_cluster_settings,
    is_of_directory,
    parse_dynamic_setting,
)
from streamlog.config.config_entry import ConfigEntry, ConfigSource
from streamlog.errors import BrokerError, ConfigError

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage
    from streamlog.broker.metadata_log import MetadataLog
    from streamlog.config import OpenConfig
    from streamlog.config.alterations import AlterConfigOp
    from streamlog.config.describing import BrokerLevel
    from streamlog.config.listener_settings import ListenerConfig

_INVALID_REQUEST: Final = 42
_ALL: Final = ""

#: With the feature `eligible.leader.replicas.version` 1 it stays, as in Kafka (KIP-966).
_KEPT: Final = "min.insync.replicas"


class BrokerConfigs:
    """Made once for each engine; thread-safe. `on_altered` is called when this process did it."""

    def __init__(
        self,
        refresh: Callable[[], MetadataImage],
        metadata: MetadataLog,
        config: OpenConfig,
        on_altered: Callable[[], None],
    ) -> None:
        self._refresh = refresh
        self._metadata = metadata
        self._config = config
        self._on_altered = on_altered

    # ---------------------------------------------------------------- obeyed

    def of_directory(self) -> OpenConfig:
        """What `open()` was given, with what was changed since, as far as this process has heard.

        Takes no lock: the housekeeper asks while it holds its own.
        """
        return changed_config(self._config, self._settings(self._directory_id))

    def of_listener(self, config: ListenerConfig, node_id: int) -> ListenerConfig:
        """What a node's `listen()` was given, with what was changed since."""
        self._refresh()
        return changed_config(config, self._settings(node_id))

    @property
    def _directory_id(self) -> int:
        return self._metadata.image.node_id

    def _settings(self, node_id: int) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """What was changed for a node, and for all of them."""
        return self._metadata.image.broker_settings(node_id)

    # ---------------------------------------------------------------- described

    def describe(self, name: str, node_id: int, listener: ListenerConfig) -> dict[str, ConfigEntry]:
        """Every setting of the node that is asked; of "" what was changed for all nodes.

        Raises `BrokerError` for another node's name.
        """
        with self._metadata.lock:
            self._refresh()
            if _resource_name(name, node_id) == _ALL:
                return describe_cluster_settings(self._settings(node_id)[1])
            return describe_broker_settings(
                self._config, listener, self._levels(self._directory_id), self._levels(node_id)
            )

    def _levels(self, node_id: int) -> tuple[BrokerLevel, BrokerLevel]:
        node, cluster = self._settings(node_id)
        return (
            (ConfigSource.DYNAMIC_BROKER_CONFIG, node),
            (ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, cluster),
        )

    # ---------------------------------------------------------------- altered

    def changed(self, name: str, node_id: int) -> list[str]:
        """What was changed for the node that is asked, or for all, and may be changed back.

        Raises `BrokerError` for another node's name.
        """
        resource = _resource_name(name, node_id)
        with self._metadata.lock:
            kept = self._refresh().settings.get((BROKER_RESOURCE, resource), {})
            return [setting for setting in kept if setting != _KEPT]

    def alter(
        self,
        name: str,
        node_id: int,
        changes: Mapping[str, AlterConfigOp],
        *,
        validate_only: bool = False,
    ) -> None:
        """Set and delete settings, all or none, of the node that is asked or, with "", of all.

        Raises `ConfigError` for what is not allowed, and `BrokerError` for another node's name.
        """
        resource = _resource_name(name, node_id)
        wanted = {}
        for setting, change in changes.items():
            wanted[setting] = _text_to_keep(setting, change)
            if wanted[setting] is None:
                _check_may_go(resource, setting)
            else:
                self._check_has_its_own(resource, setting)
        keep_settings(
            self._metadata, BROKER_RESOURCE, resource, wanted, validate_only=validate_only
        )
        if not validate_only:
            self._on_altered()

    def _check_has_its_own(self, resource: str, name: str) -> None:
        """Raises `ConfigError` for what is the directory's, with another node."""
        if resource not in (_ALL, str(self._directory_id)) and is_of_directory(name):
            raise ConfigError(
                f"{name} is the directory's, and not a listener's own: set it for all nodes",
                name=name,
                allowed='the name ""',
                code=_INVALID_REQUEST,
            )


def _resource_name(name: str, node_id: int) -> str:
    """What the node's settings are kept under, or those of all nodes."""
    if name == _ALL:
        return _ALL
    if re.fullmatch("[+-]?[0-9]{1,10}", name) is None:
        raise BrokerError(f"a node's id is an integer, not {name!r}", code=_INVALID_REQUEST)
    if int(name) != node_id:
        text = f"this is node {node_id}: what concerns node {name} is to be asked there"
        raise BrokerError(text, code=_INVALID_REQUEST)
    return str(node_id)


def _text_to_keep(name: str, change: AlterConfigOp) -> str | None:
    """What is kept under a dotted name once it is changed; None for nothing."""
    value = value_to_set(name, change)
    if value is None:
        return None
    try:
        return parse_dynamic_setting(name, value)
    except ConfigError as error:
        error.code = _INVALID_REQUEST  # as Kafka answers
        raise


def _check_may_go(resource: str, name: str) -> None:
    """Raises `ConfigError` for a setting that has to be there."""
    if (resource, name) == (_ALL, _KEPT):
        raise ConfigError(f"{name} of all nodes cannot be removed", name=name, allowed="a value")
