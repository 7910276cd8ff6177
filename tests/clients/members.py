"""Members of a group, and what tests ask of them."""

from __future__ import annotations

from typing import Any

from streamlog import OffsetAndMetadata, TopicPartition
from streamlog.clients.flows import run
from streamlog.coordinator import MembersDied
from tests.clients.conftest import Story
from tests.clients.skins import Driven

ORDERS_0, ORDERS_1 = TopicPartition("orders", 0), TopicPartition("orders", 1)
FLIGHTS = TopicPartition("flights", 0)
GROUP = {"group_id": "billing", "auto_offset_reset": "earliest"}
BY_HAND = {**GROUP, "enable_auto_commit": False}
LIMIT_S = 20.0
LIMIT_MS = 1000 * LIMIT_S


def values(records: Any) -> list[bytes | None]:
    return [record.value for record in records]


def drained(*consumers: Any) -> list[bytes | None]:
    """The values of everything that is there for these."""
    found: list[bytes | None] = []
    while records := [record for each in consumers for record in each.poll(0)]:
        found += values(records)
    return found


def offsets(committed: dict[TopicPartition, OffsetAndMetadata | None]) -> dict[Any, int | None]:
    return {p: None if each is None else each.offset for p, each in committed.items()}


def inner(consumer: Any) -> Any:
    """The synchronous consumer under it."""
    return consumer.inner if isinstance(consumer, Driven) else consumer


def fence(story: Story, consumer: Any) -> None:
    """Have the coordinator remove a member, as if it had hung."""
    group = inner(consumer).group
    event = MembersDied("billing", (group._member_id,))
    story.log.engine().groups.coordinator_of("billing").tell([event])


def settle(*consumers: Any) -> None:
    """Poll, without reading, until nobody gives up or gets anything any more."""
    while True:
        before = [consumer.assignment() for consumer in consumers]
        for consumer in map(inner, consumers):
            run(consumer.group.poll(), consumer._engine)
        if [consumer.assignment() for consumer in consumers] == before:
            break
