"""What is cleaned, when, and which segments together: Kafka's rules (facts 5.2 and 5.4)."""

from __future__ import annotations

import pytest

from streamlog.config import TopicConfig
from streamlog.record.layout import MAX_INT32
from streamlog.storage.cleanable import (
    CleanableLog,
    SegmentDescription,
    describe_segments,
    find_cleanable,
    group_segments,
)
from streamlog.storage.filesystem import OS_FILESYSTEM
from tests.storage.folder_builder import NOW, Folder, cut

ACTIVE = 300


def segment(
    base_offset: int,
    size: int = 100,
    *,
    first: int = NOW,
    largest: int = NOW,
    index: int = 8,
    time_index: int = 12,
) -> SegmentDescription:
    return SegmentDescription(base_offset, size, index, time_index, first, largest, 1)


SEGMENTS = [segment(0, 400), segment(100, 200), segment(200, 100)]


def found(segments=SEGMENTS, now_ms: int = NOW, **given: object) -> CleanableLog:
    settings = {key: given.pop(key) for key in list(given) if key.endswith("_lag_ms")}
    config = TopicConfig.from_overrides(
        {name.replace("_", "."): str(value) for name, value in settings.items()}
    )
    asked = {
        "active_base_offset": ACTIVE,
        "checkpoint": None,
        "log_start": 0,
        "log_end": 350,
        "last_stable_offset": 350,
        "now_ms": now_ms,
        "config": config,
        **given,
    }
    return find_cleanable(segments, **asked)


class TestOffsets:
    def test_without_a_checkpoint_all_but_the_active_segment_is_dirty(self):
        log = found()
        assert (log.first_dirty_offset, log.first_uncleanable_offset) == (0, ACTIVE)
        assert (log.clean_bytes, log.cleanable_bytes, log.cleanable_ratio) == (0, 700, 1.0)
        assert not log.has_bad_checkpoint

    def test_the_checkpoint_is_where_the_dirty_part_begins(self):
        log = found(checkpoint=200)
        assert (log.first_dirty_offset, log.first_uncleanable_offset) == (200, ACTIVE)
        assert (log.clean_bytes, log.cleanable_bytes) == (600, 100)

    def test_a_segment_that_is_dirty_in_part_counts_on_both_sides(self):
        log = found(checkpoint=150)
        assert (log.clean_bytes, log.cleanable_bytes) == (600, 300)

    def test_all_clean(self):
        log = found(checkpoint=ACTIVE)
        assert (log.first_dirty_offset, log.first_uncleanable_offset) == (ACTIVE, ACTIVE)
        assert (log.clean_bytes, log.cleanable_bytes, log.cleanable_ratio) == (700, 0, 0.0)

    def test_a_log_with_an_active_segment_only(self):
        log = found([], active_base_offset=0)
        assert (log.first_dirty_offset, log.first_uncleanable_offset) == (0, 0)
        assert not log.is_due(0.0)

    @pytest.mark.parametrize(
        ("checkpoint", "bad"), [(99, True), (100, False), (350, False), (351, True)]
    )
    def test_a_checkpoint_outside_the_log_is_none(self, checkpoint, bad):
        log = found(checkpoint=checkpoint, log_start=100)
        assert log.has_bad_checkpoint is bad
        assert log.first_dirty_offset == (100 if bad else checkpoint)

    @pytest.mark.parametrize(
        ("stable", "uncleanable"),
        [(350, 300), (300, 300), (299, 200), (200, 200), (199, 100), (1, 0), (0, 0)],
    )
    def test_nothing_undecided_is_cleaned_nor_half_a_segment(self, stable, uncleanable):
        assert found(last_stable_offset=stable).first_uncleanable_offset == uncleanable

    def test_below_the_checkpoint_nothing_is_undecided(self):
        log = found(checkpoint=200, last_stable_offset=50)
        assert (log.first_uncleanable_offset, log.cleanable_bytes) == (200, 0)

    @pytest.mark.parametrize(("now", "uncleanable"), [(0, 0), (999, 0), (1000, 100), (5000, 300)])
    def test_young_segments_wait_and_so_does_what_follows(self, now, uncleanable):
        segments = [segment(0), segment(100, largest=NOW + 4000), segment(200)]
        log = found(segments, now_ms=NOW + now, min_compaction_lag_ms=1000)
        assert log.first_uncleanable_offset == uncleanable

    def test_young_segments_that_are_clean_hold_up_nothing(self):
        segments = [segment(0, largest=NOW + 9999), segment(100), segment(200)]
        log = found(segments, checkpoint=100, now_ms=NOW + 1000, min_compaction_lag_ms=1000)
        assert log.first_uncleanable_offset == ACTIVE


