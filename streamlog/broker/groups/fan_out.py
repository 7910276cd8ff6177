"""Requests about several groups: one for each coordinator, and one answer of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from streamlog.protocol.message import message_of

_FETCH_MANY = 8
"""The version since which OffsetFetch asks about any number of groups (KIP-709)."""


class ManyGroups(NamedTuple):
    """Which field of a request names its groups, and which one of the response has theirs."""

    asked: str
    answered: str


_MANY = {
    "ConsumerGroupDescribeRequest": ManyGroups("group_ids", "groups"),
    "DeleteGroupsRequest": ManyGroups("groups_names", "results"),
    "DescribeGroupsRequest": ManyGroups("groups", "groups"),
    "OffsetFetchRequest": ManyGroups("groups", "groups"),
}


def groups_in(request: Any, api_version: int) -> ManyGroups | None:
    """The fields of a request about several groups; None for one about a single group."""
    found = message_of(request)
    if found.name == "OffsetFetchRequest" and api_version < _FETCH_MANY:
        return None
    return _MANY.get(found.name)


def is_about_all(request: Any) -> bool:
    """Whether it is about all groups that there are."""
    return message_of(request).name == "ListGroupsRequest"


def taken_apart(
    request: Any, fields: ManyGroups, partition_of: Callable[[str], int]
) -> Iterator[tuple[int, Any]]:
    """One request for each partition that has some of its groups."""
    by_partition: dict[int, list[Any]] = {}
    for asked in getattr(request, fields.asked):
        group_id = asked if isinstance(asked, str) else asked.group_id
        by_partition.setdefault(partition_of(group_id), []).append(asked)
    for partition, asked in by_partition.items():
        yield partition, msgspec.structs.replace(request, **{fields.asked: asked})


def put_together(request: Any, fields: ManyGroups, responses: list[Any]) -> Any:
    """One response of those to its parts, in the order that was asked in."""
    answers = {each.group_id: each for one in responses for each in getattr(one, fields.answered)}
    asked = (each if isinstance(each, str) else each.group_id for each in
             getattr(request, fields.asked))  # fmt: skip
    ordered = [answers[group_id] for group_id in dict.fromkeys(asked)]
    return msgspec.structs.replace(responses[0], **{fields.answered: ordered})
