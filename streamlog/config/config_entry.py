"""One setting as Kafka's DescribeConfigs tells it: its value, where it comes from, what it means.

The numbers of `ConfigSource` and `ConfigType` are those of Kafka's protocol.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import msgspec


class ConfigSource(IntEnum):
    """Where a value was set; of several that a topic or broker has, the smallest number counts."""

    DYNAMIC_TOPIC_CONFIG = 1
    """For this topic."""

    DYNAMIC_BROKER_CONFIG = 2
    """For this node or its topics, while it ran."""

    DYNAMIC_DEFAULT_BROKER_CONFIG = 3
    """For all nodes or their topics, while they ran."""

    STATIC_BROKER_CONFIG = 4
    """For a listener, by who started it."""

    DEFAULT_CONFIG = 5
    """Nowhere."""

    DYNAMIC_GROUP_CONFIG = 8
    """For this group."""


class ConfigType(IntEnum):
    """What a setting's text stands for."""

    UNKNOWN = 0
    BOOLEAN = 1
    STRING = 2
    INT = 3
    LONG = 5
    DOUBLE = 6
    LIST = 7


class ConfigSynonym(NamedTuple):
    """One of the places that a value may come from: the setting's name there, and its text."""

    name: str
    value: str
    source: ConfigSource


class ConfigEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a topic, or of a listener, described.

    `name` is dotted and values are text, as Kafka has them. `synonyms` lists every place where it
    has a value, the first one counts; `default` is what it would be if it were set nowhere.
    `allowed` says in words what it accepts. Where `is_honoured` is False it is stored and handed
    on to a broker that takes the directory over, and has no effect here; `reason` says why.
    """

    name: str
    value: str
    source: ConfigSource
    default: str
    synonyms: tuple[ConfigSynonym, ...]
    type: ConfigType
    allowed: str
    documentation: str
    is_honoured: bool
    reason: str
    is_read_only: bool = False
    is_sensitive: bool = False

    @property
    def is_default(self) -> bool:
        """Whether it was set nowhere."""
        return self.source == ConfigSource.DEFAULT_CONFIG
