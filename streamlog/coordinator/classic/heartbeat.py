"""Heartbeat: a classic member says that it is there, and hears whether it has to rejoin."""

from __future__ import annotations

from typing import Any

from streamlog.coordinator.classic.rebalance import schedule_session
from streamlog.coordinator.classic.states import ANSWERS, ClassicRequest, ClassicState
from streamlog.coordinator.consumer.classic_requests import heartbeat_consumer_group
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError, check_group_id
from streamlog.coordinator.records import make
from streamlog.coordinator.result import RequestContext


def heartbeat(decision: Decision, request: Any, context: RequestContext) -> None:
    check_group_id(request.group_id)
    group = decision.group(request.group_id)
    if isinstance(group, ConsumerGroup):
        code = heartbeat_consumer_group(decision, group, request)
    else:
        code = _heartbeat_classic(decision, request)
    decision.reply(context, make("HeartbeatResponse", error_code=code))


def _heartbeat_classic(decision: Decision, request: Any) -> ErrorCode:
    group = decision.classic_group(request.group_id)
    if group is None:
        raise RefusedError(ErrorCode.UNKNOWN_MEMBER_ID, f"group {request.group_id} does not exist")
    member = group.known_member(request.member_id, request.group_instance_id)
    group.check_generation(request.generation_id)
    answer = ANSWERS[group.state, ClassicRequest.HEARTBEAT]
    if group.state is not ClassicState.EMPTY:
        # One that is told to rejoin is alive all the same.
        schedule_session(decision, group, member)
    return answer if isinstance(answer, ErrorCode) else ErrorCode.NONE
