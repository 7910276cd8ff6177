"""Consumer groups (KIP-848): epochs, reconciliation, fencing, static members, patterns."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamlog.coordinator import ErrorCode
from tests.coordinator.driver import SETTINGS, World, code, image
from tests.coordinator.stories import Consumers

ALL = {"orders": [0, 1, 2, 3, 4, 5]}
LOW = {"orders": [0, 1, 2]}
HIGH = {"orders": [3, 4, 5]}
NONE: dict[str, list[int]] = {}


def consumers(**settings: Any) -> Consumers:
    changed = msgspec.structs.replace(SETTINGS, **settings)
    return Consumers(World({"orders": 6, "other": 2}, changed))


def balanced() -> Consumers:
    """a has the low half and b the high one, both in epoch 3."""
    group = consumers()
    assert group.beat("a", 0) == (2, ALL)
    assert group.beat("b", 0) == (3, NONE)
    assert group.beat("a", 2, ALL) == (2, LOW)
    assert group.beat("a", 2, LOW) == (3, None)
    assert group.beat("b", 3, NONE) == (3, HIGH)
    return group


def state(group: Consumers) -> str:
    return str(group.world.consumer_group().state.value)


# ------------------------------------------------------------------------------ reconciliation


def test_partitions_are_given_up_before_they_are_given() -> None:
    group = balanced()
    assert state(group) == "Stable"
    assert group.beat("a", 3) == (3, None)
    assert group.beat("b", 3, HIGH) == (3, None)


def test_a_member_that_waits_gets_what_becomes_free() -> None:
    group = consumers()
    group.beat("a", 0)
    group.beat("b", 0)
    assert group.beat("b", 3) == (3, None)
    assert state(group) == "Reconciling"
    group.beat("a", -1)
    assert group.beat("b", 3)[0] == 4
    assert group.beat("b", 4, NONE)[1] is None
    assert group.world.consumer_group().members["b"].assigned.keys() == set(
        group.world.consumer_group().target_of("b")
    )


def test_a_member_that_asks_with_everything_is_told_everything() -> None:
    group = balanced()
    full = {"rebalance_timeout_ms": 60_000, "subscribed_topic_names": ["orders"]}
    assert group.beat("a", 3, LOW, **full) == (3, LOW)


def test_what_is_not_subscribed_to_any_more_goes_at_once() -> None:
    group = consumers(group_consumer_assignment_interval_ms=1_000)
    group.beat("a", 0, subscribed_topic_names=["orders", "other"])
    epoch, left = group.beat("a", 2, subscribed_topic_names=["other"])
    assert (epoch, left) == (2, {"other": [0, 1]})
    assert state(group) == "Assigning"


def test_targets_are_computed_once_an_interval() -> None:
    group = consumers(group_consumer_assignment_interval_ms=1_000)
    group.beat("a", 0)
    assert group.beat("b", 0) == (2, NONE)
    assert state(group) == "Assigning"
    group.world.advance(999)
    assert group.beat("a", 2, ALL) == (2, None)
    group.world.advance(1)
    assert group.beat("a", 2, ALL) == (2, LOW)


def test_new_partitions_are_handed_out() -> None:
    group = consumers()
    group.beat("a", 0)
    group.world.coordinator.take_image(image({"orders": 7}))
    assert group.beat("a", 2) == (3, {"orders": [0, 1, 2, 3, 4, 5, 6]})


def test_a_topic_that_is_gone_is_taken_away() -> None:
    group = consumers()
    group.beat("a", 0, subscribed_topic_names=["orders", "other"])
    group.world.coordinator.take_image(image({"orders": 6}))
    assert group.beat("a", 2, {**ALL, "other": [0, 1]})[1] == ALL
    assert group.beat("a", 2, ALL) == (3, None)


def test_a_subscription_to_what_is_not_there_waits_for_it() -> None:
    group = consumers()
    assert group.beat("a", 0, subscribed_topic_names=["later"]) == (2, NONE)
    group.world.coordinator.take_image(image({"later": 1}))
    assert group.beat("a", 2) == (3, {"later": [0]})


def test_the_assignor_is_what_most_ask_for() -> None:
    group = consumers()
    topics = {"subscribed_topic_names": ["orders", "other"]}
    for member in "ab":
        group.beat(member, 0, server_assignor="range", **topics)
    group.beat("a", 2, {"orders": [0, 1, 2], "other": [0]})
    group.beat("b", 3, NONE)
    targets = {
        member: len(partitions)
        for member, partitions in group.world.consumer_group().targets.items()
    }
    assert targets == {"a": 4, "b": 4}
    described = group.world.ask("ConsumerGroupDescribe", group_ids=["g"]).groups[0]
    assert described.assignor_name == "range"


# --------------------------------------------------------------------------------------- epochs


def test_a_lost_response_is_asked_for_again() -> None:
    group = balanced()
    assert group.beat("a", 2, LOW)[0] == 3
    assert group.refused("a", 2, {"orders": [0, 1, 2, 3]}) == ErrorCode.FENCED_MEMBER_EPOCH
    assert group.refused("a", 2) == ErrorCode.FENCED_MEMBER_EPOCH


@pytest.mark.parametrize("epoch", [1, 4, 99])
def test_another_epoch_is_fenced(epoch: int) -> None:
    group = balanced()
    assert group.refused("a", epoch, LOW) == ErrorCode.FENCED_MEMBER_EPOCH


def test_a_fenced_member_that_comes_back_takes_nothing_from_others() -> None:
    group = balanced()
    epoch, has = group.beat("a", 0)
    assert (epoch, has) == (3, LOW)


def test_unknown_members_and_groups() -> None:
    group = balanced()
    assert group.refused("x", 3) == ErrorCode.UNKNOWN_MEMBER_ID
    assert group.refused("x", -1) == ErrorCode.UNKNOWN_MEMBER_ID
    assert group.refused("a", 3, group_id="h") == ErrorCode.GROUP_ID_NOT_FOUND
    assert group.refused("a", -1, group_id="h") == ErrorCode.GROUP_ID_NOT_FOUND


def test_epochs_grow_when_members_leave() -> None:
    group = balanced()
    assert group.ask("b", -1).member_epoch == -1
    assert group.beat("a", 3, LOW) == (4, ALL)
    group.ask("a", -1)
    assert state(group) == "Empty"
    assert group.beat("c", 0)[0] == 6


# ----------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "fields",
    [
        {"member_id": ""},
        {"group_id": ""},
        {"group_id": "  "},
        {"instance_id": ""},
        {"rack_id": ""},
        {"rebalance_timeout_ms": -1},
        {"topic_partitions": None},
        {"subscribed_topic_names": None},
        {"member_epoch": -2},
        {"member_epoch": -3},
    ],
    ids=str,
)
def test_invalid_requests(fields: dict[str, Any]) -> None:
    group = consumers()
    given = {"member": "a", "epoch": 0}
    if "member_id" in fields:
        given["member"] = fields.pop("member_id")
    assert group.refused(**given, **fields) == ErrorCode.INVALID_REQUEST


def test_who_rejoins_has_nothing() -> None:
    assert consumers().refused("a", 0, LOW) == ErrorCode.INVALID_REQUEST


def test_version_0_makes_an_id() -> None:
    response = consumers().ask("", 0, version=0)
    assert (code(response), response.member_id) == (ErrorCode.NONE, "p-made-up-1")


def test_an_unknown_assignor_is_refused() -> None:
    answer = consumers().refused("a", 0, server_assignor="best")
    assert answer == ErrorCode.UNSUPPORTED_ASSIGNOR


def test_a_full_group_is_full() -> None:
    group = consumers(group_consumer_max_size=1)
    group.beat("a", 0)
    assert group.refused("b", 0) == ErrorCode.GROUP_MAX_SIZE_REACHED
    assert group.beat("a", 0)[0] == 2


# ---------------------------------------------------------------------------------- timeouts


def test_a_silent_member_is_fenced() -> None:
    group = balanced()
    group.world.advance(44_999)
    group.beat("a", 3)
    group.world.advance(1)
    assert group.refused("b", 3) == ErrorCode.UNKNOWN_MEMBER_ID
    assert group.beat("a", 3) == (4, ALL)


def test_who_does_not_give_up_in_time_is_fenced() -> None:
    group = consumers()
    group.beat("a", 0, rebalance_timeout_ms=10_000)
    group.beat("b", 0)
    group.beat("a", 2, ALL)
    group.world.advance(10_000)
    assert group.refused("a", 2, ALL) == ErrorCode.UNKNOWN_MEMBER_ID
    assert group.beat("b", 3, NONE)[1] == ALL


def test_who_gives_up_in_time_is_not() -> None:
    group = consumers()
    group.beat("a", 0, rebalance_timeout_ms=10_000)
    group.beat("b", 0)
    group.beat("a", 2, ALL)
    group.world.advance(9_999)
    group.beat("a", 2, LOW)
    group.world.advance(10_000)
    assert group.beat("a", 3) == (3, None)


def test_a_groups_own_settings_come_first() -> None:
    own = {"consumer.session.timeout.ms": "50000", "consumer.heartbeat.interval.ms": "6000"}
    group = consumers(group_overrides=lambda group_id: own if group_id == "g" else {})
    assert group.ask("a", 0).heartbeat_interval_ms == 6_000
    group.world.advance(49_999)
    group.beat("a", 2)
    group.world.advance(50_000)
    assert group.refused("a", 2) == ErrorCode.UNKNOWN_MEMBER_ID


# ----------------------------------------------------------------------------- static members


def test_an_instance_has_one_member_at_a_time() -> None:
    group = consumers()
    group.beat("a", 0, instance_id="i")
    assert group.refused("b", 0, instance_id="i") == ErrorCode.UNRELEASED_INSTANCE_ID
    assert group.refused("b", 2, instance_id="i") == ErrorCode.FENCED_INSTANCE_ID
    assert group.refused("a", 2, instance_id="j") == ErrorCode.UNKNOWN_MEMBER_ID
    assert group.refused("b", -2, instance_id="i") == ErrorCode.FENCED_INSTANCE_ID


def test_a_static_member_that_left_for_now_is_kept_for_its_successor() -> None:
    group = consumers()
    group.beat("a", 0, instance_id="i")
    assert group.ask("a", -2, instance_id="i").member_epoch == -2
    group.beat("b", 0)
    assert group.beat("c", 0, instance_id="i") == (3, LOW)
    assert group.refused("a", 2, instance_id="i") == ErrorCode.FENCED_INSTANCE_ID


def test_a_static_member_that_does_not_come_back_goes_with_its_session() -> None:
    group = consumers()
    group.beat("a", 0, instance_id="i")
    group.ask("a", -2, instance_id="i")
    group.world.advance(44_999)
    assert state(group) != "Empty"
    group.world.advance(1)
    assert state(group) == "Empty"


# ----------------------------------------------------------------------------------- patterns


def with_topics(*names: str) -> Consumers:
    return Consumers(World(dict.fromkeys(names, 1)), subscribed_topic_names=None)


def test_a_pattern_is_what_the_whole_name_matches() -> None:
    group = with_topics("orders", "orders-1", "old-orders", "other")
    _, has = group.beat("a", 0, subscribed_topic_regex="orders.*")
    assert has == {"orders": [0], "orders-1": [0]}


def test_a_pattern_follows_topics_that_come_and_go() -> None:
    group = with_topics("orders-1")
    group.beat("a", 0, subscribed_topic_regex="orders.*")
    group.world.coordinator.take_image(image({"orders-1": 1, "orders-2": 1}))
    assert group.beat("a", 2) == (3, {"orders-1": [0], "orders-2": [0]})
    group.world.coordinator.take_image(image({"orders-2": 1}))
    assert group.beat("a", 3, {"orders-2": [0]}) == (4, {"orders-2": [0]})


def test_names_and_a_pattern_add_up() -> None:
    group = with_topics("orders", "other")
    both = {"subscribed_topic_names": ["other"], "subscribed_topic_regex": "ord.*"}
    assert group.beat("a", 0, **both)[1] == {"orders": [0], "other": [0]}
    _, has = group.beat("a", 2, {"orders": [0], "other": [0]}, subscribed_topic_regex="")
    assert has == {"other": [0]}
    assert group.world.consumer_group().regexes == {}


def test_a_bad_pattern_is_refused_and_changes_nothing() -> None:
    group = with_topics("orders")
    for pattern in ("((", "a**", r"(a)\1", "(?=a)"):
        answer = group.refused("a", 0, subscribed_topic_regex=pattern)
        assert answer == ErrorCode.INVALID_REGULAR_EXPRESSION
    group.beat("a", 0, subscribed_topic_regex="orders")
    answer = group.refused("a", 2, subscribed_topic_regex="((")
    assert answer == ErrorCode.INVALID_REGULAR_EXPRESSION
    assert group.beat("a", 2) == (2, None)


def test_the_last_to_have_a_pattern_forgets_it() -> None:
    group = with_topics("orders")
    for member in "ab":
        group.beat(member, 0, subscribed_topic_regex="or.*")
    group.ask("a", -1)
    assert list(group.world.consumer_group().regexes) == ["or.*"]
    group.ask("b", -1)
    assert group.world.consumer_group().regexes == {}


def test_a_thousand_topics_are_matched_for_one_member() -> None:
    group = consumers()
    names = {f"t{number}": 1 for number in range(1_000)}
    group.world.coordinator.take_image(image(names))
    fields = {"subscribed_topic_names": None, "subscribed_topic_regex": "t[0-4].*"}
    _, has = group.beat("a", 0, **fields)
    assert has is not None
    assert sorted(has) == sorted(name for name in names if name[1] in "01234")
