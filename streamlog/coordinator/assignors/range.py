"""`range`: each topic in contiguous ranges, one a member, in an order that restarts keep.

Topics with as many partitions and the same subscribers are dealt out alike, so that a member
that joins them by key has both halves. What a member had before does not count.
"""

from __future__ import annotations

from streamlog.coordinator.assignors.request import Assignment, AssignmentRequest
from streamlog.protocol import Uuid


def assign_range(request: AssignmentRequest) -> Assignment:
    """The first members of a topic get one more where it does not come out even."""
    members = request.in_order()
    assignment: Assignment = {member.member_id: set() for member in members}
    subscribers: dict[Uuid, list[str]] = {}
    for member in members:
        for topic_id in member.topics:
            subscribers.setdefault(topic_id, []).append(member.member_id)
    for topic_id, member_ids in subscribers.items():
        each, extra = divmod(request.partition_counts[topic_id], len(member_ids))
        start = 0
        for place, member_id in enumerate(member_ids):
            end = start + each + (place < extra)
            assignment[member_id].update((topic_id, p) for p in range(start, end))
            start = end
    return assignment
