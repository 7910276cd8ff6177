"""DeleteGroups: groups without members go, with all that they have committed."""

from __future__ import annotations

from typing import Any

from streamlog.coordinator import records
from streamlog.coordinator.classic.recorded import RecordedGroup
from streamlog.coordinator.classic.states import ClassicRequest
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.groups.table import ForeignGroup
from streamlog.coordinator.offsets.delete import all_offsets, delete_offsets
from streamlog.coordinator.records import make, make_struct
from streamlog.coordinator.result import CoordinatorRecord, RequestContext


def delete_groups(decision: Decision, request: Any, context: RequestContext) -> None:
    results = []
    for group_id in dict.fromkeys(request.groups_names):
        code, reason = ErrorCode.NONE, None
        try:
            _delete(decision, group_id)
        except RefusedError as refused:
            code, reason = refused.code, refused.message
        results.append(
            make_struct(
                "DeleteGroupsResponse",
                "DeletableGroupResult",
                group_id=group_id,
                error_code=code,
                error_message=reason,
            )
        )
    decision.reply(context, make("DeleteGroupsResponse", results=results))


def group_tombstones(decision: Decision, group_id: str) -> list[CoordinatorRecord]:
    """What makes a group without members disappear; its offsets are not among it."""
    group = decision.group(group_id)
    if isinstance(group, ConsumerGroup):
        return records.consumer_group_tombstones(group_id, group.members, group.regexes)
    if isinstance(group, RecordedGroup):
        decision.forget_classic(group_id)
        return [records.classic_group_tombstone(group_id)]
    return []


def _delete(decision: Decision, group_id: str) -> None:
    group = decision.group(group_id)
    classic = decision.classic_group(group_id)
    offsets = all_offsets(decision, group_id)
    if isinstance(group, ForeignGroup) or (group is None and classic is None and not offsets):
        raise RefusedError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    if isinstance(group, ConsumerGroup) and not group.is_empty:
        raise RefusedError(ErrorCode.NON_EMPTY_GROUP, "The group is not empty.")
    if classic is not None:
        classic.answer(ClassicRequest.DELETE_GROUP)
    delete_offsets(decision, offsets)
    decision.write(*group_tombstones(decision, group_id))
