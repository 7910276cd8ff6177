"""`uniform`: members have equally many partitions, give or take one, and keep what they can.

Where all subscribe to the same topics that is a matter of quotas; where they do not, `balanced`
does what can be done.
"""

from __future__ import annotations

from itertools import islice

from streamlog.coordinator.assignors.balanced import assign_balanced
from streamlog.coordinator.assignors.request import Assignment, AssignmentRequest


def assign_uniform(request: AssignmentRequest) -> Assignment:
    if len({member.topics for member in request.members}) > 1:
        return assign_balanced(request)
    assignment = request.kept()
    if not assignment:
        return assignment
    partitions = [
        (topic_id, partition)
        for topic_id in sorted(request.members[0].topics)
        for partition in range(request.partition_counts[topic_id])
    ]
    quotas = _quotas(assignment, len(partitions))
    for member_id, has in assignment.items():
        assignment[member_id] = set(sorted(has)[: quotas[member_id]])
    owned = set().union(*assignment.values())
    free = (partition for partition in partitions if partition not in owned)
    for member_id, has in assignment.items():
        has.update(islice(free, quotas[member_id] - len(has)))
    return assignment


def _quotas(assignment: Assignment, total: int) -> dict[str, int]:
    """How many each is to have: the odd ones go to those who have the most already."""
    each, extra = divmod(total, len(assignment))
    by_size = sorted(assignment, key=lambda member_id: -len(assignment[member_id]))
    return {member_id: each + (place < extra) for place, member_id in enumerate(by_size)}
