"""The hash of all that an assignment depends on outside of its group: topics, partitions, racks.

Kafka writes it with a group's epoch (since 4.1): while it stays the same, nothing about the
topics has changed. The bytes are Kafka's, so that a broker that goes on with our log, or we with
its, find their groups as they were. Java's strings are UTF-16, each followed by its length.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from streamlog.coordinator.topics_image import Topic
from streamlog.coordinator.xxh3 import xxh3_64

_MAGIC = b"\x00"
_int32 = Struct("<i")
_uint64 = Struct("<Q")


def topic_hash(topic: Topic) -> int:
    """The hash of one topic, unsigned."""
    parts = [
        _MAGIC,
        topic.topic_id[7::-1],
        topic.topic_id[:7:-1],
        _string(topic.name),
        _int32.pack(topic.partitions),
    ]
    for partition in range(topic.partitions):
        parts.append(_int32.pack(partition))
        for rack in sorted(topic.racks[partition], key=_utf16) if topic.racks else ():
            parts += [_int32.pack(len(_utf16(rack)) // 2), _string(rack)]
    return xxh3_64(b"".join(parts))


def group_hash(hashes: Iterable[tuple[str, int]]) -> int:
    """The hash of a group from its topics' names and hashes; signed, as it is written."""
    parts = [_uint64.pack(number) for _, number in sorted(hashes)]
    number = xxh3_64(b"".join(parts)) if parts else 0
    return number - 2**64 if number >= 2**63 else number


def _string(text: str) -> bytes:
    swapped = text.encode("utf-16-le")
    return swapped + _int32.pack(len(swapped) // 2)


def _utf16(text: str) -> bytes:
    """As Java orders strings."""
    return text.encode("utf-16-be")
