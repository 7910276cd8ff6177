"""The short way to what was just appended gives what the long one gives, or nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import streamlog
from streamlog.storage.partition_log import PartitionLog
from streamlog.storage.system import COMPILED


def fetch_both(log: PartitionLog, cursor: object, offset: int, limit: int) -> bool:
    """Whether the short way was taken; what both gave is the same then."""
    short = None if cursor is None else log.fetch_appended(limit, cursor)  # type: ignore[arg-type]
    if short is None:
        return False
    long = log.fetch(offset, limit, cursor)  # type: ignore[arg-type]
    assert bytes(short.view) == bytes(long.view)
    assert short[1:] == long[1:]
    return True


@pytest.mark.parametrize("cleanup_policy", ["delete", "compact"])
def test_both_ways_give_the_same(tmp_path: Path, cleanup_policy: str) -> None:
    source, short = random.Random(7), 0
    with streamlog.open(tmp_path, housekeeping=False) as log:
        log.create_topic("a", internal_segment_bytes=3000, cleanup_policy=cleanup_policy)
        partition = log.engine().partition("a", 0)
        cursor, offset, batches = None, 0, 0
        with log.producer(acks=1) as producer:
            for number in range(300):
                for _ in range(source.randint(0, 2)):
                    size = source.choice([10, 200, 900])
                    producer.send("a", b"x" * size, key=b"%d" % number).result()
                    batches += 1
                if source.random() < 0.02:
                    log.admin.compact("a") if cleanup_policy == "compact" else log.sync()
                limit = source.choice([1, 500, 100_000])
                short += fetch_both(partition, cursor, offset, limit)
                fetched = partition.fetch(offset, limit, cursor)
                cursor, offset = fetched.cursor, fetched.next_offset
        assert short > batches // 4 if COMPILED else short == 0


def test_there_is_no_short_way_to_what_is_gone(tmp_path: Path) -> None:
    with streamlog.open(tmp_path, housekeeping=False) as log:
        log.create_topic("a")
        partition = log.engine().partition("a", 0)
        with log.producer(acks=1) as producer:
            producer.send("a", b"one").result()
            cursor = partition.fetch(0, 1000).cursor
            assert cursor is not None
            assert partition.fetch_appended(1000, cursor) is None  # nothing there yet
            producer.send("a", b"two").result()
            assert (partition.fetch_appended(1000, cursor) is not None) == COMPILED
            producer.send("a", b"three").result()
            log.admin.delete_records({streamlog.TopicPartition("a", 0): 2})
            assert partition.fetch_appended(1000, cursor) is None
            partition._reader.close()
            assert partition.fetch_appended(1000, cursor) is None
