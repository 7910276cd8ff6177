"""Classic groups: joining, generations, static members, timeouts, versions (facts of KIP-394,
KIP-345, KIP-559, KIP-814). `test_classic_states` has what the states decide on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamlog.coordinator import ErrorCode
from tests.coordinator.driver import SETTINGS, World, code, protocols
from tests.coordinator.stories import Classic


def settings(**changes: Any) -> Any:
    return msgspec.structs.replace(SETTINGS, **changes)


# ------------------------------------------------------------------------------------- joining


def test_a_member_is_sent_away_to_come_back_with_its_id() -> None:
    classic = Classic()
    member = classic.new_id()
    assert member.startswith("client-")
    token = classic.join(member)
    classic.world.settle()
    response = classic.answer(token)
    assert (response.generation_id, response.leader, response.protocol_name) == (1, member, "range")
    assert [m.member_id for m in response.members] == [member]


def test_before_version_4_a_member_joins_at_once() -> None:
    classic = Classic()
    token = classic.join("", version=3)
    classic.world.settle()
    assert code(classic.answer(token)) == ErrorCode.NONE


def test_an_id_that_was_never_used_is_forgotten_with_its_session() -> None:
    classic = Classic()
    member = classic.new_id()
    classic.world.advance(10_000)
    assert code(classic.answer(classic.join(member))) == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_generation_waits_for_who_was_given_an_id() -> None:
    classic = Classic()
    (leader,) = classic.stable(1)
    expected = classic.new_id()
    token = classic.join(leader)
    assert token not in classic.world.answers
    classic.join(expected)
    assert code(classic.answer(token)) == ErrorCode.NONE


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"session_timeout_ms": 5_999}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"session_timeout_ms": 1_800_001}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"group_id": ""}, ErrorCode.INVALID_GROUP_ID),
        ({"protocols": []}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocol_type": ""}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"member_id": "nobody"}, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_what_cannot_join_an_empty_group(fields: dict[str, Any], error: ErrorCode) -> None:
    classic = Classic()
    assert code(classic.answer(classic.join(fields.pop("member_id", ""), **fields))) == error
    assert classic.world.log.end == 0


def test_members_need_a_protocol_in_common() -> None:
    classic = Classic()
    classic.stable(1)
    for fields in ({"protocols": protocols("other")}, {"protocol_type": "connect"}):
        answer = classic.answer(classic.join("", **fields))
        assert code(answer) == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert classic.state == "Stable"


def test_any_protocol_type_will_do() -> None:
    classic = Classic()
    connect = {"protocol_type": "connect", "protocols": protocols("sessioned", "compatible")}
    member = classic.new_id(**connect)
    token = classic.join(member, **connect)
    classic.world.settle()
    response = classic.answer(token)
    assert (response.protocol_type, response.protocol_name) == ("connect", "sessioned")
    assert response.members[0].metadata == b"m"
    said = {"protocol_type": "connect", "protocol_name": "sessioned"}
    synced = classic.answer(classic.sync(member, 1, {member: b"work"}, **said))
    assert synced.assignment == b"work"


def test_the_protocol_has_most_votes_among_those_that_all_have() -> None:
    classic = Classic()
    offers = [("a", "b", "c"), ("c", "b"), ("b", "c"), ("b", "c", "d")]
    members = [classic.new_id() for _ in offers]
    tokens = [
        classic.join(member, protocols=protocols(*offer))
        for member, offer in zip(members, offers, strict=True)
    ]
    classic.world.settle()
    assert {classic.answer(token).protocol_name for token in tokens} == {"b"}


def test_only_the_leader_is_told_of_the_members() -> None:
    classic = Classic()
    members = [classic.new_id() for _ in range(3)]
    tokens = [classic.join(member) for member in members]
    classic.world.settle()
    told = [len(classic.answer(token).members) for token in tokens]
    assert told == [3, 0, 0]


def test_a_group_takes_no_more_than_its_maximum() -> None:
    classic = Classic(World(settings=settings(group_max_size=2)))
    classic.stable(2)
    answer = classic.answer(classic.join(""))
    assert (code(answer), answer.member_id) == (ErrorCode.GROUP_MAX_SIZE_REACHED, "")
    assert classic.state == "Stable"


def test_the_first_rebalance_waits_for_as_long_as_members_come() -> None:
    classic = Classic(World(settings=settings(group_initial_rebalance_delay_ms=3_000)))
    world = classic.world
    first = classic.join("", version=3)
    world.advance(2_000)
    second = classic.join("", version=3)
    world.advance(1_000)
    assert not world.answers, "one came meanwhile: it waits once more"
    world.advance(3_000)
    assert [code(classic.answer(token)) for token in (first, second)] == [ErrorCode.NONE] * 2
    assert classic.state == "CompletingRebalance"


def test_the_first_rebalance_waits_no_longer_than_the_rebalance_timeout() -> None:
    classic = Classic(World(settings=settings(group_initial_rebalance_delay_ms=3_000)))
    tokens = []
    for _ in range(4):
        tokens.append(classic.join("", version=3, rebalance_timeout_ms=8_000))
        classic.world.advance(2_000)
    assert [code(classic.answer(token)) for token in tokens] == [ErrorCode.NONE] * 4


# --------------------------------------------------------------------------------- rebalancing


def test_members_that_do_not_rejoin_are_left_out() -> None:
    classic = Classic()
    timeouts = {"session_timeout_ms": 100_000, "rebalance_timeout_ms": 20_000}
    leader, other = classic.stable(2, **timeouts)
    token = classic.join(leader, **timeouts)
    classic.world.advance(19_999)
    assert classic.heartbeat(other) == ErrorCode.REBALANCE_IN_PROGRESS
    classic.world.advance(1)
    assert classic.answer(token).generation_id == 2
    assert classic.heartbeat(other) == ErrorCode.UNKNOWN_MEMBER_ID


def test_another_leads_when_the_leader_does_not_rejoin() -> None:
    classic = Classic()
    timeouts = {"session_timeout_ms": 100_000, "rebalance_timeout_ms": 20_000}
    _, other = classic.stable(2, **timeouts)
    token = classic.join(other, protocols=protocols("range", metadata=b"news"), **timeouts)
    classic.world.advance(20_000)
    assert classic.answer(token).leader == other


def test_a_follower_that_says_the_same_gets_its_generation_again() -> None:
    classic = Classic()
    leader, other = classic.stable(2)
    answer = classic.answer(classic.join(other))
    assert (answer.generation_id, answer.leader) == (1, leader)
    assert classic.state == "Stable"


def test_a_leader_that_rejoins_wants_to_assign_anew() -> None:
    classic = Classic()
    leader, other = classic.stable(2)
    tokens = [classic.join(leader), classic.join(other)]
    assert [classic.answer(token).generation_id for token in tokens] == [2, 2]


def test_who_never_syncs_is_removed() -> None:
    classic = Classic()
    timeouts = {"session_timeout_ms": 100_000, "rebalance_timeout_ms": 20_000}
    leader, idle = classic.joined(2, **timeouts)
    token = classic.sync(leader, 1, {leader: b"a", idle: b"b"})
    assert classic.answer(token).assignment == b"a"
    classic.world.advance(20_000)
    assert classic.heartbeat(leader) == ErrorCode.REBALANCE_IN_PROGRESS
    assert classic.heartbeat(idle) == ErrorCode.UNKNOWN_MEMBER_ID


def test_who_waits_for_an_assignment_is_told_of_the_next_rebalance() -> None:
    classic = Classic()
    _, other = classic.joined(2)
    waiting = classic.sync(other)
    classic.join(classic.new_id())
    assert code(classic.answer(waiting)) == ErrorCode.REBALANCE_IN_PROGRESS


def test_an_assignment_that_the_leader_forgot_is_empty() -> None:
    classic = Classic()
    leader, other = classic.joined(2)
    waiting = classic.sync(other)
    classic.answer(classic.sync(leader, 1, {leader: b"all"}))
    assert classic.answer(waiting).assignment == b""


def test_what_is_asked_twice_is_answered_twice() -> None:
    """The first JoinGroup's connection may be gone: its client asks again on another."""
    classic = Classic()
    (member,) = classic.stable(1)
    classic.new_id()
    first = classic.join(member)
    second = classic.join(member)
    assert code(classic.answer(first)) == ErrorCode.REBALANCE_IN_PROGRESS
    assert second not in classic.world.answers


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"generation": 2}, ErrorCode.ILLEGAL_GENERATION),
        ({"member": "nobody"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"protocol_name": "other"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocol_type": "connect"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocol_name": None}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"group_instance_id": "i"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"group_id": ""}, ErrorCode.INVALID_GROUP_ID),
    ],
)
def test_who_cannot_sync(fields: dict[str, Any], error: ErrorCode) -> None:
    classic = Classic()
    (member,) = classic.joined(1)
    token = classic.sync(fields.pop("member", member), fields.pop("generation", 1), **fields)
    assert code(classic.answer(token)) == error


