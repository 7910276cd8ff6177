"""The tables of a classic group's states, the page that draws them, and what groups really do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from streamlog.coordinator import ErrorCode
from streamlog.coordinator.classic import states
from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.states import (
    ANSWERS,
    TRANSITIONS,
    ClassicAnswer,
    ClassicEvent,
    ClassicRequest,
    ClassicState,
)
from tests.coordinator.driver import code
from tests.coordinator.stories import Classic

LEADER, FOLLOWER = 0, 1


def empty() -> tuple[Classic, list[str]]:
    classic, members = stable()
    assert classic.leave(*((member, None) for member in members)) == [ErrorCode.NONE] * 2
    return classic, members


def preparing() -> tuple[Classic, list[str]]:
    classic, members = stable()
    classic.join(classic.new_id())
    return classic, members


def completing() -> tuple[Classic, list[str]]:
    classic = Classic()
    return classic, classic.joined(2)


def stable() -> tuple[Classic, list[str]]:
    classic = Classic()
    return classic, classic.stable(2)


def dead() -> tuple[Classic, list[str]]:
    classic, members = stable()
    classic.world.coordinator.resign(classic.world.clock.now())
    return classic, members


STORIES: dict[ClassicState, Callable[[], tuple[Classic, list[str]]]] = {
    ClassicState.EMPTY: empty,
    ClassicState.PREPARING_REBALANCE: preparing,
    ClassicState.COMPLETING_REBALANCE: completing,
    ClassicState.STABLE: stable,
    ClassicState.DEAD: dead,
}


def asked(classic: Classic, members: list[str], request: ClassicRequest) -> ErrorCode | None:
    """The code that the request is answered with; None: it is parked."""
    world = classic.world
    match request:
        case ClassicRequest.JOIN_OF_LEADER:
            token = classic.join(members[LEADER])
        case ClassicRequest.JOIN_OF_FOLLOWER:
            token = classic.join(members[FOLLOWER])
        case ClassicRequest.SYNC_OF_LEADER:
            token = classic.sync(members[LEADER])
        case ClassicRequest.SYNC_OF_FOLLOWER:
            token = classic.sync(members[FOLLOWER])
        case ClassicRequest.HEARTBEAT:
            return classic.heartbeat(members[FOLLOWER])
        case ClassicRequest.COMMIT_OF_MEMBER:
            return classic.commit(members[FOLLOWER], 1)
        case ClassicRequest.COMMIT_OF_NOBODY:
            return classic.commit()
        case ClassicRequest.DELETE_GROUP:
            return code(world.ask("DeleteGroups", groups_names=["g"]).results[0])
    answer = world.answers.get(token)
    return None if answer is None else code(answer)


@pytest.mark.parametrize(("state", "request_"), ANSWERS, ids=lambda value: value.name)
def test_each_request_is_answered_in_each_state_as_the_table_says(
    state: ClassicState, request_: ClassicRequest
) -> None:
    classic, members = STORIES[state]()
    if state is not ClassicState.DEAD:
        assert classic.world.classic_group().state is state
    answer = ANSWERS[state, request_]
    code_or_none = asked(classic, members, request_)
    if answer is ClassicAnswer.PARKED:
        assert code_or_none is None
    else:
        wanted = ErrorCode.NONE if answer is ClassicAnswer.REPLY else answer
        assert code_or_none == wanted


def test_the_answers_are_complete() -> None:
    assert len(ANSWERS) == len(ClassicState) * len(ClassicRequest)


def test_the_page_draws_the_transitions() -> None:
    assert states.__doc__ is not None
    drawn = set(re.findall(r"^    (\w+) +([A-Z_]+) +(\w+)$", states.__doc__, re.MULTILINE))
    wanted: set[Any] = {
        (start.value, event.name, end.value)
        for (start, event), end in TRANSITIONS.items()
        if event is not ClassicEvent.RESIGNED
    }
    assert drawn - {("any", "RESIGNED", "Dead")} == wanted
    assert ("any", "RESIGNED", "Dead") in drawn
    for state in ClassicState:
        assert TRANSITIONS[state, ClassicEvent.RESIGNED] is ClassicState.DEAD


@pytest.mark.parametrize("state", ClassicState)
@pytest.mark.parametrize("event", ClassicEvent)
def test_a_group_moves_where_the_table_leads_and_nowhere_else(
    state: ClassicState, event: ClassicEvent
) -> None:
    group = ClassicGroup("g")
    group.state = state
    if (state, event) in TRANSITIONS:
        group.move(event, 5)
        assert (group.state, group.state_timestamp_ms) == (TRANSITIONS[state, event], 5)
    else:
        with pytest.raises(KeyError):
            group.move(event, 5)
        assert group.state is state
