"""JoinGroup of a member that speaks the classic protocol in a consumer group (KIP-848)."""

from __future__ import annotations

from typing import Any

import msgspec

from streamlog.coordinator.classic.group import protocols_of
from streamlog.coordinator.classic.parked import reply_join
from streamlog.coordinator.classic.rebalance import prepare_rebalance
from streamlog.coordinator.classic.requests import rebalance_timeout_of, requires_known_id
from streamlog.coordinator.classic.subscription import CONSUMER_PROTOCOL
from streamlog.coordinator.consumer.embedded import partitions_named, subscription_of
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.join import join_dynamic, join_static, write_member
from streamlog.coordinator.consumer.lookup import check_instance, check_room
from streamlog.coordinator.consumer.member import ClassicMember, ConsumerMember
from streamlog.coordinator.consumer.rebalance import bump_epoch, reconcile_member, update_targets
from streamlog.coordinator.consumer.subscribing import drop_regex
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.migration import downgrade, may_be_classic
from streamlog.coordinator.result import RequestContext
from streamlog.coordinator.timer_events import RejoinTimedOut, SessionExpired, SyncTimedOut
from streamlog.errors import SchemaError


def join_consumer_group(
    decision: Decision, group: ConsumerGroup, request: Any, context: RequestContext
) -> None:
    """The member's generation is its epoch; nobody waits for anybody."""
    member_id = request.member_id or decision.new_id()
    check_room(decision, group, member_id)
    _check_protocols(group, request)
    if requires_known_id(request, context):
        reply_join(decision, context, ErrorCode.MEMBER_ID_REQUIRED, member_id=member_id)
        return
    subscription = _subscription(request)
    replaced = group.static_member(request.group_instance_id)
    before = _member_before(decision, group, request, member_id)
    member = _told_by(before, request, context, subscription)
    changed = write_member(decision, group.group_id, member)
    changed |= drop_regex(decision, group.group_id, before.regex, member.regex)
    bump_epoch(decision, group.group_id, changed=changed)
    owned = partitions_named(subscription.owned_partitions, decision.resolver.image)
    if replaced is not None and _all_classic(decision, group.group_id):
        member = _downgrade(decision, group.group_id, member_id, owned, changed=changed)
    else:
        update_targets(decision, group.group_id)
        member = reconcile_member(decision, group.group_id, member_id, owned)
        _schedule(decision, group.group_id, member, request, context)
    reply_join(
        decision,
        context,
        generation_id=member.epoch,
        protocol_type=CONSUMER_PROTOCOL,
        protocol_name=request.protocols[0].name,
        member_id=member_id,
    )


def _check_protocols(group: ConsumerGroup, request: Any) -> None:
    """Classic members must have a protocol in common, as they would in a group of their own."""
    offered = {protocol.name for protocol in request.protocols}
    common = offered
    for member in group.classic_members:
        assert member.classic is not None, "that is why it is one of them"
        common = common & {name for name, _ in member.classic.protocols}
    if request.protocol_type != CONSUMER_PROTOCOL or not common:
        raise RefusedError(
            ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
            "The member's group protocol is not compatible with the group's.",
        )


def _subscription(request: Any) -> Any:
    """All its protocols say the same of its topics: the first is read."""
    try:
        return subscription_of(bytes(request.protocols[0].metadata))
    except SchemaError as error:
        raise RefusedError(
            ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
            f"The member's subscription cannot be understood: {error}",
        ) from error


def _member_before(
    decision: Decision, group: ConsumerGroup, request: Any, member_id: str
) -> ConsumerMember:
    instance_id = request.group_instance_id
    if instance_id is None:
        return join_dynamic(group, member_id)
    if request.member_id:
        return check_instance(group, member_id, instance_id)
    return join_static(decision, group, member_id, instance_id, classic=True)


def _told_by(
    member: ConsumerMember, request: Any, context: RequestContext, subscription: Any
) -> ConsumerMember:
    return msgspec.structs.replace(
        member,
        instance_id=request.group_instance_id or member.instance_id,
        rack_id=subscription.rack_id or member.rack_id,
        rebalance_timeout_ms=rebalance_timeout_of(request, context),
        topics=tuple(sorted(set(subscription.topics))),
        regex="",
        client_id=context.client_id,
        client_host=context.client_host,
        classic=ClassicMember(request.session_timeout_ms, protocols_of(request)),
    )


def _all_classic(decision: Decision, group_id: str) -> bool:
    group = decision.group(group_id)
    assert isinstance(group, ConsumerGroup), "it has just been written to"
    return may_be_classic(decision, list(group.members.values()))


def _downgrade(
    decision: Decision,
    group_id: str,
    member_id: str,
    owned: set[Any],
    *,
    changed: bool,
) -> ConsumerMember:
    """The member took the place of the last one that spoke the new protocol."""
    group = decision.group(group_id)
    assert isinstance(group, ConsumerGroup), "it has just been written to"
    member = group.members[member_id]
    if not changed:
        member = reconcile_member(decision, group_id, member_id, owned)
    classic = downgrade(decision, group, list(group.members.values()))
    if classic is not None and changed:
        prepare_rebalance(decision, classic)
    return member


def _schedule(
    decision: Decision,
    group_id: str,
    member: ConsumerMember,
    request: Any,
    context: RequestContext,
) -> None:
    """It has joined, and has its rebalance timeout to ask for what it got."""
    decision.cancel(RejoinTimedOut(group_id, member.member_id))
    session = SessionExpired(group_id, member.member_id)
    decision.schedule(session, request.session_timeout_ms)
    sync = SyncTimedOut(group_id, member.member_id)
    decision.schedule(sync, rebalance_timeout_of(request, context))
