"""OffsetDelete, and what goes when a topic or a group does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from streamlog.coordinator import records
from streamlog.coordinator.classic.subscription import CONSUMER_PROTOCOL
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError, check_group_id
from streamlog.coordinator.groups.table import ForeignGroup
from streamlog.coordinator.offsets.store import OffsetKey
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import RequestContext


class TopicsDeleted(msgspec.Struct, frozen=True):
    """Topics are gone: the offsets that were committed for them go too. Gets no response."""

    topics: frozenset[str]
    limit: int = 1_000


def offset_delete(decision: Decision, request: Any, context: RequestContext) -> None:
    check_group_id(request.group_id)
    group_id = request.group_id
    _check_group(decision, group_id)
    topics = []
    for topic in request.topics:
        partitions = []
        for partition in topic.partitions:
            index = partition.partition_index
            code = ErrorCode.NONE
            if is_subscribed(decision, group_id, topic.name):
                code = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
            elif _is_known(decision, OffsetKey(group_id, topic.name, index)):
                decision.write(records.offset_tombstone(group_id, topic.name, index))
            partitions.append(
                make_struct(
                    "OffsetDeleteResponse",
                    "OffsetDeleteResponsePartition",
                    partition_index=index,
                    error_code=code,
                )
            )
        topics.append(
            make_struct(
                "OffsetDeleteResponse",
                "OffsetDeleteResponseTopic",
                name=topic.name,
                partitions=partitions,
            )
        )
    decision.reply(context, make("OffsetDeleteResponse", topics=topics))


def topics_deleted(decision: Decision, request: TopicsDeleted) -> None:
    for group_id in decision.offsets.groups():
        for key in all_offsets(decision, group_id):
            if key.topic in request.topics:
                if decision.record_count >= request.limit:
                    decision.more = True
                    return
                decision.write(records.offset_tombstone(*key))


def all_offsets(decision: Decision, group_id: str) -> list[OffsetKey]:
    """What is committed for a group, or will be when a transaction ends."""
    committed = {key for key, _ in decision.offsets.of_group(group_id)}
    return sorted(committed | decision.offsets.pending_of_group(group_id))


def delete_offsets(decision: Decision, keys: Iterable[OffsetKey]) -> None:
    decision.write(*(records.offset_tombstone(*key) for key in keys))


def is_subscribed(decision: Decision, group_id: str, topic: str) -> bool:
    """Whether a member of the group reads the topic."""
    group = decision.group(group_id)
    if isinstance(group, ConsumerGroup):
        return topic in group.subscribed_topics
    classic = decision.classic_group(group_id)
    return classic is not None and classic.is_subscribed_to(topic)


def _is_known(decision: Decision, key: OffsetKey) -> bool:
    return decision.offsets.get(*key) is not None or decision.offsets.is_pending(*key)


def _check_group(decision: Decision, group_id: str) -> None:
    group = decision.group(group_id)
    if isinstance(group, ConsumerGroup):
        return
    classic = decision.classic_group(group_id)
    exists = classic is not None or decision.offsets.has_group(group_id)
    if isinstance(group, ForeignGroup) or not exists:
        raise RefusedError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    if classic and not classic.is_empty and classic.protocol_type != CONSUMER_PROTOCOL:
        raise RefusedError(ErrorCode.NON_EMPTY_GROUP, f"Group {group_id} has members.")
