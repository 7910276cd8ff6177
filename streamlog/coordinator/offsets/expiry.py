"""Offsets that nobody has used for longer than they are kept, and groups that are left empty.

How long counts from (KIP-211):

    members of either protocol    the commit; a topic that is subscribed to never expires
    no members, was a group       when it became empty
    never was a group             the commit
    in a rebalance, not consumers nothing expires

A commit that came with a time of its own to expire (OffsetCommit versions 2 to 4) goes by that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import msgspec

from streamlog.coordinator import records
from streamlog.coordinator.classic.states import ClassicState
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.groups.removal import group_tombstones
from streamlog.coordinator.groups.table import ForeignGroup
from streamlog.coordinator.offsets.delete import is_subscribed

BaseTime = Callable[[Any], int]
"""From an OffsetCommitValue to the time from which its age is counted."""


class ExpireOffsets(msgspec.Struct, frozen=True):
    """Housekeeping: forget what is too old. Gets no response; `limit` records at most at once."""

    limit: int = 1_000


def expire_offsets(decision: Decision, request: ExpireOffsets) -> None:
    """Does nothing unless `offsets_retention_ms` is set."""
    if decision.settings.offsets_retention_ms is None:
        return
    group_ids = {group.group_id for group in decision.state.groups}
    for group_id in sorted(group_ids | set(decision.offsets.groups())):
        if decision.record_count >= request.limit:
            decision.more = True
            return
        _expire_group(decision, group_id, request.limit)


def _expire_group(decision: Decision, group_id: str, limit: int) -> None:
    base_time = _base_time(decision, group_id)
    if base_time is None:
        return
    all_expired = not decision.offsets.is_pending_group(group_id)
    subscribed = cache(partial(is_subscribed, decision, group_id))
    for key, stored in decision.offsets.of_group(group_id):
        value = stored.value
        keep = (
            value is None  # nobody knows how old it is
            or not _is_expired(decision, value, base_time)
            or subscribed(key.topic)
            or decision.offsets.is_pending(*key)
        )
        if keep:
            all_expired = False
        elif decision.record_count >= limit:
            decision.more = True
            return
        else:
            decision.write(records.offset_tombstone(*key))
    if all_expired and _is_empty(decision, group_id):
        decision.write(*group_tombstones(decision, group_id))


def _base_time(decision: Decision, group_id: str) -> BaseTime | None:
    """From when the group's offsets age; None where they do not."""
    group = decision.group(group_id)
    if isinstance(group, ForeignGroup):
        return None
    classic = decision.classic_group(group_id)
    if isinstance(group, ConsumerGroup) or classic is None or classic.protocol_type is None:
        return _committed_at
    if classic.state is ClassicState.EMPTY:
        emptied_at = classic.state_timestamp_ms
        return _committed_at if emptied_at == -1 else lambda _: emptied_at
    if classic.state is ClassicState.STABLE and classic.topics is not None:
        return _committed_at
    return None


def _committed_at(value: Any) -> int:
    timestamp: int = value.commit_timestamp
    return timestamp


def _is_expired(decision: Decision, value: Any, base_time: BaseTime) -> bool:
    now_ms, retention_ms = decision.now.wall_ms, decision.settings.offsets_retention_ms
    assert retention_ms is not None, "nothing expires without"
    if value.expire_timestamp != -1:
        return bool(now_ms >= value.expire_timestamp)
    return now_ms - base_time(value) >= retention_ms


def _is_empty(decision: Decision, group_id: str) -> bool:
    group = decision.group(group_id)
    if isinstance(group, ConsumerGroup):
        return group.is_empty
    classic = decision.classic_group(group_id)
    return group is not None and classic is not None and classic.is_empty
