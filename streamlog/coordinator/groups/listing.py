"""ListGroups: every group there is, by state and kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from streamlog.coordinator.classic.recorded import RecordedGroup
from streamlog.coordinator.classic.states import ClassicState
from streamlog.coordinator.classic.subscription import CONSUMER_PROTOCOL
from streamlog.coordinator.consumer.group import ConsumerGroup, ConsumerGroupState
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import RequestContext

#: What groups are in, by the names that Kafka lists; which are compared without case.
GROUP_STATES = tuple(sorted({state.value for state in (*ClassicState, *ConsumerGroupState)}))

CLASSIC = "classic"
CONSUMER = "consumer"


class ListedGroup(NamedTuple):
    """A group as it is listed."""

    group_id: str
    protocol_type: str
    group_state: str
    group_type: str


def list_groups(decision: Decision, request: Any, context: RequestContext) -> None:
    states = {state.strip().lower() for state in request.states_filter}
    kinds = {kind.strip().lower() for kind in request.types_filter}
    listed = [
        make_struct("ListGroupsResponse", "ListedGroup", **group._asdict())
        for group in sorted(set(_groups(decision)))
        if (not states or group.group_state.lower() in states)
        and (not kinds or group.group_type.lower() in kinds)
    ]
    decision.reply(context, make("ListGroupsResponse", groups=listed))


def _groups(decision: Decision) -> Iterator[ListedGroup]:
    known = set()
    for group in decision.state.groups:
        known.add(group.group_id)
        if isinstance(group, ConsumerGroup):
            state = group.state.value
            yield ListedGroup(group.group_id, CONSUMER_PROTOCOL, state, CONSUMER)
        elif isinstance(group, RecordedGroup):
            classic = decision.classic_group(group.group_id)
            assert classic is not None, "it is recorded"
            kind = classic.protocol_type or ""
            yield ListedGroup(group.group_id, kind, classic.state.value, CLASSIC)
    for group_id in decision.offsets.groups():
        if group_id not in known:
            yield ListedGroup(group_id, "", ClassicState.EMPTY.value, CLASSIC)
