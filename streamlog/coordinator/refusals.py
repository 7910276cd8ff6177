"""An error in the shape of each response."""

from __future__ import annotations

from typing import Any

from streamlog.coordinator.records import make, make_struct
from streamlog.protocol.message import message_of

_OFFSET_FETCH_GROUPS = 8
_NULL_PROTOCOL = 7


def refusal(request: Any, api_version: int, code: int, reason: str | None = None) -> Any:
    """The response to `request` that says nothing but `code`. LookupError for no group's request.

    Also for whoever could not append what was decided, and has to tell.
    """
    name = message_of(request).name.removesuffix("Request")
    response = f"{name}Response"
    match name:
        case "JoinGroup":
            protocol = None if api_version >= _NULL_PROTOCOL else ""
            return make(
                response, error_code=code, member_id=request.member_id, protocol_name=protocol
            )
        case "ConsumerGroupHeartbeat":
            return make(response, error_code=code, error_message=reason)
        case "OffsetCommit":
            return make(response, topics=[_refused_topic(topic, code) for topic in request.topics])
        case "OffsetFetch" if api_version >= _OFFSET_FETCH_GROUPS:
            kind = "OffsetFetchResponseGroup"
            groups = [
                make_struct(response, kind, group_id=group.group_id, error_code=code)
                for group in request.groups
            ]
            return make(response, groups=groups)
        case "DescribeGroups" | "ConsumerGroupDescribe":
            group_ids = request.groups if name == "DescribeGroups" else request.group_ids
            groups = [
                make_struct(response, "DescribedGroup", group_id=group_id, error_code=code)
                for group_id in group_ids
            ]
            return make(response, groups=groups)
        case "DeleteGroups":
            results = [
                make_struct(response, "DeletableGroupResult", group_id=group_id, error_code=code)
                for group_id in request.groups_names
            ]
            return make(response, results=results)
        case "OffsetFetch" | "SyncGroup" | "Heartbeat" | "LeaveGroup" | "OffsetDelete":
            return make(response, error_code=code)
        case "ListGroups":
            return make(response, error_code=code)
    raise LookupError(f"{name} is no request of a group coordinator")


def _refused_topic(topic: Any, code: int) -> Any:
    partitions = [
        make_struct(
            "OffsetCommitResponse",
            "OffsetCommitResponsePartition",
            partition_index=partition.partition_index,
            error_code=code,
        )
        for partition in topic.partitions
    ]
    return make_struct(
        "OffsetCommitResponse",
        "OffsetCommitResponseTopic",
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=partitions,
    )
