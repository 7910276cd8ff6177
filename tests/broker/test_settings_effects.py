"""Every setting that is honoured shows: each is changed while its log is open, and obeyed.

A setting that is honoured and has no story here fails `test_each_shows`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlog.broker.engine import Engine
from streamlog.config import TOPIC_SETTINGS
from streamlog.errors import InvalidRecordError, InvalidTimestampError, RecordTooLargeError
from streamlog.record import TimestampType
from streamlog.record.kernel import RecordBatch
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.partition_log import PartitionLog
from streamlog.testing.clock import ManualClock
from tests.broker.conftest import OpenEngine, append, batch, read

DAY_MS = 86_400_000


@pytest.fixture
def engine(open_engine: OpenEngine) -> Engine:
    """Nothing happens by itself: a housekeeper would roll what is to be compacted in time."""
    return open_engine(settings={"housekeeping": False})


class Story:
    """A topic whose log stays the same object, and open, while its settings change."""

    def __init__(self, engine: Engine, **settings: Any) -> None:
        self.engine = engine
        engine.create_topic("a", 1, settings)
        self.log: PartitionLog = engine.partition("a", 0)

    def alter(self, **settings: Any) -> None:
        self.engine.alter_topics({"a": settings})

    def append(self, *values: bytes, **how: Any) -> RecordBatch:
        """Append one batch, and read it back."""
        offset = append(self.log, *values, **how).base_offset
        return RecordBatch(self.log.fetch(offset, 1 << 20).view)

    def refuses(self, error: type[Exception], *values: bytes, **how: Any) -> None:
        end = self.log.log_end
        with pytest.raises(error):
            append(self.log, *values, **how)
        assert self.log.log_end == end

    def segments(self) -> list[str]:
        return sorted(path.name for path in Path(self.log.directory).glob("*.log"))

    def rolls(self, *values: bytes, **how: Any) -> bool:
        """Whether appending this begins a segment."""
        before = len(self.segments())
        append(self.log, *values, **how)
        return len(self.segments()) > before


EFFECTS: dict[str, Callable[[Engine], None]] = {}


def effect(function: Callable[[Engine], None]) -> Callable[[Engine], None]:
    EFFECTS[function.__name__] = function
    return function


@pytest.mark.parametrize("name", [setting.name for setting in TOPIC_SETTINGS if setting.honoured])
def test_each_shows(name: str, engine: Engine) -> None:
    assert name in EFFECTS, f"{name} is honoured: tell here how one sees it"
    EFFECTS[name](engine)


# -------------------------------------------------------------------- what is accepted


@effect
def max_message_bytes(engine: Engine) -> None:
    story = Story(engine)
    story.append(b"x" * 500)
    story.alter(max_message_bytes=300)
    story.refuses(RecordTooLargeError, b"x" * 500)
    story.alter(max_message_bytes=2_000_000)
    story.append(b"x" * 1_500_000)
    story.alter(max_message_bytes=None)
    story.refuses(RecordTooLargeError, b"x" * 1_500_000)


@effect
def message_timestamp_type(engine: Engine) -> None:
    story = Story(engine)
    assert story.append(b"x").timestamp_type == TimestampType.CREATE_TIME
    story.alter(message_timestamp_type="LogAppendTime")
    stamped = story.append(b"x")
    assert (stamped.timestamp_type, stamped.max_timestamp) == (TimestampType.LOG_APPEND_TIME, 2000)
    story.alter(message_timestamp_type="CreateTime")
    assert story.append(b"x").max_timestamp == 1000


@effect
def message_timestamp_before_max_ms(engine: Engine) -> None:
    story = Story(engine)
    story.append(b"x", timestamp=5)
    story.alter(message_timestamp_before_max_ms=999)
    story.refuses(InvalidTimestampError, b"x", timestamp=1000)
    story.alter(message_timestamp_before_max_ms=1000)
    story.append(b"x", timestamp=1000)


@effect
def message_timestamp_after_max_ms(engine: Engine) -> None:
    story = Story(engine)
    story.refuses(InvalidTimestampError, b"x", timestamp=DAY_MS)
    story.alter(message_timestamp_after_max_ms=DAY_MS)
    story.append(b"x", timestamp=DAY_MS)


@effect
def cleanup_policy(engine: Engine) -> None:
    story = Story(engine)
    story.append(b"x")
    story.alter(cleanup_policy="compact")
    story.refuses(InvalidRecordError, b"x")
    story.append(b"x", key=b"k")
    story.alter(cleanup_policy=("delete",))
    story.append(b"x")


# -------------------------------------------------------------------- compression


@effect
def compression_type(engine: Engine) -> None:
    story = Story(engine)
    found = []
    for name in ("zstd", "gzip", "snappy", "lz4", "uncompressed", "producer"):
        story.alter(compression_type=name)
        found.append(story.append(b"x" * 1000, codec=1).codec)
    assert found == [4, 1, 2, 3, 0, 1]
    # A batch is judged again by what becomes of it.
    story.alter(compression_type="uncompressed", max_message_bytes=500)
    story.refuses(RecordTooLargeError, b"x" * 1000, codec=1)


def _sizes_at(engine: Engine, codec: str, setting: str, levels: tuple[int, ...]) -> list[int]:
    draw = random.Random(1)
    words = [bytes(draw.choices(b"abcdefghij", k=draw.randint(3, 9))) for _ in range(300)]
    text = b" ".join(draw.choice(words) for _ in range(4000))
    story = Story(engine, compression_type=codec)
    sizes = []
    for level in levels:
        story.alter(**{setting: level})
        sizes.append(story.append(text).size)
    return sizes


@effect
def compression_gzip_level(engine: Engine) -> None:
    least, most, default = _sizes_at(engine, "gzip", "compression_gzip_level", (1, 9, -1))
    assert least > most
    assert default < least


@effect
def compression_lz4_level(engine: Engine) -> None:
    fast, high = _sizes_at(engine, "lz4", "compression_lz4_level", (9, 12))
    assert fast > high


@effect
def compression_zstd_level(engine: Engine) -> None:
    least, most = _sizes_at(engine, "zstd", "compression_zstd_level", (-5, 19))
    assert least > most


# -------------------------------------------------------------------- syncing


class Disk(Filesystem):
    """The machine's files, said to lie on a disk. `synced` is set when the topic's are synced."""

    is_operating_system = False

    def __init__(self) -> None:
        self.synced = threading.Event()

    def kind(self, path: str) -> str:
        return "ext4"

    def sync_directory(self, path: str) -> None:
        super().sync_directory(path)
        if path.endswith("/a-0"):
            self.synced.set()


@effect
def flush_messages(engine: Engine) -> None:
    disk = Engine.open(f"{engine.place.path}/../disk", filesystem=Disk())
    story = Story(disk)
    for _ in range(5):
        append(story.log, b"x")
    assert story.log.synced_end == 0
    story.alter(flush_messages=3)
    for _ in range(7):
        append(story.log, b"x")
        assert story.log.log_end - story.log.synced_end < 3
    story.alter(flush_messages=None)
    behind = story.log.synced_end
    for _ in range(5):
        append(story.log, b"x")
    assert story.log.synced_end == behind
    disk.close()


@effect
def flush_ms(engine: Engine) -> None:
    filesystem = Disk()
    disk = Engine.open(f"{engine.place.path}/../disk", filesystem=filesystem)
    story = Story(disk)
    append(story.log, b"x")
    assert not filesystem.synced.is_set()
    story.alter(flush_ms=5)  # what is there already is synced, too
    assert filesystem.synced.wait(30)
    story.alter(flush_ms=None)
    assert disk._factory.flush_timer.watched == []
    story.alter(flush_ms=2**63 - 2)
    story.alter(flush_ms=7)
    assert disk._factory.flush_timer.watched == [story.log]
    disk.close()


# -------------------------------------------------------------------- files


@effect
def segment_bytes(engine: Engine) -> None:
    story = Story(engine)
    append(story.log, b"x" * 600_000)
    assert not story.rolls(b"x" * 600_000)
    story.alter(segment_bytes=1 << 20)
    assert story.rolls(b"x" * 600_000)
    story.alter(segment_bytes=1 << 21)
    assert not story.rolls(b"x" * 600_000)


@effect
def internal_segment_bytes(engine: Engine) -> None:
    story = Story(engine)
    append(story.log, b"x" * 300)
    story.alter(internal_segment_bytes=500)
    assert story.rolls(b"x" * 300)
    story.refuses(RecordTooLargeError, b"x" * 500)
    story.alter(internal_segment_bytes=None)
    assert not story.rolls(b"x" * 500)


@effect
def segment_ms(engine: Engine) -> None:
    story = Story(engine, message_timestamp_after_max_ms=9 * DAY_MS)
    append(story.log, b"x", timestamp=1000)
    assert not story.rolls(b"x", timestamp=6 * DAY_MS)
    story.alter(segment_ms=5 * DAY_MS)
    assert story.rolls(b"x", timestamp=6 * DAY_MS)
    story.alter(segment_ms=None)
    assert not story.rolls(b"x", timestamp=8 * DAY_MS)
    # What is to be compacted in time must not stay in the active segment for longer.
    story.alter(segment_ms=30 * DAY_MS, max_compaction_lag_ms=DAY_MS)
    assert not story.rolls(b"x", key=b"k", timestamp=8 * DAY_MS)
    story.alter(cleanup_policy="compact")
    assert story.rolls(b"x", key=b"k", timestamp=8 * DAY_MS)


@effect
def segment_jitter_ms(engine: Engine) -> None:
    story = Story(engine, segment_ms=1000, message_timestamp_after_max_ms=9 * DAY_MS)

    def age_of_next_roll(start: int) -> int:
        """How old the segment that begins now gets, in steps of 10 ms."""
        append(story.log, b"x", timestamp=start)
        age = 10
        while not story.rolls(b"x", timestamp=start + age):
            age += 10
        return age

    assert age_of_next_roll(0) == 1010
    story.alter(segment_jitter_ms=900)
    ages = [age_of_next_roll(start) for start in range(10_000, 110_000, 10_000)]
    assert len(set(ages)) > 5
    assert all(100 <= age <= 1010 for age in ages)
    story.alter(segment_jitter_ms=0)
    append(story.log, b"x", timestamp=200_000)
    assert age_of_next_roll(210_000) == 1010


@effect
def segment_index_bytes(engine: Engine) -> None:
    story = Story(engine, index_interval_bytes=0)  # an entry of 8 bytes from the second batch on
    for _ in range(7):
        append(story.log, b"x")
    story.alter(segment_index_bytes=48)
    assert story.rolls(b"x")
    assert [story.rolls(b"x") for _ in range(7)].count(True) == 1
    story.alter(segment_index_bytes=None)
    assert [story.rolls(b"x") for _ in range(20)].count(True) == 0


@effect
def index_interval_bytes(engine: Engine) -> None:
    story = Story(engine)

    def entries_of_ten_batches() -> int:
        before = story.log.state().offset_index_size
        for _ in range(10):
            append(story.log, b"x" * 100)
        return (story.log.state().offset_index_size - before) // 8

    size = len(batch(b"x" * 100))
    assert entries_of_ten_batches() == 0
    story.alter(index_interval_bytes=0)
    assert entries_of_ten_batches() == 10
    story.alter(index_interval_bytes=2 * size)
    assert entries_of_ten_batches() == 3


# -------------------------------------------------------------------- what is kept


@effect
def retention_bytes(engine: Engine) -> None:
    story = Story(engine, internal_segment_bytes=1000)
    for _ in range(6):
        story.append(b"x" * 400)
    assert engine.apply_retention() == {}
    story.alter(retention_bytes=1000)
    engine.apply_retention()
    assert 0 < story.log.log_start < story.log.log_end


@effect
def retention_ms(engine: Engine) -> None:
    story = Story(engine)
    story.append(b"x", timestamp=1000)
    assert engine.apply_retention() == {}
    story.alter(retention_ms=DAY_MS)
    engine.apply_retention()
    assert story.log.log_start == story.log.log_end == 1


# -------------------------------------------------------------------- compaction


class Compacted(Story):
    """A compacted topic in a directory of its own, where time passes when it is told to."""

    def __init__(self, engine: Engine, **settings: Any) -> None:
        self.clock = ManualClock(2000)
        own = Engine.open(
            f"{engine.place.path}/../compacted", clock=self.clock, settings={"housekeeping": False}
        )
        settings = {"internal_segment_bytes": 300, "message_timestamp_after_max_ms": 9 * DAY_MS}
        super().__init__(own, cleanup_policy="compact", **settings)

    def send(self, key: bytes, value: bytes | None, timestamp: int = 1000) -> None:
        """A record, as good as alone in its segment."""
        append(self.log, value, b"x" * 150, key=key, timestamp=timestamp)

    def offsets_after_round(self, now_ms: int) -> list[int]:
        """What a round of the housekeeper leaves, as it is at that time."""
        self.clock.advance(15_000)
        assert self.engine.housekeeper.run_once(now_ms)
        assert self.engine.housekeeper.uncleanable == {}
        return [offset for offset, _ in read(self.log, self.log.log_start)]

    def close(self) -> None:
        self.engine.close()


@effect
def min_cleanable_dirty_ratio(engine: Engine) -> None:
    story = Compacted(engine)
    story.alter(min_cleanable_dirty_ratio=0.4)
    for _ in range(4):
        story.send(b"k", b"v")
    assert story.offsets_after_round(2000) == [5, 6, 7], "three of four segments are sealed"
    story.send(b"k", b"v")  # and now one is clean, and one dirty
    story.alter(min_cleanable_dirty_ratio=0.9)
    assert story.offsets_after_round(2000) == [5, 6, 7, 8, 9]
    story.alter(min_cleanable_dirty_ratio=0.4)
    assert story.offsets_after_round(2000) == [7, 8, 9]
    story.close()


@effect
def min_compaction_lag_ms(engine: Engine) -> None:
    story = Compacted(engine)
    story.alter(min_compaction_lag_ms=DAY_MS)
    for timestamp in (1000, 1000, 5000, 5000):
        story.send(b"k", b"v", timestamp)
    assert story.offsets_after_round(1000 + DAY_MS - 1) == list(range(8))
    assert story.offsets_after_round(1000 + DAY_MS) == [3, 4, 5, 6, 7]
    story.alter(min_compaction_lag_ms=None)
    assert story.offsets_after_round(2000) == [5, 6, 7]
    story.close()


@effect
def max_compaction_lag_ms(engine: Engine) -> None:
    story = Compacted(engine)
    story.alter(min_cleanable_dirty_ratio=1.0, max_compaction_lag_ms=DAY_MS)
    for _ in range(3):
        story.send(b"k", b"v")
    assert story.offsets_after_round(1000 + DAY_MS) == list(range(6))
    # Overdue is what is in the active segment as well: another is begun.
    assert story.offsets_after_round(1001 + DAY_MS) == [5]
    story.alter(max_compaction_lag_ms=None)
    story.send(b"k", b"v")
    story.send(b"k", b"v")
    assert story.offsets_after_round(9 * DAY_MS) == [5, 6, 7, 8, 9]
    story.close()


@effect
def delete_retention_ms(engine: Engine) -> None:
    story = Compacted(engine)
    story.alter(min_cleanable_dirty_ratio=0.0)
    for key, value in ((b"gone", b"v"), (b"gone", None), (b"k", b"v"), (b"k", b"v")):
        append(story.log, value, key=key)
        story.log.roll(now_ms=2000)
    assert story.offsets_after_round(2000) == [1, 3]
    story.alter(delete_retention_ms=2 * DAY_MS)  # the horizon is set: it stays what it was
    append(story.log, b"v", key=b"k")
    story.log.roll(now_ms=2000)
    assert story.offsets_after_round(2000 + DAY_MS - 1) == [1, 4]
    append(story.log, b"v", key=b"k")
    story.log.roll(now_ms=2000)
    assert story.offsets_after_round(2000 + DAY_MS) == [5]
    append(story.log, None, key=b"k")
    story.log.roll(now_ms=2000)
    for now_ms, kept in ((0, [6, 7]), (2 * DAY_MS - 1, [6, 8]), (2 * DAY_MS, [9])):
        append(story.log, b"v", key=b"other")
        story.log.roll(now_ms=2000)
        assert story.offsets_after_round(now_ms) == kept
    story.close()
