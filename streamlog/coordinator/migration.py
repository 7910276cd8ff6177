"""Groups that go from one protocol to the other while members are in them, as in Kafka.

A consumer that comes to a classic group of consumers makes a consumer group of it, in which the
others go on to speak the classic protocol; when the last one that speaks the new protocol goes,
it is a classic group again. Generation and group epoch are one number, which goes on growing.
Each is one batch of records: all that was, forgotten, and all that is.
"""

from __future__ import annotations

from collections.abc import Collection

from streamlog.coordinator import records
from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.member import ClassicMember
from streamlog.coordinator.classic.parked import answer_parked
from streamlog.coordinator.classic.rebalance import cancel_phases, prepare_rebalance
from streamlog.coordinator.classic.states import ClassicState
from streamlog.coordinator.classic.subscription import CONSUMER_PROTOCOL, subscribed_topics
from streamlog.coordinator.consumer import member as consumer
from streamlog.coordinator.consumer.embedded import (
    assigned_partitions,
    embedded_assignment,
    subscription_of,
)
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.timer_events import RejoinTimedOut, SessionExpired, SyncTimedOut
from streamlog.errors import SchemaError


def upgrade(decision: Decision, classic: ClassicGroup) -> None:
    """Make a consumer group of a classic one with members, who are told to rejoin.

    RefusedError with GROUP_ID_NOT_FOUND where it cannot be: the policy, the protocol type, the
    size, or members that cannot be understood.
    """
    group_id = classic.group_id
    _check_upgrade(decision, classic)
    try:
        members = [_upgraded(decision, classic, m) for m in classic.members.values()]
    except SchemaError as error:
        raise _cannot_upgrade(group_id, f"a member cannot be understood: {error}") from error
    answer_parked(decision, classic, ErrorCode.REBALANCE_IN_PROGRESS)
    cancel_phases(decision, group_id)
    decision.forget_classic(group_id)
    epoch = classic.generation
    decision.write(records.classic_group_tombstone(group_id))
    decision.write(*(records.member_metadata(group_id, member) for member in members))
    topics = {topic for member in members for topic in member.topics}
    decision.write(
        records.group_epoch(group_id, epoch, decision.resolver.metadata_hash(topics)),
        *(records.target_assignment(group_id, m.member_id, m.assigned) for m in members),
        records.target_epoch(group_id, epoch, timestamp_ms=0),
        *(records.current_assignment(group_id, member) for member in members),
    )
    for old in classic.members.values():
        decision.schedule(SessionExpired(group_id, old.member_id), old.session_timeout_ms)


def downgrade_without(
    decision: Decision, group_id: str, leaving: Collection[consumer.ConsumerMember]
) -> bool:
    """Make a classic group of a consumer group when `leaving` leave only classic members."""
    group = decision.group(group_id)
    if not isinstance(group, ConsumerGroup):
        return False
    gone = {member.member_id for member in leaving}
    staying = [member for member in group.members.values() if member.member_id not in gone]
    if not may_be_classic(decision, staying):
        return False
    classic = downgrade(decision, group, staying)
    if classic is not None:
        prepare_rebalance(decision, classic)
    return True


def may_be_classic(decision: Decision, members: Collection[consumer.ConsumerMember]) -> bool:
    """Whether a group of these members could be, and is allowed to become, a classic group."""
    return (
        bool(members)
        and all(member.classic is not None for member in members)
        and decision.settings.downgrade_enabled
        and len(members) <= decision.settings.group_max_size
    )


def downgrade(
    decision: Decision, group: ConsumerGroup, staying: Collection[consumer.ConsumerMember]
) -> ClassicGroup | None:
    """The records of the change, and the classic group, stable, with its timers.

    None where another process coordinates the classic groups: it will find the records.
    """
    group_id = group.group_id
    classic = _downgraded(decision, group, staying)
    decision.write(
        *records.consumer_group_tombstones(group_id, group.members, group.regexes),
        records.classic_group(group_id, classic.value()),
    )
    if not decision.coordinates_classic_groups:
        return None
    decision.put_classic(classic)
    for member in classic.members.values():
        decision.cancel(
            RejoinTimedOut(group_id, member.member_id), SyncTimedOut(group_id, member.member_id)
        )
        decision.schedule(SessionExpired(group_id, member.member_id), member.session_timeout_ms)
    return classic


def _check_upgrade(decision: Decision, classic: ClassicGroup) -> None:
    if not decision.settings.upgrade_enabled:
        raise _cannot_upgrade(classic.group_id, "online upgrade is disabled")
    if classic.protocol_type != CONSUMER_PROTOCOL:
        raise _cannot_upgrade(
            classic.group_id, "the group does not use the consumer embedded protocol"
        )
    if len(classic.members) > decision.settings.group_consumer_max_size:
        raise _cannot_upgrade(
            classic.group_id, "the group size exceeds the consumer group maximum size"
        )


def _cannot_upgrade(group_id: str, reason: str) -> RefusedError:
    return RefusedError(
        ErrorCode.GROUP_ID_NOT_FOUND,
        f"Cannot upgrade classic group {group_id} to consumer group because {reason}.",
    )


def _upgraded(
    decision: Decision, classic: ClassicGroup, member: ClassicMember
) -> consumer.ConsumerMember:
    """A classic member in a consumer group: it has what the last generation gave it."""
    name = classic.protocol_name or member.protocols[0][0]
    subscription = subscription_of(member.metadata(name))
    assigned, user_data = assigned_partitions(member.assignment, decision.resolver.image)
    if user_data:
        raise _cannot_upgrade(
            classic.group_id,
            "an unsupported custom assignor is in use",
        )
    return consumer.ConsumerMember(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=subscription.rack_id or None,
        client_id=member.client_id,
        client_host=member.client_host,
        topics=tuple(sorted(set(subscription.topics))),
        rebalance_timeout_ms=member.rebalance_timeout_ms,
        classic=consumer.ClassicMember(member.session_timeout_ms, member.protocols),
        epoch=classic.generation,
        previous_epoch=classic.generation,
        assigned=dict.fromkeys(sorted(assigned), classic.generation),
    )


def _downgraded(
    decision: Decision, group: ConsumerGroup, staying: Collection[consumer.ConsumerMember]
) -> ClassicGroup:
    classic = ClassicGroup(group.group_id)
    classic.state = ClassicState.STABLE
    classic.state_timestamp_ms = decision.now.wall_ms
    classic.generation = group.epoch
    for member in staying:
        assert member.classic is not None, "only classic members stay"
        classic.put(
            ClassicMember(
                member.member_id,
                member.instance_id,
                member.client_id,
                member.client_host,
                member.rebalance_timeout_ms,
                member.classic.session_timeout_ms,
                member.classic.protocols,
            ),
            CONSUMER_PROTOCOL,
        )
    classic.protocol_name = classic.select_protocol()
    metadata = {m.member_id: m.metadata(classic.protocol_name) for m in classic.members.values()}
    classic.topics = subscribed_topics(CONSUMER_PROTOCOL, classic.protocol_name, metadata.values())
    for member_id, subscription in metadata.items():
        target = group.target_of(member_id)
        assignment = embedded_assignment(target, subscription, decision.resolver.image)
        classic.change(member_id, assignment=assignment)
    return classic
