"""How a coordinator is driven: conditional appends, dropped decisions, other processes, restarts,
members that live in processes."""

from __future__ import annotations

import re
import textwrap
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import streamlog.coordinator
from streamlog.coordinator import (
    PROCESS_HOST,
    CoordinatorRecord,
    ErrorCode,
    GroupCoordinator,
    Instant,
    MemberPolled,
    MembersDied,
    RequestContext,
    records,
    refusal,
)
from streamlog.protocol import message
from tests.coordinator.driver import (
    LATEST,
    SETTINGS,
    Clock,
    MemoryLog,
    Process,
    World,
    beat_fields,
    code,
    commit_fields,
    fetch_fields,
    fetched,
    image,
    join_fields,
    make,
)
from tests.coordinator.stories import Classic, Consumers

TOPICS = {"orders": 4}
HERE = {"host": f"{PROCESS_HOST}here"}
THERE = {"host": f"{PROCESS_HOST}there"}


def two_processes(**owners: bool) -> tuple[Process, Process]:
    log, clock = MemoryLog(), Clock()
    processes = [
        Process(log, clock, TOPICS, name=name, owner=owners.get(name, False))
        for name in ("one", "two")
    ]
    clock.processes += processes
    return processes[0], processes[1]


def beat(process: Process, member: str, epoch: int, owned: Any = None, **fields: Any) -> Any:
    response = process.ask("ConsumerGroupHeartbeat", **beat_fields(member, epoch, owned, **fields))
    assert code(response) == ErrorCode.NONE, response.error_message
    return response


# ------------------------------------------------------------------------------------ the cycle


def test_a_decision_that_is_dropped_leaves_nothing_behind() -> None:
    world = World(TOPICS)
    Classic(world).stable(2)
    before = world.volatile_state()
    requests = [
        make("JoinGroupRequest", **join_fields()),
        make("OffsetCommitRequest", **commit_fields({("orders", 0): 1}, group_id="h")),
        make("ConsumerGroupHeartbeatRequest", **beat_fields("m", 0, group_id="k")),
    ]
    for request in requests:
        name = type(request).__qualname__
        context = RequestContext("token", 9 if "Join" in name else 1, "c", "/127.0.0.1")
        result = world.coordinator.handle(request, context, world.clock.now())
        assert result.replies
    assert world.volatile_state() == before
    assert world.coordinator.next_offset == world.log.end


def test_what_came_between_is_replayed_and_the_request_decided_again() -> None:
    one, two = two_processes()
    beat(one, "a", 0, **HERE)
    one.between = lambda: beat(two, "b", 0, **THERE)
    beat(one, "c", 0, **HERE)
    assert list(one.consumer_group().members) == ["a", "b", "c"]
    assert one.coordinator.next_offset == one.log.end


def test_results_are_applied_in_their_order() -> None:
    world = World(TOPICS)
    request = make("ListGroupsRequest")
    context = RequestContext("token", LATEST["ListGroups"])
    results = [world.coordinator.handle(request, context, world.clock.now()) for _ in range(2)]
    world.coordinator.apply(results[0])
    with pytest.raises(AssertionError, match="before another was applied"):
        world.coordinator.apply(results[1])


def test_the_token_comes_back_with_the_reply_whenever_that_is() -> None:
    classic = Classic()
    tokens = [classic.join(classic.new_id()) for _ in range(2)]
    assert not classic.world.answers
    classic.world.settle()
    assert list(classic.world.answers) == tokens


def test_what_is_no_groups_request_is_not_taken() -> None:
    request = make("MetadataRequest")
    context = RequestContext("token", 1)
    with pytest.raises(LookupError, match="MetadataRequest"):
        World().coordinator.handle(request, context, Instant(0, 0))
    with pytest.raises(LookupError):
        refusal(request, 1, ErrorCode.NOT_COORDINATOR)


def asking(name: str) -> Any:
    """A request that names something, so that its refusal has something to name."""
    fields: dict[str, Any] = {
        "OffsetCommit": commit_fields({("orders", 0): 1}),
        "OffsetFetch": fetch_fields({"orders": [0]}),
        "DescribeGroups": {"groups": ["g"]},
        "ConsumerGroupDescribe": {"group_ids": ["g"]},
        "DeleteGroups": {"groups_names": ["g"]},
    }.get(name, {})
    return make(f"{name}Request", **fields)


