"""OffsetFetch: what was committed, for one group or several, some partitions or all."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.lookup import known_member
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.offsets.commit import stale
from streamlog.coordinator.offsets.store import StoredOffset
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import RequestContext
from streamlog.protocol import Uuid

_MANY_GROUPS = 8
"""The version since which a request asks for any number of groups (KIP-709)."""

_RESPONSE = "OffsetFetchResponse"
_NO_OFFSET = -1


def offset_fetch(decision: Decision, request: Any, context: RequestContext) -> None:
    if context.api_version < _MANY_GROUPS:
        decision.reply(context, _fetch_one(decision, request))
        return
    groups = [_fetch_group(decision, asked, request.require_stable) for asked in request.groups]
    decision.reply(context, make(_RESPONSE, groups=groups))


def _fetch_one(decision: Decision, request: Any) -> Any:
    """The response of the versions for one group, without topic ids and members."""
    asked = _asked(decision, request.group_id, request.topics)
    topics = [
        _topic(decision, ("Topic", "Partition"), request.group_id, topic, request.require_stable)
        for topic in asked
    ]
    return make(_RESPONSE, topics=topics)


def _fetch_group(decision: Decision, asked: Any, require_stable: bool) -> Any:
    group_id = asked.group_id
    try:
        _check_reader(decision, asked)
    except RefusedError as refused:
        return make_struct(
            _RESPONSE, "OffsetFetchResponseGroup", group_id=group_id, error_code=refused.code
        )
    topics = [
        _topic(decision, ("Topics", "Partitions"), group_id, topic, require_stable)
        for topic in _asked(decision, group_id, asked.topics)
    ]
    return make_struct(_RESPONSE, "OffsetFetchResponseGroup", group_id=group_id, topics=topics)


def _check_reader(decision: Decision, asked: Any) -> None:
    """A member of a consumer group has to be in its epoch; who says nothing of one may read."""
    group = decision.group(asked.group_id)
    if asked.member_id is None and asked.member_epoch < 0:
        return
    if isinstance(group, ConsumerGroup):
        member = known_member(group, asked.member_id or "")
        if asked.member_epoch != member.epoch:
            raise stale(member, asked.member_epoch)


def _asked(decision: Decision, group_id: str, topics: Any) -> Iterable[tuple[str, Uuid, list[int]]]:
    """(name, id, partitions) of each topic asked for; None asks for all that there are."""
    if topics is not None:
        for topic in topics:
            topic_id = getattr(topic, "topic_id", Uuid.ZERO)
            yield topic.name, topic_id, topic.partition_indexes
        return
    names = (name for name, _ in decision.offsets.of_group(group_id))
    for name, found in groupby(names, key=lambda key: key.topic):
        known = decision.resolver.image.topic(name)
        topic_id = Uuid.ZERO if known is None else known.topic_id
        yield name, topic_id, [key.partition for key in found]


def _topic(
    decision: Decision,
    kinds: tuple[str, str],
    group_id: str,
    topic: tuple[str, Uuid, list[int]],
    require_stable: bool,
) -> Any:
    """A topic's part of the response; `kinds` are how its structures' names end."""
    name, topic_id, indexes = topic
    partitions = []
    for index in indexes:
        fields: dict[str, Any] = {"committed_offset": _NO_OFFSET, "metadata": ""}
        if require_stable and decision.offsets.is_pending(group_id, name, index):
            fields["error_code"] = ErrorCode.UNSTABLE_OFFSET_COMMIT
        else:
            stored = decision.offsets.get(group_id, name, index)
            fields.update(_committed(stored, topic_id))
        kind = f"OffsetFetchResponse{kinds[1]}"
        partitions.append(make_struct(_RESPONSE, kind, partition_index=index, **fields))
    response = make_struct(
        _RESPONSE, f"OffsetFetchResponse{kinds[0]}", name=name, partitions=partitions
    )
    if kinds[0] == "Topics":
        response.topic_id = topic_id
    return response


def _committed(stored: StoredOffset | None, topic_id: Uuid) -> dict[str, Any]:
    """What was committed; nothing where it was for a former topic of that name."""
    value = None if stored is None else stored.value
    if value is None:
        return {}
    if Uuid.ZERO not in (topic_id, value.topic_id) and topic_id != value.topic_id:
        return {}
    return {
        "committed_offset": value.offset,
        "committed_leader_epoch": value.leader_epoch,
        "metadata": value.metadata,
    }
