"""Partition folders that go: renamed first, so that their name is free, then removed."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError
from streamlog.protocol import Uuid
from streamlog.storage.names import PARTITION_METADATA
from streamlog.storage.partition_metadata import read_partition_metadata

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem

_MAX_NAME = 255


def set_aside(filesystem: Filesystem, path: str, suffix: str) -> str:
    """Rename a partition's folder to `<folder>.<32 hex>-delete` or `-stray`; the new path.

    The topic is cut short where the name would not fit. Durable when this returns.
    """
    parent, folder = os.path.split(path)
    ending = f".{os.urandom(16).hex()}{suffix}"
    topic, _, partition = folder.rpartition("-")
    room = _MAX_NAME - len(ending) - len(partition) - 1
    aside = f"{parent}/{topic[:room]}-{partition}{ending}"
    filesystem.rename(path, aside)
    filesystem.sync_directory(parent)
    return aside


def clear_former(filesystem: Filesystem, path: str, removed: set[Uuid]) -> None:
    """Make room for a new partition where a folder of its name was left behind.

    A deleted topic's goes, and one that was never finished; anything else is kept as `-stray`.
    """
    if not filesystem.is_directory(path):
        return
    try:
        former = read_partition_metadata(filesystem, path)
    except CorruptDirectoryError:
        former = None
    if may_go(filesystem, path, former, removed):
        remove_folder(filesystem, set_aside(filesystem, path, "-delete"))
    else:
        set_aside(filesystem, path, "-stray")


def may_go(
    filesystem: Filesystem, path: str, topic_id: bytes | None, removed: Collection[Uuid]
) -> bool:
    """Whether the folder is a deleted topic's, or holds nothing; `topic_id` is what it says.

    None where its maker died before it was said, or said whole, whose it is: that is said first,
    and nothing else can be in it yet.
    """
    if topic_id is not None:
        return Uuid(topic_id) in removed
    others = set(filesystem.listdir(path)) - {PARTITION_METADATA}
    return all(filesystem.file_size(f"{path}/{name}") == 0 for name in others)


def remove_folder(filesystem: Filesystem, path: str) -> None:
    """Remove a partition's folder and the plain files in it; folders in it are not followed.

    A file that another process removed first is no failure.
    """
    for name in filesystem.listdir(path):
        try:
            filesystem.unlink(f"{path}/{name}")
        except FileNotFoundError:
            continue
    filesystem.rmdir(path)