@pytest.mark.parametrize("name", LATEST)
def test_a_refusal_has_the_shape_of_its_response(name: str) -> None:
    """Whoever cannot append tells so, in every version."""
    wanted = ErrorCode.COORDINATOR_NOT_AVAILABLE
    kind = message(f"{name}Response")
    low, high = message(f"{name}Request").valid_versions
    for version in range(low, high + 1):
        response = refusal(asking(name), version, wanted)
        assert kind.decode_whole(kind.encode(response, version), version) is not None
        if version >= 2:
            assert f"error_code=<ErrorCode.{wanted.name}" in repr(response)


class PlainLog:
    """What the page wants of a log: `read` and a conditional `append`."""

    def __init__(self) -> None:
        self.memory = MemoryLog()
        self.others: list[CoordinatorRecord] = []
        """What others append just before the next append."""

    def read(self, offset: int) -> bytes:
        bases = [int.from_bytes(batch[:8], "big") for batch in self.memory.batches]
        return self.memory.since(sum(base < offset for base in bases))

    def append(self, pairs: list[tuple[bytes, bytes | None]], expected_end: int) -> int | None:
        others, self.others = self.others, []
        if others:
            self.memory.append(others, 0, self.memory.end)
        found = [SimpleNamespace(encode=lambda pair=pair: pair) for pair in pairs]
        return self.memory.append(found, 0, expected_end)  # type: ignore[arg-type]


