"""Partition folders that go: renamed first, so that their name is free, then removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
