"""Groups as they are described: what their coordinators say, and how far behind they are."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from streamlog.clients.group_client import GroupClient
from streamlog.coordinator import ErrorCode
from streamlog.errors import SchemaError, UnknownTopicError
from streamlog.protocol import message
from streamlog.protocol.consumer_protocol import decode_assignment
from streamlog.types import (
    GroupDescription,
    GroupListing,
    GroupMember,
    GroupOffset,
    OffsetAndMetadata,
    TopicPartition,
)

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine

_LIST, _DESCRIBE_CLASSIC, _DESCRIBE_CONSUMER, _DELETE, _OFFSET_DELETE = 5, 6, 1, 2, 0
_CONSUMER, _CLASSIC = "consumer", "classic"


def list_groups(engine: Engine, states: list[str]) -> list[GroupListing]:
    request = message("ListGroupsRequest").Value(states_filter=states, types_filter=[])
    return [
        GroupListing(each.group_id, each.group_type, each.protocol_type, each.group_state)
        for each in engine.groups.ask(request, _LIST).groups
    ]


def describe_group(engine: Engine, group_id: str) -> GroupDescription:
    """One group. Raises `UnknownGroupError`."""
    client = GroupClient(engine, group_id, "")
    found = _describe_consumer(engine, client) or _describe_classic(engine, client)
    assigned = {partition for member in found.members for partition in member.assignment}
    offsets = _offsets(engine, client.committed(None), assigned)
    return found._replace(offsets=offsets)


def _describe_consumer(engine: Engine, client: GroupClient) -> GroupDescription | None:
    request = message("ConsumerGroupDescribeRequest").Value(group_ids=[client.group_id])
    (group,) = engine.groups.ask(request, _DESCRIBE_CONSUMER).groups
    if group.error_code == ErrorCode.GROUP_ID_NOT_FOUND:
        return None
    if group.error_code:
        raise client.error(group.error_code, group.error_message)
    members = [
        GroupMember(
            each.member_id,
            each.instance_id,
            each.client_id,
            each.client_host,
            each.member_epoch,
            tuple(
                TopicPartition(topic.topic_name, partition)
                for topic in each.assignment.topic_partitions
                for partition in topic.partitions
            ),
        )
        for each in group.members
    ]
    return GroupDescription(
        group.group_id,
        _CONSUMER,
        _CONSUMER,
        group.group_state,
        group.assignor_name,
        group.group_epoch,
        tuple(members),
        {},
    )


def _describe_classic(engine: Engine, client: GroupClient) -> GroupDescription:
    request = message("DescribeGroupsRequest").Value(groups=[client.group_id])
    (group,) = engine.groups.ask(request, _DESCRIBE_CLASSIC).groups
    if group.error_code:
        raise client.error(group.error_code, group.error_message)
    members = [
        GroupMember(
            each.member_id,
            each.group_instance_id,
            each.client_id,
            each.client_host,
            -1,
            _classic_assignment(each.member_assignment, group.protocol_type),
        )
        for each in group.members
    ]
    return GroupDescription(
        group.group_id,
        _CLASSIC,
        group.protocol_type,
        group.group_state,
        group.protocol_data,
        -1,
        tuple(members),
        {},
    )


def _classic_assignment(assignment: Any, protocol_type: str) -> tuple[TopicPartition, ...]:
    """What consumers say to each other; what others do is theirs."""
    if protocol_type != _CONSUMER or not assignment:
        return ()
    try:
        decoded = decode_assignment(bytes(assignment))
    except SchemaError:  # its leader wrote it, and its members may understand it
        return ()
    return tuple(
        TopicPartition(topic.topic, partition)
        for topic in decoded.assigned_partitions
        for partition in topic.partitions
    )


def _offsets(
    engine: Engine,
    committed: dict[TopicPartition, OffsetAndMetadata],
    assigned: Iterable[TopicPartition],
) -> dict[TopicPartition, GroupOffset]:
    """How far it is in each; without topics that are gone."""
    found = {}
    for partition in sorted({*committed, *assigned}):
        with suppress(UnknownTopicError):
            log_end = engine.partition(*partition).high_watermark
            known = committed.get(partition)
            if known is None:
                found[partition] = GroupOffset(None, "", log_end, None)
            else:
                lag = max(log_end - known.offset, 0)
                found[partition] = GroupOffset(known.offset, known.metadata, log_end, lag)
    return found


def delete_group(engine: Engine, group_id: str) -> None:
    """Raises `GroupNotEmptyError`, `UnknownGroupError`."""
    request = message("DeleteGroupsRequest").Value(groups_names=[group_id])
    (result,) = engine.groups.ask(request, _DELETE).results
    if result.error_code:
        raise GroupClient(engine, group_id, "").error(result.error_code, None)


def delete_offsets(engine: Engine, group_id: str, partitions: list[TopicPartition]) -> None:
    """Raises `UnknownGroupError`, `GroupError`."""
    kind = message("OffsetDeleteRequest")
    by_topic: dict[str, list[Any]] = {}
    for topic, partition in partitions:
        by_topic.setdefault(topic, []).append(
            kind.structs["OffsetDeleteRequestPartition"](partition_index=partition)
        )
    topics = [
        kind.structs["OffsetDeleteRequestTopic"](name=name, partitions=each)
        for name, each in by_topic.items()
    ]
    request = kind.Value(group_id=group_id, topics=topics)
    response = engine.groups.ask(request, _OFFSET_DELETE)
    client = GroupClient(engine, group_id, "")
    codes = [each.error_code for topic in response.topics for each in topic.partitions]
    for code in (response.error_code, *codes):
        if code:
            raise client.error(code, None)
