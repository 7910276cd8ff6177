"""Changing some settings of a topic: Kafka's incremental alteration (KIP-339), all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from streamlog.config.parsing import format_value, parse_value
from streamlog.config.settings import Setting
from streamlog.config.topic_config import check_together, parse_stored, resolve
from streamlog.config.topic_settings import TOPIC_SETTINGS
from streamlog.errors import ConfigError

_OPERATIONS = ("set", "delete", "append", "subtract")


class AlterConfigOp(NamedTuple):
    """What to do with a setting, where that is not setting it to a plain value.

    "append" and "subtract" add items to a list setting (`cleanup_policy`) and take them out;
    "delete" reverts to the default, as the plain value None does.
    """

    operation: Literal["set", "delete", "append", "subtract"]
    value: object = None


def parse_topic_settings(settings: Mapping[str, object]) -> dict[str, str]:
    """What a user asks of a new topic, as Kafka stores it. See `alter_topic_settings`."""
    return alter_topic_settings({}, settings)


def alter_topic_settings(
    stored: Mapping[str, str],
    changes: Mapping[str, object],
    defaults: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The overrides of a topic once `changes` are made to `stored`, as Kafka stores them.

    Names may be `snake_case` or dotted, values Python's, text, None for the default, or an
    `AlterConfigOp`. `defaults` (dotted) are what settings without an override have. Raises
    `UnknownSettingError` naming the nearest setting, and `ConfigError` (`name`, `value`,
    `allowed`) for what is not allowed or contradicts what stays. What `stored` has is not judged
    again by itself: a Kafka of another version may have accepted it.
    """
    altered = dict(stored)
    given: set[str] = set()
    for spelled, change in changes.items():
        if not isinstance(spelled, str):
            raise ConfigError(f"a setting's name is a str, not {spelled!r}", value=spelled)
        dotted, name = spelled.replace("_", "."), spelled.replace(".", "_")
        if dotted in given:
            raise ConfigError(
                f"{name} is given twice, also as {dotted}",
                name=name,
                value=change,
                allowed="one of the two names",
            )
        given.add(dotted)
        operation = _operation(name, change)
        if operation.operation == "delete" and dotted in altered:
            del altered[dotted]
            continue
        setting = TOPIC_SETTINGS[name]
        if operation.operation != "delete":
            before = altered.get(dotted, (defaults or {}).get(dotted))
            altered[dotted] = format_value(_applied(setting, operation, before))
    check_together(resolve(parse_stored({**(defaults or {}), **altered})))
    return altered


def _operation(name: str, change: object) -> AlterConfigOp:
    operation = change if isinstance(change, AlterConfigOp) else AlterConfigOp("set", change)
    if operation.operation not in _OPERATIONS:
        raise ConfigError(
            f"{operation.operation!r} is no operation on {name}: it must be one of "
            f"{', '.join(_OPERATIONS)}",
            name=name,
            value=change,
            allowed=", ".join(_OPERATIONS),
        )
    if change is None:
        return AlterConfigOp("delete")
    if operation.value is None and operation.operation != "delete":
        raise ConfigError(
            f"{name}: there is nothing to {operation.operation}; the default is restored by "
            'None or AlterConfigOp("delete")',
            name=name,
            value=None,
            allowed="a value",
        )
    return operation


def _applied(setting: Setting, operation: AlterConfigOp, before: str | None) -> Any:
    """The value after "set", "append" or "subtract"."""
    if operation.operation == "set":
        return parse_value(setting, operation.value)
    if setting.kind not in ("list", "throttled_replicas"):
        raise ConfigError(
            f"{setting.name} is no list: nothing can be {_PARTICIPLES[operation.operation]}",
            name=setting.name,
            value=operation.value,
            allowed=f'"set" with {setting.allowed()}',
        )
    items = parse_value(setting, operation.value)
    present = parse_value(setting, before, ranges=False)
    if operation.operation == "append":
        return tuple(dict.fromkeys((*present, *items)))
    return tuple(item for item in present if item not in items)


_PARTICIPLES = {"append": "appended to it", "subtract": "subtracted from it"}