def test_the_cycle_that_the_page_shows() -> None:
    page = textwrap.dedent(streamlog.coordinator.__doc__ or "")
    found = re.search(r"^ {8}def carry_out.*?(?=\n\n)", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(textwrap.dedent(found[0]), names)  # it is ours
    log = PlainLog()
    coordinator = GroupCoordinator(SETTINGS, image(TOPICS), lambda: "x")
    now = Instant(0, 0)
    context = RequestContext("token", LATEST["OffsetCommit"])
    for offset in (5, 6):
        value = make("OffsetCommitValue", offset=9, metadata="")
        log.others = [records.offset_commit("g", "orders", 1, value)]
        request = make("OffsetCommitRequest", **commit_fields({("orders", 0): offset}))
        decide = partial(coordinator.handle, request, context, now)
        (reply,) = names["carry_out"](coordinator, log, decide)
        assert reply.token == "token"
    assert coordinator.next_offset == log.memory.end == 4
    assert names["carry_out"](coordinator, log, lambda: coordinator.tick(now)) == []
    context = RequestContext("token", LATEST["OffsetFetch"])
    request = make("OffsetFetchRequest", **fetch_fields(None))
    (reply,) = names["carry_out"](
        coordinator, log, partial(coordinator.handle, request, context, now)
    )
    assert fetched(reply.response) == {("orders", 0): 6, ("orders", 1): 9}


# -------------------------------------------------------------------------- who coordinates what


def test_elsewhere_members_of_the_network_are_sent_away() -> None:
    one, two = two_processes(one=True)
    for process, expected in (
        (one, ErrorCode.MEMBER_ID_REQUIRED),
        (two, ErrorCode.NOT_COORDINATOR),
    ):
        assert code(process.ask("JoinGroup", **join_fields())) == expected
    response = two.ask("ConsumerGroupHeartbeat", **beat_fields("a", 0))
    assert code(response) == ErrorCode.NOT_COORDINATOR
    for name in ("SyncGroup", "Heartbeat"):
        response = two.ask(name, group_id="g", member_id="m", generation_id=1, **_protocol(name))
        assert code(response) == ErrorCode.NOT_COORDINATOR


def _protocol(name: str) -> dict[str, str]:
    return {"protocol_type": "consumer", "protocol_name": "range"} if name == "SyncGroup" else {}


def stable_classic() -> tuple[Process, Process, str]:
    one, two = two_processes(one=True)
    member = one.ask("JoinGroup", **join_fields()).member_id
    token = one.send("JoinGroup", **join_fields(member))
    one.settle()
    one.answer(token)
    one.ask("SyncGroup", group_id="g", member_id=member, generation_id=1, **_protocol("SyncGroup"))
    return one, two, member


def test_a_classic_member_is_heard_only_where_it_is_coordinated() -> None:
    one, two, member = stable_classic()
    fields = commit_fields({("orders", 0): 5}, member, 1)
    for process, expected in ((two, ErrorCode.NOT_COORDINATOR), (one, ErrorCode.NONE)):
        response = process.ask("OffsetCommit", **fields)
        assert response.topics[0].partitions[0].error_code == expected
    identity = message("LeaveGroupRequest").structs["MemberIdentity"](member_id=member)
    for process, expected in ((two, ErrorCode.NOT_COORDINATOR), (one, ErrorCode.NONE)):
        response = process.ask("LeaveGroup", group_id="g", members=[identity])
        assert code(response) == expected


def test_committed_offsets_are_told_everywhere() -> None:
    one, two = two_processes(one=True)
    one.ask("OffsetCommit", **commit_fields({("orders", 0): 5}))
    two.catch_up()
    assert fetched(two.ask("OffsetFetch", **fetch_fields(None))) == {("orders", 0): 5}


def test_who_takes_over_begins_every_session_anew() -> None:
    one, two, member = stable_classic()
    one.clock.processes.remove(one)
    two.clock.advance(9_000)
    two.coordinator.take_over(two.clock.now())
    two.clock.advance(9_000)
    heartbeat = {"group_id": "g", "member_id": member, "generation_id": 1}
    assert code(two.ask("Heartbeat", **heartbeat)) == ErrorCode.NONE
    two.clock.advance(10_000)
    assert code(two.ask("Heartbeat", **heartbeat)) == ErrorCode.UNKNOWN_MEMBER_ID


def test_who_resigns_sends_away_what_is_parked() -> None:
    one, _, member = stable_classic()
    one.ask("JoinGroup", **join_fields())
    token = one.send("JoinGroup", **join_fields(member))
    replies = one.coordinator.resign(one.clock.now())
    assert [(reply.token, code(reply.response)) for reply in replies] == [
        (token, ErrorCode.NOT_COORDINATOR)
    ]
    assert one.coordinator.next_deadline_ms() is None


def test_a_consumer_elsewhere_makes_a_consumer_group_of_a_classic_one() -> None:
    """The process that coordinates finds the records, and tells its members to rejoin."""
    one, two, member = stable_classic()
    one.ask("JoinGroup", **join_fields())
    token = one.send("JoinGroup", **join_fields(member))
    beat(two, "c", 0, **THERE)
    one.settle()
    assert code(one.answer(token)) == ErrorCode.REBALANCE_IN_PROGRESS
    token = one.send("JoinGroup", **join_fields(member))
    assert one.answer(token).generation_id > 1
    two.catch_up()
    assert one.consumer_group() == two.consumer_group()


# ------------------------------------------------------------------- members that live in processes


def test_a_member_in_a_process_needs_no_heartbeats() -> None:
    one, two = two_processes(one=True)
    beat(two, "a", 0, **THERE)
    one.clock.advance(3_600_000)
    assert beat(two, "a", 2, **THERE).member_epoch == 2


def test_members_go_with_their_process() -> None:
    one, two = two_processes()
    beat(one, "a", 0, **HERE)
    beat(two, "b", 0, **THERE)
    beat(two, "s", 0, **THERE, instance_id="i")
    one.catch_up()
    events = one.coordinator.members_in_processes()
    assert events == {
        HERE["host"]: [MembersDied("g", ("a",))],
        THERE["host"]: [MembersDied("g", ("b", "s"))],
    }
    for event in events[THERE["host"]]:
        one.tell(event)
    members = one.consumer_group().members
    assert list(members) == ["a", "s"], "a static one is expected back"
    assert one.coordinator.members_in_processes().keys() == {HERE["host"]}
    one.clock.advance(SETTINGS.group_consumer_session_timeout_ms)
    assert list(one.consumer_group().members) == ["a"]


def test_a_static_member_comes_back_to_what_its_dead_process_had() -> None:
    one, two = two_processes()
    beat(two, "s", 0, **THERE, instance_id="i")
    one.tell(MembersDied("g", ("s",)))
    response = beat(one, "t", 0, **HERE, instance_id="i")
    assert response.assignment.topic_partitions[0].partitions == [0, 1, 2, 3]
    one.clock.advance(3_600_000)
    assert list(one.consumer_group().members) == ["t"]


def test_a_member_that_hangs_is_fenced_after_its_poll_interval() -> None:
    one, two = two_processes()
    beat(two, "a", 0, **THERE, rebalance_timeout_ms=1_000)
    for process in (one, two):
        process.catch_up()
        process.tell(MemberPolled("g", "a", polled_at_ms=0))
    one.clock.advance(999)
    for process in (one, two):
        process.tell(MemberPolled("g", "a", polled_at_ms=900))
    one.clock.advance(900)
    assert list(one.consumer_group().members) == ["a"]
    one.clock.advance(1)
    assert not one.consumer_group().members
    response = two.ask("ConsumerGroupHeartbeat", **beat_fields("a", 2, **THERE))
    assert code(response) == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_poll_that_was_too_long_ago_fences_at_once() -> None:
    one, two = two_processes()
    beat(two, "a", 0, **THERE, rebalance_timeout_ms=1_000)
    one.clock.advance(5_000)
    one.tell(MemberPolled("g", "a", polled_at_ms=0))
    one.settle()
    assert not one.consumer_group().members


def test_what_is_told_of_strangers_does_nothing() -> None:
    world = World(TOPICS)
    world.tell(MembersDied("g", ("a",)))
    world.tell(MemberPolled("g", "a", 0))
    assert (world.log.end, world.coordinator.next_deadline_ms()) == (0, None)


def news(process: Process, member: str, epoch: int) -> bool:
    process.catch_up()
    process.settle()
    return process.coordinator.has_news("g", member, epoch, process.clock.now())


def test_a_member_asks_when_there_is_news() -> None:
    one, two = two_processes()
    assert news(one, "a", 0), "it is not there yet"
    beat(one, "a", 0, **HERE)
    assert news(one, "a", 2), "it was not looked whether topics have changed"
    beat(one, "a", 2, **HERE)
    assert not news(one, "a", 2)
    beat(two, "b", 0, **THERE)
    assert news(one, "a", 2), "it is to give partitions up"
    beat(one, "a", 2, {"orders": [0, 1, 2, 3]}, **HERE)
    beat(two, "b", 3, {}, **THERE)
    assert not news(two, "b", 3), "nothing is free yet"
    beat(one, "a", 2, {"orders": [0, 1]}, **HERE)
    assert news(two, "b", 3)
    assert beat(two, "b", 3, {}, **THERE).assignment.topic_partitions[0].partitions == [2, 3]
    one.coordinator.take_image(image({"orders": 6}))
    assert news(one, "a", 3), "there are more partitions"
    one.tell(MembersDied("g", ("b",)))
    assert news(two, "b", 3), "it was fenced"


# ------------------------------------------------------------------------------------- restarts


def test_a_log_may_begin_anywhere() -> None:
    coordinator = GroupCoordinator(SETTINGS, image({}), lambda: "x", log_start=17)
    assert coordinator.next_offset == 17


def test_a_new_process_finds_the_members_of_dead_ones() -> None:
    world = World(TOPICS)
    Consumers(world, **HERE).beat("a", 0)
    fresh = GroupCoordinator(SETTINGS, image(TOPICS), lambda: "x")
    fresh.replay_log(world.log.since(0))
    assert fresh.next_offset == world.log.end
    assert fresh.members_in_processes() == {HERE["host"]: [MembersDied("g", ("a",))]}


def test_a_new_owner_watches_over_members_in_the_network() -> None:
    one, two = two_processes(one=True)
    beat(one, "a", 0)
    one.clock.processes.remove(one)
    two.catch_up()
    two.coordinator.take_over(two.clock.now())
    two.clock.advance(44_999)
    assert list(two.consumer_group().members) == ["a"]
    two.clock.advance(1)
    assert not two.consumer_group().members


def test_settings_can_change_meanwhile() -> None:
    world = World(TOPICS)
    world.coordinator.take_settings(msgspec.structs.replace(SETTINGS, group_consumer_max_size=1))
    group = Consumers(world)
    group.beat("a", 0)
    assert group.refused("b", 0) == ErrorCode.GROUP_MAX_SIZE_REACHED
