"""What a topic's settings are once some of them are changed."""

from __future__ import annotations

import pytest

from streamlog.config import AlterConfigOp, alter_topic_settings
from streamlog.errors import ConfigError, UnknownSettingError

APPEND, SUBTRACT = (
    lambda value: AlterConfigOp("append", value),
    lambda value: AlterConfigOp("subtract", value),
)


def test_what_is_not_named_stays() -> None:
    stored = {"flush.ms": "5", "segment.ms": "7"}
    assert alter_topic_settings(stored, {"segment_ms": 8, "retention.ms": "9"}) == {
        "flush.ms": "5",
        "segment.ms": "8",
        "retention.ms": "9",
    }
    assert stored == {"flush.ms": "5", "segment.ms": "7"}


@pytest.mark.parametrize("nothing", [None, AlterConfigOp("delete")])
def test_the_default_is_restored(nothing: object) -> None:
    stored = {"flush.ms": "5", "segment.ms": "7"}
    assert alter_topic_settings(stored, {"flush_ms": nothing}) == {"segment.ms": "7"}
    assert alter_topic_settings(stored, {"retention_ms": nothing}) == stored


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({}, APPEND("compact"), "delete,compact"),
        ({}, SUBTRACT("delete"), ""),
        ({"cleanup.policy": "compact"}, APPEND("delete"), "compact,delete"),
        ({"cleanup.policy": "compact"}, APPEND("compact"), "compact"),
        ({"cleanup.policy": "compact,delete"}, SUBTRACT("compact"), "delete"),
        ({"cleanup.policy": "compact,delete"}, SUBTRACT(["delete", "compact"]), ""),
        ({"cleanup.policy": "compact"}, SUBTRACT("delete"), "compact"),
        ({"cleanup.policy": ""}, APPEND(("compact", "delete")), "compact,delete"),
    ],
)
def test_lists_grow_and_shrink(before: dict[str, str], change: object, after: str) -> None:
    assert alter_topic_settings(before, {"cleanup_policy": change}) == {"cleanup.policy": after}


def test_a_list_grows_from_what_the_broker_gave_it() -> None:
    altered = alter_topic_settings(
        {}, {"cleanup_policy": APPEND("delete")}, {"cleanup.policy": "compact"}
    )
    assert altered == {"cleanup.policy": "compact,delete"}


def test_throttled_replicas_are_a_list_too() -> None:
    name = "leader_replication_throttled_replicas"
    stored = alter_topic_settings({}, {name: "0:1"})
    stored = alter_topic_settings(stored, {name: APPEND(["1:1", "0:1"])})
    assert stored == {"leader.replication.throttled.replicas": "0:1,1:1"}
    stored = alter_topic_settings(stored, {name: SUBTRACT("0:1")})
    assert stored == {"leader.replication.throttled.replicas": "1:1"}


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"segment_ms": APPEND(5)}, "segment_ms", "no list"),
        ({"segment_ms": AlterConfigOp("add", 5)}, "segment_ms", "no operation"),  # type: ignore[arg-type]
        ({"segment_ms": AlterConfigOp("set")}, "segment_ms", "nothing to set"),
        ({"cleanup_policy": AlterConfigOp("append")}, "cleanup_policy", "nothing to append"),
        ({"cleanup_policy": APPEND("archive")}, "cleanup_policy", "delete, compact"),
        ({"segment_ms": 5, "segment.ms": None}, "segment_ms", "twice"),
        ({"segment_ms": 0}, "segment_ms", "from 1 up"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        alter_topic_settings({}, changes)
    assert caught.value.name == name
    assert caught.value.allowed


def test_the_result_is_judged_as_a_whole() -> None:
    stored = {"max.compaction.lag.ms": "10"}
    with pytest.raises(ConfigError, match="at most max_compaction_lag_ms=10"):
        alter_topic_settings(stored, {"min_compaction_lag_ms": 11})
    both = {"min_compaction_lag_ms": 11, "max_compaction_lag_ms": 12}
    assert alter_topic_settings(stored, both)["min.compaction.lag.ms"] == "11"
    with pytest.raises(ConfigError, match="at most max_compaction_lag_ms=7"):
        alter_topic_settings({"min.compaction.lag.ms": "8"}, {"max_compaction_lag_ms": "7"})
    with pytest.raises(ConfigError, match="at most max_compaction_lag_ms=5"):
        alter_topic_settings({}, {"min_compaction_lag_ms": 6}, {"max.compaction.lag.ms": "5"})


def test_what_another_kafka_stored_is_kept_until_it_is_deleted() -> None:
    stored = {"segment.bytes": "14", "setting.of.tomorrow": "x"}
    assert alter_topic_settings(stored, {"flush_ms": 5}) == stored | {"flush.ms": "5"}
    assert alter_topic_settings(stored, {"setting_of_tomorrow": None}) == {"segment.bytes": "14"}
    for change in ("y", None):
        with pytest.raises(UnknownSettingError):
            alter_topic_settings(stored, {"setting_of_yesterday": change})
    with pytest.raises(UnknownSettingError):
        alter_topic_settings(stored, {"setting_of_tomorrow": "y"})
