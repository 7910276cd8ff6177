"""How commands open a directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamlog.errors import NotALogDirectoryError

if TYPE_CHECKING:
    from streamlog.clients.stream_log import StreamLog
    from streamlog.types import TopicPartition


def open_for_reading(directory: str) -> StreamLog:
    """Change nothing on disk; the directory may be in use."""
    import streamlog

    return streamlog.open(directory, create=False, read_only=True)


def open_for_writing(directory: str, *, create: bool = False) -> StreamLog:
    """Without housekeeping: a command does what it is asked, and nothing by the way."""
    import streamlog

    if not create and not os.path.exists(directory):
        raise NotALogDirectoryError(f"{directory} does not exist", path=directory)
    return streamlog.open(directory, create=create, housekeeping=False)


def chosen_topics(log: StreamLog, topics: Sequence[str]) -> list[str]:
    """These topics, each once, or all that are not internal. Raises `UnknownTopicError`."""
    if not topics:
        return log.admin.list_topics()
    return list(log.admin.describe_topics(dict.fromkeys(topics)))


def chosen_partitions(
    log: StreamLog, topics: Sequence[str], partitions: Sequence[int] | None
) -> list[TopicPartition]:
    """All partitions of the topics (of all of them when there are none), or those of each that
    are chosen. Raises `UnknownTopicError` for one that is not there.
    """
    from streamlog.errors import UnknownTopicError
    from streamlog.types import TopicPartition

    found = []
    for name in chosen_topics(log, topics):
        count = log.admin.describe_topics([name])[name].partitions
        for partition in range(count) if partitions is None else sorted(set(partitions)):
            if partition >= count:
                raise UnknownTopicError(
                    f"topic {name!r} has no partition {partition}: it has {count}, from 0",
                    topic=name,
                    partition=partition,
                )
            found.append(TopicPartition(name, partition))
    return found
