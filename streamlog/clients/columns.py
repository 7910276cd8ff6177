"""The loops of `send_many` over its arguments. The compiled twin is `_columns.pyx`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streamlog.clients import arguments


def largest_size(column: tuple[Any, ...], name: str) -> int:
    """The most bytes that one of `column` has; TypeError naming its position (`values[3]`)."""
    return max(
        (
            arguments.byte_size(value, f"{name}[{index}]")
            for index, value in enumerate(column)
            if value is not None
        ),
        default=0,
    )


def group_by_partition(partitions: Iterable[int], count: int) -> list[list[int]]:
    """The positions of each partition in one list each, and a last list for those of -1."""
    groups: list[list[int]] = [[] for _ in range(count + 1)]
    for index, partition in enumerate(partitions):
        groups[partition].append(index)
    return groups
