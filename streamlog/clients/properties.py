"""`from_properties`: the settings of a Java client's properties file, as keywords."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from streamlog.clients import serialization
from streamlog.config.client_settings import CONSUMER_SETTINGS, PRODUCER_SETTINGS
from streamlog.config.parsing import format_value, parse_value
from streamlog.config.settings import Setting, nearest
from streamlog.errors import ConfigError, UnknownSettingError

_TABLES: Final = (PRODUCER_SETTINGS, CONSUMER_SETTINGS)
#: What is about a connection, or about the Java client itself.
_LEFT_OUT: Final = ("ssl_", "sasl_", "metric_reporters", "metrics_", "auto_include_jmx_reporter")
_JAVA_PACKAGE: Final = "org.apache.kafka.common.serialization."

_SERIALIZERS: Final[dict[str, Callable[[Any], bytes] | None]] = {
    "ByteArraySerializer": None,
    "BytesSerializer": None,
    "LongSerializer": serialization.serialize_long,
    "StringSerializer": serialization.serialize_text,
    "UUIDSerializer": serialization.serialize_uuid,
}
_DESERIALIZERS: Final[dict[str, Callable[[bytes], Any] | None]] = {
    "ByteArrayDeserializer": None,
    "BytesDeserializer": None,
    "LongDeserializer": serialization.deserialize_long,
    "StringDeserializer": serialization.deserialize_text,
    "UUIDDeserializer": serialization.deserialize_uuid,
}


def from_properties(properties: Mapping[str, object]) -> dict[str, Any]:
    """The keywords for `producer()` or `consumer()` that Kafka's dotted properties stand for.

        log.producer(**streamlog.from_properties({"linger.ms": "20", "acks": "all"}))

    One file serves a Kafka cluster and a directory: what only means something between a client
    and a broker (`bootstrap.servers`, `retries`, `sasl.*`, ...) is left out. Values may be text
    (`"true"`, `"5"`). Of Kafka's own serializers those for strings, bytes, longs and UUIDs are
    known by their class names. A setting that is not offered is passed on, and refused by the
    call itself. Raises `UnknownSettingError` naming the nearest, and `ConfigError`.
    """
    keywords: dict[str, Any] = {}
    for dotted, value in properties.items():
        name = dotted.replace(".", "_")
        setting = next((table[name] for table in _TABLES if name in table), None)
        if setting is not None:
            keywords[name] = _parsed(setting, dotted, value)
        elif any(name in table.networked for table in _TABLES) or name.startswith(_LEFT_OUT):
            continue
        elif any(name in table.refused for table in _TABLES):
            # False is what this version does: it is accepted in every spelling.
            keywords[name] = False if format_value(value).lower() == "false" else value
        else:
            raise _unknown(dotted, name)
    return keywords


def _parsed(setting: Setting, dotted: str, value: object) -> Any:
    if setting.kind != "callable" or not isinstance(value, str):
        return parse_value(setting, value)
    known = _SERIALIZERS if setting.name.endswith("_serializer") else _DESERIALIZERS
    simple_name = value.strip().removeprefix(_JAVA_PACKAGE)
    if simple_name in known:
        return known[simple_name]
    raise ConfigError(
        f"{dotted}={value!r} names a Java class, which nothing stands for here; known are "
        f"{', '.join(known)}; give {setting.name}= a callable instead",
        name=setting.name,
        value=value,
        allowed=setting.allowed(),
    )


def _unknown(dotted: str, name: str) -> UnknownSettingError:
    guess = nearest(name, [setting.name for table in _TABLES for setting in table])
    hint = f"; did you mean {guess.replace('_', '.')}?" if guess else ""
    return UnknownSettingError(
        f"no producer or consumer setting is called {dotted!r}{hint}", name=name, nearest=guess
    )
