"""ConsumerGroupHeartbeat (KIP-848): joins, keeps alive, reconciles and leaves, all in one request.

Fields that are null say that nothing has changed since the last request of the member.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streamlog.coordinator.classic.recorded import RecordedGroup
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.join import join_dynamic, join_static, write_member
from streamlog.coordinator.consumer.leave import leave_for_now, remove_members
from streamlog.coordinator.consumer.lookup import (
    check_instance,
    check_room,
    consumer_group,
    consumer_group_to_join,
    known_member,
)
from streamlog.coordinator.consumer.member import (
    JOINING_EPOCH,
    LEAVING_EPOCH,
    LEFT_FOR_NOW_EPOCH,
    ConsumerMember,
)
from streamlog.coordinator.consumer.rebalance import rebalance
from streamlog.coordinator.consumer.sessions import schedule_session
from streamlog.coordinator.consumer.subscribing import drop_regex
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.partitions import by_topic, flatten
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import RequestContext

_MEMBER_MAKES_ITS_ID = 1
"""The version since which a member comes with an id of its own making."""

_RESPONSE = "ConsumerGroupHeartbeatResponse"


def consumer_group_heartbeat(decision: Decision, request: Any, context: RequestContext) -> None:
    _check(decision, request, context.api_version)
    if request.member_epoch in (LEAVING_EPOCH, LEFT_FOR_NOW_EPOCH):
        _leave(decision, request)
        response = make(_RESPONSE, member_id=request.member_id, member_epoch=request.member_epoch)
    else:
        response = _beat(decision, request, context)
    decision.reply(context, response)


def _beat(decision: Decision, request: Any, context: RequestContext) -> Any:
    joining = request.member_epoch == JOINING_EPOCH
    member_id = request.member_id or decision.new_id()
    was_classic = isinstance(decision.group(request.group_id), RecordedGroup)
    find_group = consumer_group_to_join if joining else consumer_group
    group = find_group(decision, request.group_id)
    check_room(decision, group, member_id)
    owned = None if request.topic_partitions is None else flatten(request.topic_partitions)
    before = _member_before(decision, group, request, member_id)
    if not joining:
        _check_epoch(before, request.member_epoch, owned)
    member = _told_by(before, request, context)
    changed = write_member(decision, request.group_id, member)
    changed |= drop_regex(decision, request.group_id, before.regex, member.regex)
    # What a classic group's last rebalance left, which may have been cut short, is no target.
    changed |= was_classic
    member = rebalance(decision, request.group_id, member_id, owned, changed=changed)
    schedule_session(decision, request.group_id, member)
    full = (
        request.rebalance_timeout_ms != -1
        and (request.subscribed_topic_names, request.subscribed_topic_regex) != (None, None)
        and owned is not None
    )
    response = make(
        _RESPONSE,
        member_id=member_id,
        member_epoch=member.epoch,
        heartbeat_interval_ms=decision.settings.consumer_heartbeat_interval_ms(request.group_id),
    )
    if joining or full or member.assigned.keys() != before.assigned.keys():
        response.assignment = make_struct(
            _RESPONSE,
            "Assignment",
            topic_partitions=[
                make_struct(_RESPONSE, "TopicPartitions", topic_id=topic_id, partitions=partitions)
                for topic_id, partitions in by_topic(member.assigned).items()
            ],
        )
    return response


def _member_before(
    decision: Decision, group: ConsumerGroup, request: Any, member_id: str
) -> ConsumerMember:
    """The member as it was: known, new, or what a static member's former self left behind."""
    joining = request.member_epoch == JOINING_EPOCH
    if request.instance_id is None:
        return join_dynamic(group, member_id) if joining else known_member(group, member_id)
    if joining:
        return join_static(decision, group, member_id, request.instance_id, classic=False)
    return check_instance(group, member_id, request.instance_id)


def _told_by(member: ConsumerMember, request: Any, context: RequestContext) -> ConsumerMember:
    """The member with what the request says of it; null is what it was."""

    def told(value: Any, known: Any) -> Any:
        return known if value is None else value

    names = request.subscribed_topic_names
    timeout = request.rebalance_timeout_ms
    return msgspec.structs.replace(
        member,
        instance_id=told(request.instance_id, member.instance_id),
        rack_id=told(request.rack_id, member.rack_id),
        rebalance_timeout_ms=member.rebalance_timeout_ms if timeout == -1 else timeout,
        server_assignor=told(request.server_assignor, member.server_assignor),
        topics=member.topics if names is None else tuple(sorted(set(names))),
        regex=told(request.subscribed_topic_regex, member.regex),
        client_id=context.client_id,
        client_host=context.client_host,
        classic=None,
    )


def _leave(decision: Decision, request: Any) -> None:
    group = consumer_group(decision, request.group_id)
    if request.instance_id is None:
        member = known_member(group, request.member_id)
    else:
        member = check_instance(group, request.member_id, request.instance_id)
    if request.member_epoch == LEFT_FOR_NOW_EPOCH:
        leave_for_now(decision, request.group_id, member)
    else:
        remove_members(decision, request.group_id, [member])


def _check_epoch(member: ConsumerMember, epoch: int, owned: Any) -> None:
    """A member may be one step behind when the last response was lost; it is not ahead."""
    if epoch == member.epoch:
        return
    missed_a_response = (
        epoch < member.epoch
        and epoch == member.previous_epoch
        and owned is not None
        and owned <= member.assigned.keys()
    )
    if not missed_a_response:
        relation = "greater" if epoch > member.epoch else "smaller"
        raise RefusedError(
            ErrorCode.FENCED_MEMBER_EPOCH,
            f"The consumer group member has a {relation} member epoch ({epoch}) than the one "
            f"known by the group coordinator ({member.epoch}). The member must abandon all its "
            "partitions and rejoin.",
        )


def _check(decision: Decision, request: Any, version: int) -> None:
    """What can be said of a request without looking at its group."""
    epoch = request.member_epoch
    if not request.member_id and (version >= _MEMBER_MAKES_ITS_ID or epoch != JOINING_EPOCH):
        raise _invalid("MemberId can't be empty.")
    for name, value in (
        ("GroupId", request.group_id.strip()),
        ("InstanceId", request.instance_id),
        ("RackId", request.rack_id),
    ):
        if value == "":
            raise _invalid(f"{name} can't be empty.")
    if epoch == JOINING_EPOCH:
        _check_joining(request)
    elif epoch == LEFT_FOR_NOW_EPOCH and request.instance_id is None:
        raise _invalid("InstanceId can't be null.")
    elif epoch < LEFT_FOR_NOW_EPOCH:
        raise _invalid(f"MemberEpoch is invalid: {epoch}.")
    assignors = decision.settings.group_consumer_assignors
    if request.server_assignor is not None and request.server_assignor not in assignors:
        raise RefusedError(
            ErrorCode.UNSUPPORTED_ASSIGNOR,
            f"ServerAssignor {request.server_assignor} is not supported. "
            f"Supported assignors: {', '.join(assignors)}.",
        )


def _check_joining(request: Any) -> None:
    if request.rebalance_timeout_ms == -1:
        raise _invalid("RebalanceTimeoutMs must be provided in first request.")
    if request.topic_partitions is None or request.topic_partitions:
        raise _invalid("TopicPartitions must be empty when (re-)joining.")
    if request.subscribed_topic_names is None and request.subscribed_topic_regex is None:
        raise _invalid(
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
            "(re-)joining."
        )


def _invalid(message: str) -> RefusedError:
    return RefusedError(ErrorCode.INVALID_REQUEST, message)
