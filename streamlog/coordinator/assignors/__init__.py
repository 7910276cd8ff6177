"""Server-side assignors (KIP-848): who is to have which partitions.

    uniform         as even as can be, then as little moved as can be; Kafka's default
    range           each topic in contiguous ranges, co-partitioned topics alike

`assign(name, group)` takes an `AssignmentRequest`, members with the topics that they are
subscribed to and what they have, and gives every partition of a subscribed topic to exactly one
member that is subscribed to it. The same request always leads to the same assignment.

What it is not: it neither knows epochs nor moves anything; members get there by reconciliation.
"""

from __future__ import annotations

from collections.abc import Callable

from streamlog.coordinator.assignors.range import assign_range
from streamlog.coordinator.assignors.request import (
    Assignment,
    AssignmentRequest,
    MemberRequest,
)
from streamlog.coordinator.assignors.uniform import assign_uniform

ASSIGNORS: dict[str, Callable[[AssignmentRequest], Assignment]] = {
    "uniform": assign_uniform,
    "range": assign_range,
}

__all__ = ["ASSIGNORS", "Assignment", "AssignmentRequest", "MemberRequest"]
