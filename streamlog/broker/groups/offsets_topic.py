"""`__consumer_offsets`: made when a group is first used, by whichever process is first."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from streamlog.errors import TopicExistsError
from streamlog.storage.names import OFFSETS_TOPIC

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.broker.metadata_image import TopicImage

_INT_BITS = 32

#: Kafka's, but for the segments: small ones, so that compaction leaves little to replay.
_SETTINGS = {"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": 4 << 20}


def find_offsets_topic(engine: Engine) -> TopicImage | None:
    """The topic as it is, None when nobody has used a group yet."""
    with engine.metadata.lock:
        return engine.image.topics.get(OFFSETS_TOPIC)


def ensure_offsets_topic(engine: Engine, partitions: int) -> TopicImage:
    """The topic, made with so many partitions if there is none."""
    while (topic := find_offsets_topic(engine)) is None:
        with suppress(TopicExistsError):  # another process was faster
            engine.create_topic(OFFSETS_TOPIC, partitions, _SETTINGS)
    return topic


def partition_of(group_id: str, partitions: int) -> int:
    """The partition of `__consumer_offsets` that a group belongs to, as Kafka hashes it."""
    found = java_hash(group_id)
    return (0 if found == -1 << _INT_BITS - 1 else abs(found)) % partitions


def java_hash(text: str) -> int:
    """Java's `String.hashCode`: over UTF-16, in 32 bits with a sign."""
    encoded, found = text.encode("utf-16-be", "surrogatepass"), 0
    for at in range(0, len(encoded), 2):
        found = found * 31 + int.from_bytes(encoded[at : at + 2], "big") & (1 << _INT_BITS) - 1
    return found - (found >> _INT_BITS - 1 << _INT_BITS)
