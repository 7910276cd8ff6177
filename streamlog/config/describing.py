"""All settings of a topic as `ConfigEntry` values: what DescribeConfigs answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from streamlog.config.broker_synonyms import topic_defaults
from streamlog.config.config_entry import ConfigEntry, ConfigSource, ConfigSynonym, ConfigType
from streamlog.config.parsing import format_value, parse_value
from streamlog.config.topic_settings import TOPIC_SETTINGS

if TYPE_CHECKING:
    from streamlog.config.settings import Setting

#: What a setting's kind is called in Kafka's protocol.
TYPES = {
    "bool": ConfigType.BOOLEAN,
    "int": ConfigType.INT,
    "long": ConfigType.LONG,
    "double": ConfigType.DOUBLE,
    "string": ConfigType.STRING,
    "list": ConfigType.LIST,
    "throttled_replicas": ConfigType.LIST,
}

#: The settings of a broker, dotted, with the source that they are.
BrokerLevel = tuple[ConfigSource, Mapping[str, str]]


def describe_topic_settings(
    overrides: Mapping[str, str],
    levels: Sequence[BrokerLevel] = (),
    defaults: Mapping[str, str] | None = None,
) -> dict[str, ConfigEntry]:
    """Every setting of a topic by its dotted name, in the order of the names.

    `levels` are a broker's dynamic settings, the strongest first. `defaults` replace the hard
    ones, as `KAFKA_DEFAULTS` does. Raises `ConfigError` for stored text of the wrong type.
    """
    found = [(source, topic_defaults(settings)) for source, settings in levels]
    entries = []
    for setting in TOPIC_SETTINGS:
        name = setting.dotted
        if setting.hidden and name not in overrides:
            continue
        synonyms = []
        if name in overrides:
            text = _normalized(setting, overrides[name])
            synonyms.append(ConfigSynonym(name, text, ConfigSource.DYNAMIC_TOPIC_CONFIG))
        for source, values in found:
            if name in values:
                text = _normalized(setting, values[name].value)
                synonyms.append(ConfigSynonym(values[name].name, text, source))
        default = _normalized(setting, (defaults or {}).get(name))
        synonyms.append(ConfigSynonym(name, default, ConfigSource.DEFAULT_CONFIG))
        entries.append(entry_of(setting, tuple(synonyms), default))
    entries += [
        unknown_entry(name, text, ConfigSource.DYNAMIC_TOPIC_CONFIG)
        for name, text in overrides.items()
        if name.replace(".", "_") not in TOPIC_SETTINGS
    ]
    return {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.name)}


def entry_of(
    setting: Setting,
    synonyms: tuple[ConfigSynonym, ...],
    default: str,
    *,
    name: str | None = None,
    is_read_only: bool = False,
) -> ConfigEntry:
    """A setting that is known; the first of `synonyms` has the say. `name` where it is another."""
    return ConfigEntry(
        name=name or setting.dotted,
        value=synonyms[0].value,
        source=synonyms[0].source,
        default=default,
        synonyms=synonyms,
        type=TYPES[setting.kind],
        allowed=setting.allowed(),
        documentation=setting.doc,
        is_honoured=setting.honoured,
        reason=setting.reason,
        is_read_only=is_read_only,
    )


def unknown_entry(
    name: str, text: str, source: ConfigSource, *, is_of_broker: bool = False
) -> ConfigEntry:
    """A setting that was stored by a Kafka of another version; a broker's may be a secret."""
    return ConfigEntry(
        name=name,
        value=text,
        source=source,
        default="",
        synonyms=(ConfigSynonym(name, text, source),),
        type=ConfigType.UNKNOWN,
        allowed="",
        documentation="",
        is_honoured=False,
        reason="this version does not know it",
        is_read_only=is_of_broker,
        is_sensitive=is_of_broker,
    )


def _normalized(setting: Setting, text: str | None) -> str:
    """Stored text as Kafka prints the value that it stands for; None is the hard default."""
    return format_value(parse_value(setting, text, ranges=False))
