"""Reading a segment: the right batch whatever the indexes say, and damage by its name."""

from __future__ import annotations

import random
import struct

import pytest

from streamlog.errors import CorruptRecordError, InputOutputError
from streamlog.record.kernel import RecordBatch
from streamlog.record.layout import HEADER_SIZE
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.segment import LogSegment
from tests.storage.folder_builder import NOW, Folder, flip, zero


@pytest.fixture(params=["mapped", "pread"])
def open_segment(request):
    """Opens a segment of a folder, both ways that bytes can be had."""
    opened = []

    def open_it(folder, base=None, *, growing=False):
        length = 0 if request.param == "pread" else (1 << 24 if growing else None)
        segment = LogSegment(
            OS_FILESYSTEM,
            str(folder.path),
            folder.segment if base is None else base,
            topic="orders",
            partition=0,
            map_length=length,
        )
        opened.append(segment)
        return segment

    yield open_it
    for segment in opened:
        segment.close()


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "orders-0", first_offset=1000)
    rng = random.Random(5)
    for _ in range(150):
        folder.append(rng.randrange(1, 5), value=b"v" * rng.randrange(1, 400))
    return folder.close()


def end_of(folder):
    return folder.batches[-1].end


def assert_every_offset_is_found(folder, segment):
    limit = end_of(folder)
    for placed in folder.batches:
        for offset in range(placed.base_offset, placed.next_offset):
            assert segment.find_batch(offset, limit) == placed.position
    assert segment.find_batch(folder.next_offset, limit) == limit


