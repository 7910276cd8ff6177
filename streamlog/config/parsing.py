"""One value against its setting: from Python or from text to its typed form, and to Kafka's text.

Values come as keywords (`linger_ms=5`) or as text, from Kafka's property files, from its admin
protocol and from the metadata log (`"5"`, `"true"`, `"compact,delete"`). Text is understood for
every kind; a number that is given as text in a keyword is more often a mistake than a wish, and
is refused there (`text=False`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from streamlog.config.settings import Setting, SettingTable
from streamlog.errors import ConfigError

_THROTTLED_REPLICA = re.compile(r"[0-9]+:[0-9]+")
_ACKS = {0: 0, 1: 1, -1: -1, "0": 0, "1": 1, "-1": -1, "all": -1}


def parse_settings(
    table: SettingTable, given: Mapping[str, object], *, text: bool = False
) -> dict[str, Any]:
    """Every setting of `table` by name: the value given, checked, or its default.

    Names are `snake_case`. Raises `UnknownSettingError`, `UnsupportedFeatureError` or
    `ConfigError` (with `name`, `value`, `allowed`).
    """
    resolved = {setting.name: setting.default for setting in table}
    for name, value in given.items():
        if value is None and name in table.refused:
            continue
        resolved[name] = parse_value(table[name], value, text=text)
    return resolved


def parse_value(setting: Setting, value: object, *, text: bool = True, ranges: bool = True) -> Any:
    """The typed form of one value.

    None stands for the default. `ranges=False` checks the type only: for values that were
    accepted once, perhaps by a broker with other bounds.
    """
    if value is None:
        return setting.default
    parsed = _PARSERS[setting.kind](setting, value, text)
    if ranges:
        _check_range(setting, value, parsed)
    return parsed


def format_value(value: object) -> str:
    """A typed value as Kafka stores it. None, not set, is the empty string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float):
        return _format_double(value)
    return str(value)


def _format_double(value: float) -> str:
    """As Java's `Double.toString`: with an exponent below 0.001 and from 10 million up.

    What has no limit is the largest number, as in Kafka's defaults.
    """
    value = min(value, sys.float_info.max)
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    shortest = next(text for n in range(1, 18) if float(text := f"{value:.{n}e}") == value)
    mantissa, _, exponent = shortest.partition("e")
    return f"{mantissa}E{int(exponent)}"


def refuse(setting: Setting, value: object, *, too_large: bool = False) -> ConfigError:
    """The error for a value that `setting` does not accept."""
    allowed = setting.allowed(largest=too_large)
    return ConfigError(
        f"{setting.name}={value!r} is not allowed: it must be {allowed}",
        name=setting.name,
        value=value,
        allowed=allowed,
    )


def _check_range(setting: Setting, value: object, parsed: Any) -> None:
    if setting.kind in ("int", "long", "double"):
        low, high = setting.bounds()
        if not low <= parsed <= high and parsed != setting.also:
            raise refuse(setting, value, too_large=parsed > high)
    elif setting.choices:
        items = parsed if setting.kind == "list" else (parsed,)
        if any(item not in setting.choices for item in items):
            raise refuse(setting, value)


def _parse_bool(setting: Setting, value: object, text: bool) -> bool:
    if isinstance(value, bool):
        return value
    if text and isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise refuse(setting, value)


def _parse_integer(setting: Setting, value: object, text: bool) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if text and isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", value):
        return int(value)
    raise refuse(setting, value)


def _parse_double(setting: Setting, value: object, text: bool) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if text and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise refuse(setting, value) from None
    raise refuse(setting, value)


def _parse_string(setting: Setting, value: object, text: bool) -> str:
    if isinstance(value, str):
        return value.strip() if text else value
    raise refuse(setting, value)


def _parse_list(setting: Setting, value: object, text: bool) -> tuple[str, ...]:
    """Comma separated, blanks trimmed, duplicates dropped (KIP-1161)."""
    del text  # a list in text is the usual form everywhere
    if isinstance(value, str):
        items = [item.strip() for item in value.split(",")]
        items = [] if items == [""] else items
    elif isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        items = [item.strip() for item in value]
    else:
        raise refuse(setting, value)
    if "" in items:
        raise refuse(setting, value)
    return tuple(dict.fromkeys(items))


def _parse_throttled_replicas(setting: Setting, value: object, text: bool) -> tuple[str, ...]:
    items = _parse_list(setting, value, text)
    if items != ("*",) and not all(_THROTTLED_REPLICA.fullmatch(item) for item in items):
        raise refuse(setting, value)
    return items


def _parse_acks(setting: Setting, value: object, text: bool) -> int:
    del text  # "all" is the usual form everywhere
    if isinstance(value, (int, str)) and not isinstance(value, bool) and value in _ACKS:
        return _ACKS[value]
    raise refuse(setting, value)


def _parse_callable(setting: Setting, value: object, text: bool) -> object:
    del text  # text is never a callable: nothing is imported by name
    if callable(value):
        return value
    raise refuse(setting, value)


_PARSERS: dict[str, Callable[[Setting, object, bool], Any]] = {
    "bool": _parse_bool,
    "int": _parse_integer,
    "long": _parse_integer,
    "double": _parse_double,
    "string": _parse_string,
    "list": _parse_list,
    "throttled_replicas": _parse_throttled_replicas,
    "acks": _parse_acks,
    "callable": _parse_callable,
}
