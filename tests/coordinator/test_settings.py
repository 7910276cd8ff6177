"""Settings of coordinators and of groups, the timers, and the hash of topics."""

from __future__ import annotations

import pytest

from streamlog.coordinator import ErrorCode, GroupSettings, Topic
from streamlog.coordinator.metadata_hash import group_hash, topic_hash
from streamlog.coordinator.settings import CONSUMER_SESSION_TIMEOUT_MS
from streamlog.coordinator.timer_events import JoinPhaseTimedOut, SessionExpired
from streamlog.coordinator.timers import TimerChange, Timers
from streamlog.coordinator.xxh3 import xxh3_64
from streamlog.errors import ConfigError, UnknownSettingError
from streamlog.protocol.error_codes import error_code
from tests.coordinator.driver import topic_id


def test_the_defaults_are_kafkas_but_nothing_is_deleted() -> None:
    settings = GroupSettings()
    assert settings.consumer_session_timeout_ms("g") == 45_000
    assert settings.consumer_heartbeat_interval_ms("g") == 5_000
    assert settings.consumer_assignment_interval_ms("g") == 1_000
    assert settings.offsets_retention_ms is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"group_min_session_timeout_ms": 2_000_000}, "group_min_session_timeout_ms"),
        ({"group_consumer_session_timeout_ms": 1}, CONSUMER_SESSION_TIMEOUT_MS),
        ({"group_consumer_assignors": ()}, "group_consumer_assignors"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, int], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        GroupSettings(**fields)  # type: ignore[arg-type]


def test_a_groups_setting_is_checked() -> None:
    settings = GroupSettings()
    assert settings.check_group_setting(CONSUMER_SESSION_TIMEOUT_MS, "50000") == 50_000
    for text in ("1", "nonsense", "99999999"):
        with pytest.raises(ConfigError, match=CONSUMER_SESSION_TIMEOUT_MS):
            settings.check_group_setting(CONSUMER_SESSION_TIMEOUT_MS, text)
    with pytest.raises(UnknownSettingError, match="nonsense"):
        settings.check_group_setting("nonsense", "1")


def test_a_groups_setting_is_kept_within_bounds_that_have_changed_since() -> None:
    settings = GroupSettings(group_overrides=lambda group_id: {CONSUMER_SESSION_TIMEOUT_MS: "5"})
    assert settings.consumer_session_timeout_ms("g") == 45_000


def test_error_codes_have_kafkas_numbers() -> None:
    assert {code.name: code.value for code in ErrorCode} == {
        code.name: error_code(code.value).number for code in ErrorCode
    }
    for code in ErrorCode:
        assert error_code(code.value).name == code.name


# ---------------------------------------------------------------------------------------- timers


def test_timers_are_due_in_their_order() -> None:
    timers = Timers()
    late, early = SessionExpired("g", "late"), SessionExpired("g", "early")
    timers.change(TimerChange(late, 20))
    timers.change(TimerChange(early, 10))
    assert (timers.next_deadline_ms(), timers.due(9)) == (10, None)
    assert timers.due(10) == early
    timers.change(TimerChange(early, None))
    assert (timers.due(15), timers.due(20)) == (None, late)


def test_a_timer_replaces_the_one_of_its_key() -> None:
    timers = Timers()
    event = JoinPhaseTimedOut("g")
    timers.change(TimerChange(event, 10))
    timers.change(TimerChange(event, 20))
    assert (timers.due(19), timers.due(20), len(timers)) == (None, event, 1)
    timers.change(TimerChange(event, 5, keep=True))
    assert timers.deadline_of(event) == 20


def test_replaced_timers_are_not_kept() -> None:
    timers = Timers()
    for deadline in range(10_000):
        timers.change(TimerChange(JoinPhaseTimedOut("g"), deadline))
        timers.change(TimerChange(JoinPhaseTimedOut("h"), 20_000 - deadline))
    assert len(timers._heap) < 200
    assert timers.next_deadline_ms() == 9_999


# ------------------------------------------------------------------------------------------ hash


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0x2D06800538D394C2),
        (b"abc", 0x78AF5F94892F3950),
        (b"\x00", 0xC44BDFF4074EECDB),
    ],
)
def test_xxh3_is_xxh3(data: bytes, expected: int) -> None:
    """Values of the reference implementation; the interop tests compare every length."""
    assert xxh3_64(data) == expected


def test_the_hash_tells_topics_apart() -> None:
    topic = Topic("orders", topic_id("orders"), 3)
    others = [
        Topic("order", topic.topic_id, 3),
        Topic("orders", topic_id("other"), 3),
        Topic("orders", topic.topic_id, 4),
        Topic("orders", topic.topic_id, 3, (("r1",), ("r1",), ("r2",))),
        Topic("orders", topic.topic_id, 3, (("r1",), ("r2",), ("r2",))),
    ]
    hashes = {topic_hash(each) for each in (topic, *others)}
    assert len(hashes) == len(others) + 1
    turned = Topic("orders", topic.topic_id, 1, (("r2", "r1"),))
    assert topic_hash(turned) == topic_hash(Topic("orders", topic.topic_id, 1, (("r1", "r2"),)))


def test_the_hash_of_a_group_has_no_order() -> None:
    hashes = [("a", 2**64 - 1), ("b", 5)]
    assert group_hash(hashes) == group_hash(reversed(hashes))
    assert group_hash([]) == 0
    assert -(2**63) <= group_hash(hashes) < 2**63
