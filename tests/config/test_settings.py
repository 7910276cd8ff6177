from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from streamlog.config import Setting, SettingTable, nearest, parse_settings
from streamlog.config.parsing import format_value, parse_value
from streamlog.errors import ConfigError, UnknownSettingError, UnsupportedFeatureError

INT = Setting("size", "int", 5, "a size", low=0)
LEVEL = Setting("level", "int", -1, "a level", low=1, high=9, also=-1)
LONG = Setting("span_ms", "long", 0, "a span")
RATIO = Setting("ratio", "double", 0.5, "a ratio", low=0, high=1)
FLAG = Setting("flag", "bool", False, "a flag")
NAME = Setting("name", "string", "x", "a name")
WORD = Setting("word", "string", "on", "a word", choices=("on", "off"))
LIST = Setting("policies", "list", (), "policies", choices=("delete", "compact"))
REPLICAS = Setting("replicas", "throttled_replicas", (), "replicas")
ACKS = Setting("acks", "acks", -1, "acks")
HOOK = Setting("hook", "callable", None, "a hook")
TABLE = SettingTable(
    "thing", (INT, LEVEL, FLAG), refused={"magic": "no magic here"}, networked=("host",)
)


@pytest.mark.parametrize(
    ("value", "range_named"), [(-1, "from 0 up"), (2**31, "from 0 to 2147483647"), ("x", "0 up")]
)
def test_a_number_above_its_type_is_told_where_that_ends(value: object, range_named: str) -> None:
    with pytest.raises(ConfigError, match=range_named):
        parse_value(INT, value)


@pytest.mark.parametrize(
    ("setting", "value", "parsed"),
    [
        (INT, 7, 7),
        (INT, " 7 ", 7),
        (INT, 0, 0),
        (INT, None, 5),
        (LEVEL, -1, -1),
        (LEVEL, 9, 9),
        (LONG, 2**63 - 1, 2**63 - 1),
        (LONG, "-9223372036854775808", -(2**63)),
        (RATIO, 1, 1.0),
        (RATIO, "0.25", 0.25),
        (FLAG, True, True),
        (FLAG, "TRUE", True),
        (FLAG, "false", False),
        (NAME, "anything", "anything"),
        (WORD, "off", "off"),
        (LIST, "", ()),
        (LIST, "compact, delete ,compact", ("compact", "delete")),
        (LIST, ["delete"], ("delete",)),
        (REPLICAS, "*", ("*",)),
        (REPLICAS, "0:1,2:3", ("0:1", "2:3")),
        (ACKS, "all", -1),
        (ACKS, -1, -1),
        (ACKS, "1", 1),
        (ACKS, 0, 0),
        (HOOK, len, len),
        (HOOK, None, None),
    ],
)
def test_value_is_understood(setting: Setting, value: object, parsed: object) -> None:
    found = parse_value(setting, value)
    assert found == parsed
    assert type(found) is type(parsed)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (INT, -1),
        (INT, 2**31),
        (INT, True),
        (INT, 1.0),
        (INT, "1.0"),
        (INT, "1_000"),
        (INT, ""),
        (INT, b"1"),
        (LEVEL, 0),
        (LEVEL, 10),
        (LONG, 2**63),
        (LONG, "9" * 5000),
        (RATIO, 1.01),
        (RATIO, "nan"),
        (RATIO, float("nan")),
        (RATIO, "half"),
        (FLAG, 1),
        (FLAG, "yes"),
        (NAME, 3),
        (WORD, "ON"),
        (LIST, "delete,,compact"),
        (LIST, "archive"),
        (LIST, 3),
        (LIST, [b"delete"]),
        (REPLICAS, "0"),
        (REPLICAS, "*,0:1"),
        (ACKS, 2),
        (ACKS, True),
        (ACKS, "ALL"),
        (ACKS, [1]),
        (HOOK, "os.system"),
    ],
)
def test_value_is_refused_with_what_would_do(setting: Setting, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_value(setting, value)
    assert caught.value.name == setting.name
    assert caught.value.value is value
    assert caught.value.allowed in (setting.allowed(), setting.allowed(largest=True))
    assert caught.value.allowed in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [(INT, 7, "7"), (FLAG, True, "true"), (LIST, ("compact", "delete"), "compact,delete")],
)
def test_text_is_kafkas_and_comes_back(setting: Setting, value: Any, text: str) -> None:
    assert format_value(value) == text
    assert parse_value(setting, text) == value


def test_numbers_in_keywords_are_not_text() -> None:
    with pytest.raises(ConfigError, match="size='7' is not allowed"):
        parse_settings(TABLE, {"size": "7"})
    assert parse_settings(TABLE, {"size": "7"}, text=True)["size"] == 7


def test_what_is_not_given_has_its_default() -> None:
    assert parse_settings(TABLE, {"flag": True}) == {"size": 5, "level": -1, "flag": True}


def test_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownSettingError, match="did you mean size") as caught:
        parse_settings(TABLE, {"sise": 1})
    assert (caught.value.name, caught.value.nearest) == ("sise", "size")


def test_name_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(UnknownSettingError) as caught:
        parse_settings(TABLE, {"qwxyz": 1})
    assert caught.value.nearest is None
    assert "did you mean" not in str(caught.value)


def test_known_name_that_is_not_offered_says_why() -> None:
    with pytest.raises(UnsupportedFeatureError, match="no magic here") as caught:
        parse_settings(TABLE, {"magic": "yes"})
    assert caught.value.feature == "magic"
    assert "magic" not in parse_settings(TABLE, {"magic": None})


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("retention.ms", "retention_ms"),
        ("Retention-MS", "retention_ms"),
        ("retension_ms", "retention_ms"),
        ("segmentbytes", "segment_bytes"),
        ("colour", None),
    ],
)
def test_nearest(name: str, found: str | None) -> None:
    assert nearest(name, ["segment_bytes", "retention_ms"]) == found


def test_the_guesser_is_loaded_only_to_guess() -> None:
    code = "import sys, streamlog.config; sys.exit('difflib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
