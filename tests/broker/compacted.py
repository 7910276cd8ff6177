"""A compacted topic of numbered records: written, and what is left of it."""

from __future__ import annotations

from streamlog.broker.engine import Engine
from streamlog.types import TopicPartition
from tests.broker.conftest import append, read
from tests.broker.machine import NOW

ORDERS = TopicPartition("orders", 0)
SETTINGS = {"cleanup_policy": "compact", "internal_segment_bytes": 700}


def write(engine: Engine, topic: str = "orders", *, count: int = 40, keys: int = 5) -> None:
    """Batches of one record, of a few keys; the log ends in a segment of its own."""
    log = engine.partition(topic, 0)
    for number in range(count):
        key = b"key-%d" % (number % keys)
        append(log, b"%d" % log.log_end + b"." * 100, key=key, timestamp=NOW)


def latest(count: int = 40, keys: int = 5) -> list[int]:
    """The offsets that `write` makes and compaction keeps."""
    return list(range(count - keys, count))


def offsets(engine: Engine, topic: str = "orders") -> list[int]:
    """Of all records that can be read, each of which says its offset by its value."""
    log = engine.partition(topic, 0)
    found = read(log, log.log_start)
    assert all(value is None or int(value.split(b".")[0]) == at for at, value in found)
    return [offset for offset, _ in found]


def names(engine: Engine, topic: str = "orders") -> list[str]:
    return sorted(engine._opening.filesystem.listdir(f"/log/{topic}-0"))


def bases(engine: Engine, topic: str = "orders") -> list[int]:
    return [int(name[:20]) for name in names(engine, topic) if name.endswith(".log")]