# ------------------------------------------------------------------------------- signs of life


def test_a_member_without_a_heartbeat_is_removed() -> None:
    classic = Classic()
    first, second = classic.stable(2)
    classic.world.advance(9_000)
    assert classic.heartbeat(first) == ErrorCode.NONE
    classic.world.advance(1_000)
    assert classic.heartbeat(second) == ErrorCode.UNKNOWN_MEMBER_ID
    assert classic.heartbeat(first) == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_commit_is_a_sign_of_life() -> None:
    classic = Classic()
    (member,) = classic.stable(1)
    for _ in range(3):
        classic.world.advance(9_000)
        assert classic.commit(member, 1) == ErrorCode.NONE
    assert classic.heartbeat(member) == ErrorCode.NONE


def test_the_session_of_a_member_that_waits_to_join_does_not_end() -> None:
    classic = Classic()
    leader, _ = classic.stable(2, rebalance_timeout_ms=60_000)
    token = classic.join(leader)
    classic.world.advance(10_000)
    assert classic.answer(token).generation_id == 2, "the other one's session ended"


@pytest.mark.parametrize(
    ("generation", "instance", "error"),
    [
        (2, None, ErrorCode.ILLEGAL_GENERATION),
        (0, None, ErrorCode.ILLEGAL_GENERATION),
        (1, "i", ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_whose_heartbeat_is_refused(
    generation: int, instance: str | None, error: ErrorCode
) -> None:
    classic = Classic()
    (member,) = classic.stable(1)
    assert classic.heartbeat(member, generation, group_instance_id=instance) == error


def test_an_empty_group_is_in_the_log() -> None:
    classic = Classic()
    (member,) = classic.stable(1)
    classic.world.advance(10_000)
    assert classic.state == "Empty"
    assert classic.world.classic_group().generation == 2
    assert classic.heartbeat(member, 2) == ErrorCode.UNKNOWN_MEMBER_ID


def test_the_session_of_a_member_that_waited_to_sync_begins_again() -> None:
    """A static one would else stay for ever: only its session's end removes it."""
    classic = Classic()
    tokens = [classic.join("", group_instance_id=instance) for instance in ("i", "j")]
    classic.world.settle()
    _, second = (classic.answer(token).member_id for token in tokens)
    waiting = classic.sync(second)
    classic.world.advance(10_000)
    assert code(classic.answer(waiting)) == ErrorCode.REBALANCE_IN_PROGRESS
    classic.world.advance(9_999)
    assert classic.state == "PreparingRebalance"
    classic.world.advance(1)
    assert classic.state == "Empty"


# ----------------------------------------------------------------------------- static members


def static(classic: Classic, **fields: Any) -> tuple[str, Any]:
    """A static member's id and the answer to its JoinGroup."""
    token = classic.join("", group_instance_id="i", **fields)
    classic.world.settle()
    response = classic.answer(token)
    return response.member_id, response


def stable_static() -> tuple[Classic, str]:
    classic = Classic()
    member, _ = static(classic)
    classic.answer(classic.sync(member, 1, {member: b"mine"}, group_instance_id="i"))
    return classic, member


def test_a_restarted_static_member_gets_its_assignment_without_a_rebalance() -> None:
    classic, former = stable_static()
    member, response = static(classic)
    assert member != former
    assert (response.generation_id, response.leader) == (1, member)
    assert response.skip_assignment
    assert [m.group_instance_id for m in response.members] == ["i"]
    assert classic.answer(classic.sync(member, 1)).assignment == b"mine"
    assert classic.heartbeat(former, group_instance_id="i") == ErrorCode.FENCED_INSTANCE_ID
    assert classic.heartbeat(former) == ErrorCode.UNKNOWN_MEMBER_ID


def test_before_version_9_a_restarted_leader_is_made_a_follower() -> None:
    classic, former = stable_static()
    member, response = static(classic, version=8)
    assert response.leader == former != member
    assert response.members == []


def test_a_static_member_that_would_change_the_protocol_begins_a_rebalance() -> None:
    classic = Classic()
    both = {"protocols": protocols("range", "sticky")}
    member, _ = static(classic, **both)
    classic.answer(classic.sync(member, 1, {member: b"mine"}))
    _, response = static(classic, protocols=protocols("sticky"))
    assert (response.generation_id, response.protocol_name) == (2, "sticky")


def test_a_static_member_that_waits_is_fenced_by_its_successor() -> None:
    classic, member = stable_static()
    classic.new_id()
    waiting = classic.join(member, group_instance_id="i")
    classic.join("", group_instance_id="i")
    assert code(classic.answer(waiting)) == ErrorCode.FENCED_INSTANCE_ID


def test_a_static_member_is_kept_until_its_session_ends() -> None:
    classic, _ = stable_static()
    newcomer = classic.new_id(session_timeout_ms=100_000)
    token = classic.join(newcomer, session_timeout_ms=100_000, rebalance_timeout_ms=5_000)
    classic.world.advance(9_999)
    assert token not in classic.world.answers
    classic.world.advance(1)
    response = classic.answer(token)
    assert [m.member_id for m in response.members] == [newcomer]


def test_another_members_instance_is_refused() -> None:
    classic, member = stable_static()
    joined = classic.answer(classic.join("other", group_instance_id="i"))
    assert code(joined) == ErrorCode.FENCED_INSTANCE_ID
    assert classic.commit("other", 1, group_instance_id="i") == ErrorCode.FENCED_INSTANCE_ID
    assert classic.commit(member, 1, group_instance_id="i") == ErrorCode.NONE


# ------------------------------------------------------------------------------------- leaving


def test_each_member_that_leaves_has_its_own_answer() -> None:
    classic = Classic()
    dynamic = classic.stable(1)[0]
    classic.join("", group_instance_id="i")
    answers = classic.leave(
        ("nobody", None), ("other", "i"), ("", "i"), ("", "j"), (dynamic, None), (dynamic, None)
    )
    unknown = ErrorCode.UNKNOWN_MEMBER_ID
    fenced, fine = ErrorCode.FENCED_INSTANCE_ID, ErrorCode.NONE
    assert answers == [unknown, fenced, fine, unknown, fine, unknown]
    assert classic.state == "Empty"


def test_who_leaves_while_it_waits_is_told_that_it_is_unknown() -> None:
    classic = Classic()
    leader, other = classic.stable(2)
    token = classic.join(leader)
    assert classic.leave((leader, None)) == [ErrorCode.NONE]
    assert code(classic.answer(token)) == ErrorCode.UNKNOWN_MEMBER_ID
    assert classic.answer(classic.join(other)).leader == other


def test_one_that_was_only_expected_can_leave() -> None:
    classic = Classic()
    (leader,) = classic.stable(1)
    expected = classic.new_id()
    token = classic.join(leader)
    assert classic.leave((expected, None)) == [ErrorCode.NONE]
    assert classic.answer(token).generation_id == 2


def test_before_version_3_one_member_leaves() -> None:
    classic = Classic()
    (member,) = classic.stable(1)
    for expected in (ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID):
        response = classic.world.ask("LeaveGroup", version=2, group_id="g", member_id=member)
        assert code(response) == expected


def test_nobody_leaves_a_group_that_is_not_there() -> None:
    assert Classic().leave(("a", None)) == [ErrorCode.UNKNOWN_MEMBER_ID]
