"""All settings of a broker described, and those that may be changed while it runs (KIP-226).

What is changed is kept in the metadata log: for one node, or under the name "" for all of them.
The node's own comes first, then that of all, then what `listen()` and `open()` were given. A value
that a broker left there and that would not be allowed here is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from streamlog.config.broker_synonyms import BROKER_SYNONYMS
from streamlog.config.client_settings import OPEN_SETTINGS, OpenConfig
from streamlog.config.config_entry import ConfigEntry, ConfigSource, ConfigSynonym
from streamlog.config.describing import BrokerLevel, entry_of, unknown_entry
from streamlog.config.listener_settings import (
    DIRECTORY_SETTINGS,
    LISTENER_SETTINGS,
    ListenerConfig,
)
from streamlog.config.parsing import format_value, parse_value
from streamlog.config.settings import Setting, nearest
from streamlog.config.topic_settings import TOPIC_SETTINGS
from streamlog.errors import ConfigError, UnknownSettingError

_Config = TypeVar("_Config", OpenConfig, ListenerConfig)

#: Kafka's least while a broker runs: less would have the cleaner make no progress.
_LEAST_DEDUPE_BUFFER_BYTES = 1 << 20

_CHANGEABLE = (
    LISTENER_SETTINGS["log_retention_ms"],
    LISTENER_SETTINGS["max_connections"],
    LISTENER_SETTINGS["message_max_bytes"],
    OPEN_SETTINGS["log_cleaner_backoff_ms"],
    replace(OPEN_SETTINGS["log_cleaner_dedupe_buffer_size"], low=_LEAST_DEDUPE_BUFFER_BYTES),
    OPEN_SETTINGS["log_cleaner_io_buffer_load_factor"],
    OPEN_SETTINGS["log_cleaner_io_max_bytes_per_second"],
)
#: What may be changed while a broker runs, by dotted name: for one node or for all of them, which
#: Kafka calls "cluster-wide".
DYNAMIC_SETTINGS = {setting.dotted: setting for setting in _CHANGEABLE}

_FIXED = {
    setting.dotted for setting in (*DIRECTORY_SETTINGS, *LISTENER_SETTINGS)
} - DYNAMIC_SETTINGS.keys()


def parse_dynamic_setting(name: str, text: str) -> str:
    """The value of a dotted setting that is to be changed, checked, as it is kept.

    Raises `ConfigError`, and `UnknownSettingError` for a name that is none of a broker's.
    """
    if name in _FIXED:
        raise ConfigError(
            f"{name} cannot be changed while the broker runs: it is given to listen() or open()",
            name=name,
            allowed=", ".join(DYNAMIC_SETTINGS),
        )
    setting = DYNAMIC_SETTINGS.get(name)
    if setting is None:
        guess = nearest(name, DYNAMIC_SETTINGS)
        hint = f"; did you mean {guess}?" if guess else ""
        raise UnknownSettingError(
            f"no setting of a broker is called {name!r}{hint}", name=name, nearest=guess
        )
    return format_value(parse_value(setting, text))


def is_of_directory(name: str) -> bool:
    """Whether a dotted setting is the directory's, which no listener has for itself."""
    return name.replace(".", "_") in OPEN_SETTINGS


def changed_config(config: _Config, levels: Iterable[Mapping[str, str]]) -> _Config:
    """A config with what was changed since, by `levels` of dotted settings, the strongest first."""
    changed: dict[str, Any] = {}
    for level in levels:
        changed = _allowed(level) | changed
    own = {name: value for name, value in changed.items() if name in config.__struct_fields__}
    return replace(config, **own) if own else config


def describe_broker_settings(
    directory: OpenConfig,
    listener: ListenerConfig,
    directory_levels: Sequence[BrokerLevel] = (),
    listener_levels: Sequence[BrokerLevel] = (),
) -> dict[str, ConfigEntry]:
    """Every setting of a listener and its directory by dotted name: what DescribeConfigs says of a
    broker.

    `directory` and `listener` are as they were given, the levels what was changed since.
    """
    changed = [(source, _allowed(settings)) for source, settings in directory_levels]
    entries = [_describe(setting, directory, changed) for setting in DIRECTORY_SETTINGS]
    changed = [(source, _allowed(settings)) for source, settings in listener_levels]
    entries += [_describe(setting, listener, changed) for setting in LISTENER_SETTINGS]
    return {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.name)}


def describe_cluster_settings(settings: Mapping[str, str]) -> dict[str, ConfigEntry]:
    """What was changed for all nodes, by dotted name, as it is kept."""
    return {name: _describe_kept(name, settings[name]) for name in sorted(settings)}


def _allowed(settings: Mapping[str, str]) -> dict[str, Any]:
    """The dynamic settings among these, typed, by name."""
    found = {}
    for name, setting in DYNAMIC_SETTINGS.items():
        text = settings.get(name)
        if text is not None:
            try:
                found[setting.name] = parse_value(setting, text)
            except ConfigError:
                continue  # as Kafka does; it is described under ""
    return found


def _describe(
    setting: Setting,
    config: OpenConfig | ListenerConfig,
    changed: Iterable[tuple[ConfigSource, Mapping[str, Any]]],
) -> ConfigEntry:
    name, default = setting.dotted, format_value(setting.default)
    given = format_value(getattr(config, setting.name))
    synonyms = [
        ConfigSynonym(name, format_value(values[setting.name]), source)
        for source, values in changed
        if setting.name in values
    ]
    if given != default:
        synonyms.append(ConfigSynonym(name, given, ConfigSource.STATIC_BROKER_CONFIG))
    synonyms.append(ConfigSynonym(name, default, ConfigSource.DEFAULT_CONFIG))
    return _entry(setting, name, tuple(synonyms), default)


def _describe_kept(name: str, text: str) -> ConfigEntry:
    """A setting for all nodes. What nobody knows may be a secret, as Kafka has it."""
    source = ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
    setting = DYNAMIC_SETTINGS.get(name)
    for of_topics, of_brokers in BROKER_SYNONYMS.items():
        if setting is None and name in of_brokers:
            setting = TOPIC_SETTINGS[of_topics.replace(".", "_")]
    if setting is None:
        return unknown_entry(name, text, source, is_of_broker=True)
    return _entry(setting, name, (ConfigSynonym(name, text, source),), "")


def _entry(
    setting: Setting, name: str, synonyms: tuple[ConfigSynonym, ...], default: str
) -> ConfigEntry:
    is_read_only = name not in DYNAMIC_SETTINGS
    return entry_of(setting, synonyms, default, name=name, is_read_only=is_read_only)