class TestFindingOffsets:
    def test_every_offset(self, folder, open_segment):
        assert_every_offset_is_found(folder, open_segment(folder))

    def test_in_a_gap_the_next_batch(self, tmp_path, open_segment):
        folder = Folder(tmp_path / "gaps-0")
        folder.append(3)
        after = folder.append(2, offset=50)
        assert open_segment(folder).find_batch(10, end_of(folder)) == after.position

    def test_only_up_to_the_limit(self, folder, open_segment):
        some = folder.batches[70]
        segment = open_segment(folder)
        assert segment.find_batch(some.base_offset, some.position) == some.position
        assert segment.find_batch(folder.next_offset - 1, some.position) == some.position

    @pytest.mark.parametrize("seed", range(20))
    def test_a_wrong_index_never_gives_a_wrong_batch(self, folder, open_segment, seed):
        rng = random.Random(seed)
        index = folder.file(".index")
        data = bytearray(index.read_bytes())
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        index.write_bytes(data[: rng.randrange(len(data)) + 1] + bytes(rng.randrange(40)))
        assert_every_offset_is_found(folder, open_segment(folder))

    def test_not_with_any_single_bit_wrong(self, folder, open_segment):
        index = folder.file(".index")
        right = index.read_bytes()
        segment = open_segment(folder)
        wanted = folder.batches[::7]
        for bit in range(len(right) * 8):
            index.write_bytes(right)
            flip(index, bit // 8, bit % 8)
            for placed in wanted:
                assert segment.find_batch(placed.base_offset, end_of(folder)) == placed.position

    @pytest.mark.parametrize("what", ["missing", "empty", "stale", "zeros", "reversed"])
    def test_nor_does_one_that_is_no_index(self, folder, open_segment, what):
        index = folder.file(".index")
        data = index.read_bytes()
        if what == "missing":
            index.unlink()
        else:
            entries = [data[n : n + 8] for n in range(0, len(data), 8)]
            index.write_bytes(
                {
                    "empty": b"",
                    "stale": data[:16],
                    "zeros": data + bytes(4096),
                    "reversed": b"".join(reversed(entries)),
                }[what]
            )
        assert_every_offset_is_found(folder, open_segment(folder))

    def test_a_segment_that_grows_under_the_reader(self, folder, open_segment):
        segment = open_segment(folder, growing=True)
        assert_every_offset_is_found(folder, segment)
        folder.append_many(200)
        folder.close()
        size = folder.file(".index").stat().st_size
        limit = end_of(folder)
        for placed in folder.batches:
            assert segment.find_batch(placed.base_offset, limit, size) == placed.position
            assert bytes(segment.view(placed.position, 8)) == struct.pack(">q", placed.base_offset)


class TestViews:
    def test_they_outlive_the_segment_and_its_file(self, folder, open_segment):
        segment = open_segment(folder)
        placed = folder.batches[3]
        view = segment.view(placed.position, placed.size)
        segment.close()
        folder.file(".log").unlink()
        RecordBatch(view).check()

    def test_a_file_that_was_cut_by_a_stranger_is_an_error_and_no_signal(
        self, folder, open_segment
    ):
        segment = open_segment(folder)
        with folder.file(".log").open("r+b") as log:
            log.truncate(0)
        with pytest.raises(InputOutputError):
            segment.view(8192, 100)

    def test_whole_batches_and_one_at_least(self, folder, open_segment):
        segment = open_segment(folder)
        limit = end_of(folder)
        ends = [placed.end for placed in folder.batches]
        for start in (0, 40, 149):
            position = folder.batches[start].position
            for max_bytes in (0, 1, 500, 5000, 100_000_000):
                fitting = [end for end in ends if position < end <= position + max_bytes]
                expected = fitting[-1] if fitting else ends[start]
                assert segment.whole_batches_end(position, limit, max_bytes) == expected


class TestDamage:
    def test_it_is_named_and_what_lies_behind_is_found(self, folder, open_segment):
        damaged, behind = folder.batches[60], folder.batches[61]
        zero(folder.file(".log"), damaged.position, damaged.position + 30)
        folder.file(".index").unlink()
        segment = open_segment(folder)
        limit = end_of(folder)
        with pytest.raises(CorruptRecordError) as caught:
            segment.find_batch(damaged.base_offset, limit)
        error = caught.value
        assert (error.topic, error.partition, error.file) == ("orders", 0, str(folder.file(".log")))
        assert (error.position, error.offset) == (damaged.position, damaged.base_offset)
        assert error.next_offset == behind.base_offset
        assert segment.find_batch(behind.base_offset, limit) == behind.position
        assert segment.whole_batches_end(0, limit, 1 << 30) == damaged.position
        with pytest.raises(CorruptRecordError) as caught:
            segment.whole_batches_end(damaged.position, limit, 1 << 30)
        assert caught.value.offset == damaged.base_offset

    def test_with_nothing_behind_it(self, folder, open_segment):
        zero(folder.file(".log"), folder.batches[148].position, end_of(folder))
        with pytest.raises(CorruptRecordError) as caught:
            open_segment(folder).find_batch(folder.next_offset - 1, end_of(folder))
        assert caught.value.next_offset is None

    def test_timestamps_of_a_part_of_a_batch_are_those_of_a_batch_that_checks(
        self, tmp_path, open_segment
    ):
        """The records of one are looked at where the log begins in it."""
        folder = Folder(tmp_path / "part-0")
        only = folder.append(3)
        assert open_segment(folder).largest_timestamp_from(1, only.end, None) == NOW
        right = folder.file(".log").read_bytes()
        for position in range(HEADER_SIZE, only.end):
            flip(folder.file(".log"), position)
            with pytest.raises(CorruptRecordError):
                open_segment(folder).largest_timestamp_from(1, only.end, None)
            folder.file(".log").write_bytes(right)


class TestFindingTimes:
    @pytest.fixture
    def jumpy(self, tmp_path):
        """Timestamps that go back and forth, as event times do."""
        folder = Folder(tmp_path / "times-0", first_offset=500)
        rng = random.Random(3)
        for _ in range(200):
            folder.append(1, timestamp=NOW + rng.randrange(5000), value=b"v" * 200)
        folder.write_indexes(sealed=True)
        return folder

    def expected(self, folder, timestamp, min_offset=0):
        return next(
            (
                (placed.base_offset, placed.max_timestamp)
                for placed in folder.batches
                if placed.max_timestamp >= timestamp and placed.base_offset >= min_offset
            ),
            None,
        )

    def test_the_first_record_that_is_late_enough(self, jumpy, open_segment):
        segment = open_segment(jumpy)
        limit = end_of(jumpy)
        for timestamp in range(NOW - 10, NOW + 5010, 13):
            for min_offset in (0, 600):
                found = segment.find_time(timestamp, limit, min_offset=min_offset)
                assert (found and found[:2]) == self.expected(jumpy, timestamp, min_offset)
        assert segment.largest_timestamp(limit) == max(p.max_timestamp for p in jumpy.batches)

    @pytest.mark.parametrize("seed", range(20))
    def test_a_wrong_index_never_gives_a_wrong_record(self, jumpy, open_segment, seed):
        rng = random.Random(seed)
        index = jumpy.file(".timeindex")
        flip(index, rng.randrange(index.stat().st_size), rng.randrange(8))
        segment = open_segment(jumpy)
        for timestamp in range(NOW - 10, NOW + 5010, 37):
            found = segment.find_time(timestamp, end_of(jumpy))
            assert (found and found[:2]) == self.expected(jumpy, timestamp)

    def test_a_true_entry_in_a_wrong_place_is_not_believed(self, tmp_path, open_segment):
        folder = Folder(tmp_path / "times-0")
        for timestamp in (100, 300, 100, 400):
            folder.append(1, timestamp=timestamp)
        # Batch 2 has timestamp 100 and ends with offset 2, but batch 1 before it has 300.
        entries = [(100, 2), (300, 1)]
        folder.file(".timeindex").write_bytes(b"".join(struct.pack(">qi", *e) for e in entries))
        assert open_segment(folder).find_time(200, end_of(folder))[:2] == (1, 300)

    def test_inside_a_batch(self, tmp_path, open_segment):
        from streamlog.record.kernel import RecordBatchBuilder

        folder = Folder(tmp_path / "times-0")
        builder = RecordBatchBuilder()
        for number in range(10):
            builder.append(NOW + 10 * number, None, b"v", None)
        folder.file(".log").write_bytes(bytes(builder.build()))
        size = folder.file(".log").stat().st_size
        assert open_segment(folder).find_time(NOW + 45, size)[:2] == (5, NOW + 50)
