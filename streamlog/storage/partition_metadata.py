"""`partition.metadata`: which topic a partition's folder belongs to (facts 1.2).

    version: 0
    topic_id: AQIDBAUGBwgJCgsMDQ4PEA

Two lines, no newline at the end. It stands before the first record does: a topic that is
deleted and created again under its old name has another id.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.checkpoints import int_or_none
from streamlog.storage.names import PARTITION_METADATA

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem

ZERO_UUID = bytes(16)


def encode_uuid(uuid: bytes) -> str:
    """16 bytes as Kafka prints them: URL-safe base64 without padding, 22 characters."""
    text = b2a_base64(uuid, newline=False).decode("ascii").rstrip("=")
    return text.replace("+", "-").replace("/", "_")


def decode_uuid(text: str) -> bytes:
    """The 16 bytes of Kafka's text form. Raises `ValueError` for anything else."""
    try:
        uuid = a2b_base64(text.replace("-", "+").replace("_", "/") + "==", strict_mode=True)
    except (Base64Error, ValueError) as error:
        raise ValueError(f"{text[:40]!r} is not a UUID of 22 base64 characters") from error
    if len(uuid) != 16 or encode_uuid(uuid) != text:
        raise ValueError(f"{text[:40]!r} is not a UUID of 22 base64 characters")
    return uuid


def format_partition_metadata(topic_id: bytes) -> bytes:
    """The file's bytes."""
    return f"version: 0\ntopic_id: {encode_uuid(topic_id)}".encode("ascii")


def parse_partition_metadata(data: bytes, file: str = PARTITION_METADATA) -> bytes:
    """The topic's id, 16 bytes. Raises `CorruptDirectoryError` (`file`) when there is none."""
    pairs: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            pairs[name.strip()] = value.strip()
    version = int_or_none(pairs.get("version", ""))
    if version is None or version < 0:
        raise CorruptDirectoryError(f"{file} does not say its version", file=file)
    try:
        topic_id = decode_uuid(pairs.get("topic_id", ""))
    except ValueError as error:
        raise CorruptDirectoryError(f"{file} holds no topic id: {error}", file=file) from error
    if topic_id == ZERO_UUID:
        raise CorruptDirectoryError(f"{file} holds the zero topic id, which is none", file=file)
    return topic_id


def read_partition_metadata(filesystem: Filesystem, directory: str) -> bytes | None:
    """The topic id of the partition in `directory`, None when the file is missing."""
    path = f"{directory}/{PARTITION_METADATA}"
    if not filesystem.exists(path):
        return None
    return parse_partition_metadata(filesystem.read_file(path), path)


def write_partition_metadata(filesystem: Filesystem, directory: str, topic_id: bytes) -> None:
    """Write the file, atomically and durably."""
    path = f"{directory}/{PARTITION_METADATA}"
    filesystem.write_atomically(path, format_partition_metadata(topic_id))