class TestBeingDue:
    @pytest.mark.parametrize(
        ("ratio", "due"), [(0.0, True), (0.49, True), (0.5, False), (1.0, False)]
    )
    def test_more_than_the_ratio_must_be_dirty(self, ratio, due):
        log = found([segment(0), segment(100)], checkpoint=100, active_base_offset=200)
        assert log.cleanable_ratio == 0.5
        assert log.is_due(ratio) is due

    def test_a_log_that_is_all_dirty_is_not_due_at_a_ratio_of_1(self):
        assert not found().is_due(1.0)

    @pytest.mark.parametrize(("now", "delay"), [(1000, 0), (1001, 1), (5000, 4000)])
    def test_what_waited_too_long_is_due_whatever_the_ratio(self, now, delay):
        segments = [
            segment(0, first=1),
            segment(100, 1, first=NOW + 50),
            segment(200, 1, first=NOW),
        ]
        log = found(segments, checkpoint=100, now_ms=NOW + now, max_compaction_lag_ms=1000)
        assert log.compaction_delay_ms == delay
        assert log.is_due(1.0) is (delay > 0)

    def test_segments_without_timestamps_do_not_wait(self):
        log = found([segment(0, first=-1), segment(100, first=0)], max_compaction_lag_ms=1)
        assert log.compaction_delay_ms == 0

    def test_nothing_to_clean_is_never_due(self):
        log = found(last_stable_offset=0, now_ms=NOW + 10**9, max_compaction_lag_ms=1)
        assert log.compaction_delay_ms > 0
        assert not log.is_due(0.0)


def groups(segments, end_offset=1000, segment_bytes=250, segment_index_bytes=1000):
    made = group_segments(
        segments,
        end_offset=end_offset,
        segment_bytes=segment_bytes,
        segment_index_bytes=segment_index_bytes,
    )
    return [[each.base_offset for each in group] for group in made]


class TestGroups:
    def test_neighbours_as_far_as_they_fit(self):
        segments = [segment(base) for base in range(5)]
        assert groups(segments) == [[0, 1], [2, 3], [4]]
        assert groups(segments, segment_bytes=300) == [[0, 1, 2], [3, 4]]
        assert groups([]) == []

    def test_one_that_fits_nowhere_stays_alone(self):
        assert groups([segment(0), segment(1, 999), segment(2)]) == [[0], [1], [2]]

    @pytest.mark.parametrize("which", ["index", "time_index"])
    def test_each_index_has_its_own_limit(self, which):
        segments = [segment(base, 1, **{which: 400}) for base in range(4)]
        assert groups(segments, segment_index_bytes=800) == [[0, 1], [2, 3]]
        assert groups(segments, segment_index_bytes=799) == [[0], [1], [2], [3]]

    def test_offsets_have_to_fit_the_indexes(self):
        """The last offset is taken to be the one before the next segment."""
        far = MAX_INT32
        assert groups([segment(0), segment(5), segment(far + 1)], far + 9) == [[0, 5], [far + 1]]
        assert groups([segment(0), segment(5), segment(far + 2)], far + 6) == [[0], [5, far + 2]]
        assert groups([segment(5), segment(far + 2)], far + 7) == [[5], [far + 2]]
        assert groups([segment(0), segment(5)], far + 1) == [[0, 5]]
        assert groups([segment(0), segment(5)], far + 2) == [[0], [5]]

    def test_an_empty_segment_joins_whatever_its_offsets(self):
        """Else one would be left every 2^31 offsets for ever."""
        far = 2**40
        assert groups([segment(0), segment(5, 0), segment(far, 0)], far + 9) == [[0, 5, far]]


class TestDescriptions:
    def test_sizes_times_and_age(self, tmp_path):
        folder = Folder(tmp_path / "orders-0")
        folder.append(timestamp=NOW + 5)
        folder.append(timestamp=NOW + 9)
        folder.append(timestamp=NOW)
        for _ in range(100):
            folder.append(timestamp=NOW)
        folder.roll()
        (described,) = self.describe(folder)
        assert described.base_offset == 0
        assert described.size == folder.file(".log", 0).stat().st_size
        assert described.offset_index_size == folder.file(".index", 0).stat().st_size > 0
        assert described.time_index_size == folder.file(".timeindex", 0).stat().st_size > 0
        assert (described.first_timestamp, described.largest_timestamp) == (NOW + 5, NOW + 9)
        assert described.modified_ns == folder.file(".log", 0).stat().st_mtime_ns

    def test_an_empty_segment_is_as_old_as_its_file(self, tmp_path):
        folder = Folder(tmp_path / "orders-0")
        folder.append()
        folder.roll()
        cut(folder.file(".log", 0), 0)
        cut(folder.file(".timeindex", 0), 0)
        (described,) = self.describe(folder)
        assert (described.size, described.first_timestamp) == (0, -1)
        assert described.largest_timestamp == described.modified_ns // 1_000_000

    def test_missing_indexes_have_no_size(self, tmp_path):
        folder = Folder(tmp_path / "orders-0")
        folder.append()
        folder.roll()
        for suffix in (".index", ".timeindex"):
            folder.file(suffix, 0).unlink()
        (described,) = self.describe(folder)
        assert (described.offset_index_size, described.time_index_size) == (0, 0)
        assert described.largest_timestamp == NOW

    def describe(self, folder):
        return describe_segments(OS_FILESYSTEM, str(folder.path), [0], topic="orders", partition=0)
