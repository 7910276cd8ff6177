"""Balance among members with different subscriptions: no even assignment may exist.

Best is where no partition can go, directly or by way of others, from a member to one that has
at least two less. It is reached by looking for such a way, the shortest first, from whoever has
most; a member from which none leads is done with for good, since ways that are found later lead
through none that it could have reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from streamlog.coordinator.assignors.request import Assignment, AssignmentRequest
from streamlog.coordinator.partitions import TopicIdPartition
from streamlog.protocol import Uuid


def assign_balanced(request: AssignmentRequest) -> Assignment:
    balance = _Balance(request)
    balance.hand_out()
    balance.even_out()
    return {
        member_id: {(topic_id, p) for topic_id, parts in topics.items() for p in parts}
        for member_id, topics in balance.assignment.items()
    }


class _Balance:
    """An assignment on its way: by member and topic, with how many each member has."""

    def __init__(self, request: AssignmentRequest) -> None:
        self._counts = request.partition_counts
        self._subscribers: dict[Uuid, list[str]] = {}
        for member in request.in_order():
            for topic_id in sorted(member.topics):
                self._subscribers.setdefault(topic_id, []).append(member.member_id)
        kept = request.kept()
        self.assignment: dict[str, dict[Uuid, set[int]]] = {member_id: {} for member_id in kept}
        self._load = dict.fromkeys(kept, 0)
        self._kept: set[TopicIdPartition] = set()
        for member_id, partitions in kept.items():
            self._kept |= partitions
            for topic_id, partition in sorted(partitions):
                self._give(member_id, topic_id, partition)

    def hand_out(self) -> None:
        """Each partition to the subscriber who has least; topics that few can take come first."""
        for topic_id in sorted(self._subscribers, key=lambda t: (len(self._subscribers[t]), t)):
            for partition in range(self._counts[topic_id]):
                if (topic_id, partition) not in self._kept:
                    takers = self._subscribers[topic_id]
                    self._give(min(takers, key=self._load.__getitem__), topic_id, partition)

    def even_out(self) -> None:
        unsettled = set(self._load)
        while unsettled:
            most = max(sorted(unsettled), key=self._load.__getitem__)
            way = self._way_down(most)
            if way is None:
                unsettled.remove(most)
            else:
                self._move_along(most, way)

    def _way_down(self, start: str) -> list[tuple[Uuid, str]] | None:
        """The shortest way from a member to one with at least two less: (topic, taker) a step."""
        enough = self._load[start] - 2
        if min(self._load.values()) > enough:
            return None
        came_from: dict[str, tuple[str, Uuid]] = {}
        followed: set[Uuid] = set()
        waiting = deque([start])
        while waiting:
            member_id = waiting.popleft()
            for topic_id, taker in self._takers(member_id, followed):
                if taker == start or taker in came_from:
                    continue
                came_from[taker] = (member_id, topic_id)
                if self._load[taker] <= enough:
                    return _trace(came_from, start, taker)
                waiting.append(taker)
        return None

    def _takers(self, member_id: str, followed: set[Uuid]) -> Iterator[tuple[Uuid, str]]:
        """Who could take a partition from a member, the least loaded of a topic first.

        A topic is followed once: whoever has it could give it to the same members.
        """
        for topic_id, partitions in self.assignment[member_id].items():
            if partitions and topic_id not in followed:
                followed.add(topic_id)
                for taker in sorted(self._subscribers[topic_id], key=self._load.__getitem__):
                    yield topic_id, taker

    def _move_along(self, giver: str, way: list[tuple[Uuid, str]]) -> None:
        for topic_id, taker in way:
            partitions = self.assignment[giver][topic_id]
            # What the giver never had costs nothing to move.
            partition = max(partitions, key=lambda p: ((topic_id, p) not in self._kept, p))
            partitions.remove(partition)
            self._load[giver] -= 1
            self._give(taker, topic_id, partition)
            giver = taker

    def _give(self, member_id: str, topic_id: Uuid, partition: int) -> None:
        self.assignment[member_id].setdefault(topic_id, set()).add(partition)
        self._load[member_id] += 1


def _trace(came_from: dict[str, tuple[str, Uuid]], start: str, end: str) -> list[tuple[Uuid, str]]:
    way = []
    while end != start:
        giver, topic_id = came_from[end]
        way.append((topic_id, end))
        end = giver
    return way[::-1]
