"""`streamlog.backup`: what a backup says of itself, for the next one that takes its place.

    {"format": 1, "cluster_id": "...", "directory_id": "...",
     "ends": [["orders", 0, 1042], ...],
     "segments": {"orders-0/00000000000000000000.log": [device, inode, mtime_ns, size], ...}}

`ends` tells whether somebody opened the backup and appended to it. `segments` are the sealed
segments, each with the identity that its file had in the log: one that still has it did not change,
and need not be copied again. Sealed segments that were linked are the same file, which says it all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.filesystem import FileIdentity
from streamlog.storage.names import STREAMLOG_BACKUP

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem

_FORMAT = 1


class Manifest(msgspec.Struct, frozen=True):
    """What the file holds. `ends` are (topic, partition, log end), the metadata log's included."""

    cluster_id: str
    directory_id: str
    ends: list[tuple[str, int, int]]
    segments: dict[str, FileIdentity]
    format: int = _FORMAT


def read_manifest(filesystem: Filesystem, directory: str) -> Manifest | None:
    """What the backup in `directory` says; None when there is no such file.

    Raises `CorruptDirectoryError` for one that makes no sense, or of a newer format.
    """
    path = f"{directory}/{STREAMLOG_BACKUP}"
    if not filesystem.exists(path):
        return None
    try:
        manifest = msgspec.json.decode(filesystem.read_file(path), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptDirectoryError(f"{path} cannot be read: {error}", file=path) from error
    if manifest.format > _FORMAT:
        raise CorruptDirectoryError(
            f"{path} has format {manifest.format}, known is {_FORMAT}", file=path
        )
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """The file's bytes."""
    return msgspec.json.encode(manifest) + b"\n"
