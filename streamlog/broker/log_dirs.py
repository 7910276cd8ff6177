"""What the partitions of a directory take on its disk (Kafka's DescribeLogDirs)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from streamlog.storage.names import LOG, parse_segment_name, partition_directory_name
from streamlog.types import LogDirDescription, ReplicaInfo, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.broker.engine import Engine
    from streamlog.storage.filesystem import Filesystem
    from streamlog.types import TopicDescription


def describe_log_dir(engine: Engine, topics: Iterable[TopicDescription]) -> LogDirDescription:
    """The engine's directory. A partition that nothing was ever written to takes 0 bytes."""
    filesystem, path = engine.filesystem, engine.place.path
    space = filesystem.space(path)
    replicas = {
        TopicPartition(topic.name, partition): ReplicaInfo(
            _size(filesystem, f"{path}/{partition_directory_name(topic.name, partition)}")
        )
        for topic in topics
        for partition in range(topic.partitions)
    }
    return LogDirDescription(space.total, space.usable, replicas)


def _size(filesystem: Filesystem, folder: str) -> int:
    """The bytes of the records' files in `folder`, the indexes not counted, as in Kafka."""
    size = 0
    with contextlib.suppress(FileNotFoundError):  # not there yet, or deleted meanwhile
        for name in filesystem.listdir(folder):
            parsed = parse_segment_name(name)
            if parsed is not None and parsed.suffix == LOG:
                with contextlib.suppress(FileNotFoundError):
                    size += filesystem.file_size(f"{folder}/{name}")
    return size
