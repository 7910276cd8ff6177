"""Children that compact, and the topic that they do it to: each value says its offset."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

import streamlog
from tests.multiprocess import planted
from tests.multiprocess.values import ENDED, SYNCED, Report, say

TOPIC = "keyed"


def create(log: streamlog.StreamLog, segment_bytes: int) -> None:
    log.create_topic(
        TOPIC,
        cleanup_policy="compact",
        internal_segment_bytes=segment_bytes,
        index_interval_bytes=200,
    )


def fill(log: streamlog.StreamLog, count: int, keys: int) -> None:
    """Append values of so many keys, in turn; each value is its offset, and its key's number."""
    partition = streamlog.TopicPartition(TOPIC, 0)
    first = log.admin.end_offsets([partition])[partition]
    with log.producer(acks=1, batch_size=1000) as producer:
        for offset in range(first, first + count):
            number = offset % keys
            value = b"%d %d " % (offset, number) + b"." * 50
            producer.send(TOPIC, value, key=b"key-%d" % number)


def check(records: Iterable[streamlog.Record]) -> dict[int, int]:
    """Offsets by key of what was read: in order, once, each its own; the last one of a key wins."""
    latest: dict[int, int] = {}
    before = -1
    for record in records:
        offset, number = map(int, bytes(record.value or b"").split()[:2])
        assert offset == record.offset > before, f"{record.offset} behind {before} says {offset}"
        assert bytes(record.key or b"") == b"key-%d" % number
        latest[number] = before = offset
    return latest


def compact(log: streamlog.StreamLog) -> streamlog.PartitionCompaction:
    return log.admin.compact(TOPIC)[streamlog.TopicPartition(TOPIC, 0)]


# -------------------------------------------------------------------- what children do


def dying_compactor(pipe: int, path: str, step: int) -> None:
    """Compact once; be killed before a step of that."""
    with streamlog.open(path, housekeeping=False) as log:
        planted.die_at_step(step, "rename", "fsync", "fdatasync", "sync_directory", "listdir")
        compact(log)
        say(pipe, Report(ENDED))
        os.kill(os.getpid(), signal.SIGKILL)


def endless_compactor(pipe: int, path: str) -> None:
    """Compact over and over, by a map that is too small for one pass, until killed."""
    with streamlog.open(path, housekeeping=False, log_cleaner_dedupe_buffer_size=24 * 60) as log:
        while True:
            done = compact(log)
            say(pipe, Report(SYNCED, offset=done.first_dirty_offset))


def compacting_housekeeper(pipe: int, path: str) -> None:
    """Let the thread compact what is due, until killed."""
    with streamlog.open(path, log_cleaner_backoff_ms=1) as log:
        say(pipe, Report(SYNCED))
        log.engine().housekeeper._thread.join()  # type: ignore[union-attr]
