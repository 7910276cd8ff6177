"""One log's pass of compaction, on a disk in memory, held against the rules applied to lists."""

from __future__ import annotations

import os

import pytest

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.cleaned_segments import CleanedSegmentWriter
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.log_cleaner import DedupeBuffer
from streamlog.storage.log_settings import LogSettings
from streamlog.storage.names import CLEANED, segment_name
from streamlog.testing.journal import Link, Sync, SyncDirectory, Write
from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.record.cleaning_model import batch, encode
from tests.storage.cleaning_world import (
    ABORT,
    COMMIT,
    NOW,
    CleaningWorld,
    indexes_of,
    keyed,
)


def offsets(world: CleaningWorld) -> list[int]:
    """Of the records on the disk, control records too."""
    return [record.offset for each in world.batches_on_disk() for record in each]


class TestOnePass:
    def test_the_latest_of_each_key_stays_and_the_active_segment_is_left_alone(self):
        world = CleaningWorld()
        world.append(*keyed(b"a", b"b"))
        world.append(*keyed(b"a", b"c"))
        world.roll()
        world.append(*keyed(b"b"))
        (group,) = world.write().run()
        assert group.sources == (0,)
        assert offsets(world) == [1, 2, 3, 4]
        assert world.checkpoint == 4

    def test_small_segments_become_one(self):
        world = CleaningWorld()
        for key in (b"a", b"b", b"a"):
            world.append(*keyed(key))
            world.roll()
        (group,) = world.write().run()
        assert group.sources == (0, 1, 2)
        assert [segment.base_offset for segment in group.segments] == [0]
        assert group.segments[0].next_offset == 3
        assert offsets(world) == [1, 2]

    def test_groups_are_cleaned_one_at_a_time_from_the_logs_start(self):
        world = CleaningWorld(segment_bytes="100")
        for _ in range(3):
            world.append(*keyed(b"a"))
            world.roll()
        cleaner = world.write().cleaner()
        for number, group in enumerate(cleaner.run()):
            assert group.sources == (number,)
            cleaned = {name for name in world.files() if name.endswith(CLEANED)}
            assert cleaned == {name + CLEANED for name in group.segments[0].names}
            world.swap_in(group)
        assert offsets(world) == [2]
        assert cleaner.statistics.records_read == 3

    def test_everything_may_go_but_the_log_goes_on_where_it_did(self):
        world = CleaningWorld()
        world.append((None, b"no key"))
        world.append((None, b"neither"))
        world.roll()
        world.write().run()
        (left,) = world.batches_on_disk()
        assert (left.base_offset, left.last_offset, left.count) == (1, 1, 0)

    def test_nothing_dirty_is_nothing_to_do(self):
        world = CleaningWorld()
        world.append(*keyed(b"a"))
        world.roll()
        world.write().run()
        before = world.files()
        assert world.run() == []
        assert (world.files(), world.checkpoint) == (before, 1)

    def test_a_map_that_is_full_ends_the_pass_in_the_middle_of_a_batch(self):
        world = CleaningWorld()
        world.append(*keyed(b"a", b"b", b"c"))
        world.append(*keyed(b"a", b"b", b"c"))
        world.roll()
        checkpoints = []
        world.write()
        for _ in range(3):
            world.run(keys=2)
            checkpoints.append(world.checkpoint)
        assert checkpoints == [2, 4, 6]
        assert offsets(world) == [3, 4, 5]

    def test_the_last_batch_of_a_live_producer_keeps_its_header(self):
        world = CleaningWorld()
        world.append(*keyed(b"a"), producer_id=7, producer_epoch=0, base_sequence=0)
        world.append(*keyed(b"a"), producer_id=7, producer_epoch=0, base_sequence=1)
        world.append(*keyed(b"a"))
        world.roll()
        world.write().run()
        left = [
            (each.base_offset, each.count, each.last_sequence) for each in world.batches_on_disk()
        ]
        assert left == [(1, 0, 1), (2, 1, -1)]

    def test_a_batch_larger_than_a_window(self):
        world = CleaningWorld()
        world.append(*keyed(b"a"))
        world.append((b"b", os.urandom(3 << 20)), (b"a", b""), attributes=3)
        world.append((b"b", bytes(2 << 20)))
        world.roll()
        world.write().run()
        assert offsets(world) == [2, 3]

    def test_statistics(self):
        world = CleaningWorld()
        world.append(*keyed(b"a", b"a"), (None, b""), (b"gone", None))
        world.roll()
        size = len(world.write().log_bytes())
        cleaner = world.cleaner()
        (group,) = cleaner.run()
        found = cleaner.statistics
        assert (found.mapped_bytes, found.mapped_keys, found.bytes_read) == (size, 2, size)
        assert found.bytes_written == group.segments[0].size
        assert (found.batches_read, found.batches_kept) == (1, 1)
        assert (found.records_read, found.records_kept) == (4, 2)
        assert (found.tombstones_kept, found.keyless_dropped) == (1, 1)

    @pytest.mark.parametrize("load_factor", [0.1, 0.5, 0.75, 0.9, 0.99])
    def test_a_short_log_takes_little_memory_but_enough(self, load_factor):
        buffer = DedupeBuffer(bytes(16), 24 * 1000, load_factor)
        for offsets in range(1, 400):
            capacity = buffer.offset_map(offsets).capacity
            assert min(offsets, int(1000 * load_factor)) <= capacity <= offsets + 3
        assert buffer.offset_map(10**12).capacity == int(1000 * load_factor)

    def test_offsets_that_are_missing_at_a_segments_end_are_mapped(self):
        world = CleaningWorld()
        world.append(*keyed(b"a"))
        world.log_end += 5
        world.roll()
        world.append(*keyed(b"b"))
        world.log_end += 5
        world.roll()
        world.write().run()
        assert world.checkpoint == 12


class TestFiles:
    def test_only_cleaned_files_are_touched_and_each_is_synced(self):
        world = CleaningWorld()
        world.produce(1, 0, *keyed(b"a"))
        world.end(1, 0, ABORT)
        world.append(*keyed(b"b") * 3)
        world.roll()
        journal = []
        world.write()
        world.filesystem = MemoryFilesystem(world.filesystem.image(), journal=journal)
        before = world.files()
        (group,) = world.cleaner().run()
        made = {each.node: each.name for each in journal if isinstance(each, Link)}
        suffixes = (".log", ".index", ".timeindex", ".txnindex")
        assert set(made.values()) == {segment_name(0, suffix) + CLEANED for suffix in suffixes}
        assert {name + CLEANED for name in group.segments[0].names} == set(made.values())
        for node, name in made.items():
            last = max(
                at
                for at, each in enumerate(journal)
                if isinstance(each, Write) and each.file == node
            )
            assert Sync(node) in journal[last:], name
        assert isinstance(journal[-1], SyncDirectory)
        assert {name: data for name, data in world.files().items() if name in before} == before
        assert {type(each) for each in journal} == {Link, Write, Sync, SyncDirectory}

    def test_the_log_has_the_age_of_its_last_source_and_the_mode_that_is_asked(self, tmp_path):
        world = CleaningWorld()
        for key in (b"a", b"b"):
            world.append(*keyed(key))
            world.roll()
        for name, data in world.write().files().items():
            (tmp_path / name).write_bytes(data)
            os.utime(tmp_path / name, ns=(1, 10**18 + int(name[:20])))
        world.filesystem, target = OS_FILESYSTEM, tmp_path / "target"
        target.mkdir()
        cleaner = world.cleaner(
            directory=str(tmp_path), settings=LogSettings(file_mode=0o640), target=str(target)
        )
        (group,) = cleaner.run()
        for name in group.segments[0].names:
            assert (target / (name + CLEANED)).stat().st_mode & 0o777 == 0o640
        log = target / (segment_name(0, ".log") + CLEANED)
        assert log.stat().st_mtime_ns == 10**18 + 1
        assert not list(tmp_path.glob("*" + CLEANED))

    def test_what_a_dead_pass_left_is_removed(self):
        world = CleaningWorld()
        world.append(*keyed(b"a"))
        world.roll()
        world.write().put(segment_name(7, ".txnindex") + CLEANED, b"left over")
        next(world.cleaner().run())
        assert not any(name.startswith(segment_name(7, "")) for name in world.files())

    def test_without_a_disk_nothing_is_synced(self):
        world = CleaningWorld()
        world.append(*keyed(b"a"))
        world.roll()
        world.write()
        journal = []
        world.filesystem = MemoryFilesystem(world.filesystem.image(), journal=journal)
        list(world.cleaner(settings=LogSettings(durable=False)).run())
        assert {type(each) for each in journal} == {Link, Write}

    def test_an_output_that_outgrows_its_indexes_is_split(self):
        filesystem = MemoryFilesystem()
        batches = [batch(at * 10, *keyed(b"%d" % at)) for at in range(5)]
        size = len(encode(batches[0]))
        writer = CleanedSegmentWriter(
            filesystem,
            "",
            0,
            modified_ns=1,
            index_interval_bytes=100,
            settings=LogSettings(),
            size_limit=2 * size,
        )
        for each in batches:
            writer.append(encode(each))
        world = CleaningWorld()
        world.log_end = 15
        world.open[3] = 10
        world.end(3, 0, ABORT)
        segments = writer.finish(world.aborted[0])
        assert [(each.base_offset, each.size // size) for each in segments] == [
            (0, 2),
            (20, 2),
            (40, 1),
        ]
        assert [each.next_offset for each in segments] == [11, 31, 41]
        assert [len(each.names) for each in segments] == [4, 3, 3], "the marker is in the first"
        for segment, own in zip(segments, (batches[:2], batches[2:4], batches[4:]), strict=True):
            assert filesystem.read_file("/" + segment.names[0] + CLEANED) == encode(own)
            indexes = tuple(
                filesystem.read_file(f"/{name}{CLEANED}") for name in segment.names[1:3]
            )
            assert indexes == indexes_of(segment.base_offset, own, 100)


class TestTransactions:
    def test_what_was_aborted_goes_and_its_marker_waits_its_time(self):
        world = CleaningWorld(delete_retention_ms="1000")
        world.append(*keyed(b"a"))
        world.produce(1, 0, *keyed(b"a", b"b"))
        world.end(1, 0, ABORT)
        world.append(*keyed(b"c"), producer_id=1, producer_epoch=1, base_sequence=0)
        world.roll()
        world.write().run(NOW)
        assert offsets(world) == [0, 3, 4], "the value before the transaction is the latest again"
        assert [entry.last_offset for entry in world.read_aborted()] == [3]
        for now, left, entries in (
            (NOW, [0, 3, 4], 0),  # its data is gone: from now on its time runs
            (NOW + 999, [0, 3, 4], 0),
            (NOW + 1000, [0, 4], 0),
        ):
            world.checkpoint = 0
            world.run(now)
            assert offsets(world) == left
            assert len(world.read_aborted()) == entries

    def test_a_commit_marker_stays_as_long_as_its_data(self):
        world = CleaningWorld(delete_retention_ms="1000")
        world.produce(1, 0, *keyed(b"a"))
        world.end(1, 0, COMMIT)
        world.append(*keyed(b"b"), producer_id=1, producer_epoch=1, base_sequence=0)
        world.roll()
        world.write().run(NOW)
        assert offsets(world) == [0, 1, 2]
        world.reread()
        world.append(*keyed(b"a"))
        world.roll()
        world.write().run(NOW)
        assert offsets(world) == [1, 2, 3]
        for now in (NOW + 5000, NOW + 6000):  # seen without data: now its time begins, and ends
            world.checkpoint = 0
            world.run(now)
        assert offsets(world) == [2, 3]

    @pytest.mark.parametrize("has_data", [False, True])
    def test_each_marker_is_for_its_own_data(self, has_data):
        world = CleaningWorld()
        for kind in (COMMIT, COMMIT, ABORT, ABORT):
            if has_data:
                world.produce(1, 0, *keyed(b"a"))
            world.end(1, 0, kind)
            world.end(1, 0, kind)
        world.roll()
        world.write().run()
        horizons = [each.has_delete_horizon for each in world.batches_on_disk() if each.is_control]
        assert horizons == [not has_data, True] * 4

    def test_the_last_marker_of_a_live_producer_keeps_its_header(self):
        """It holds the epoch that keeps out the producer's older instances (KIP-890)."""
        world = CleaningWorld(delete_retention_ms="1000")
        world.append(*keyed(b"a"))
        for producer in (1, 2):
            world.end(producer, 0, COMMIT)
            world.end(producer, 1, COMMIT)
        world.append(*keyed(b"b"), producer_id=2, producer_epoch=1, base_sequence=0)
        world.roll()
        for now in (NOW, NOW + 1000):
            world.write().run(now)
            world.reread()
            world.checkpoint = 0
        left = [
            (each.base_offset, each.producer_epoch, each.count) for each in world.batches_on_disk()
        ]
        assert left == [(0, -1, 1), (2, 1, 0), (5, 1, 1)]

    def test_a_marker_far_behind_its_data(self):
        """In the active segment even: the transaction index of every segment counts."""
        world = CleaningWorld()
        world.append(*keyed(b"a"))
        world.produce(1, 0, *keyed(b"a"))
        world.roll()
        world.append(*keyed(b"b"))
        world.roll()
        world.end(1, 0, ABORT)
        world.write().run()
        assert offsets(world) == [0, 2, 3]

    @pytest.mark.parametrize(("kind", "change"), [(ABORT, "missing"), (COMMIT, "invented")])
    def test_an_index_that_the_markers_contradict_ends_the_pass(self, kind, change):
        world = CleaningWorld()
        world.append(*keyed(b"a"))
        world.produce(1, 0, *keyed(b"a"))
        marker = world.end(1, 0, kind)
        world.roll()
        if change == "missing":
            world.aborted.clear()
        else:
            world.open[1] = marker.base_offset - 1
            world.log_end -= 1
            world.aborted[0] = []
            CleaningWorld.end(world, 1, 0, ABORT)
            world.aborted = {0: [world.aborted[max(world.aborted)][-1]._replace(last_offset=2)]}
            world.segments[3] = []
        before = world.write().files()
        with pytest.raises(CorruptDirectoryError, match="txnindex"):
            world.run()
        assert world.files() == before

    def test_an_entry_that_outlived_its_marker_is_not_believed_of_what_came_later(self):
        world = CleaningWorld()
        world.append(*keyed(b"x", b"x"))
        world.produce(1, 0, *keyed(b"a"))
        world.end(1, 0, COMMIT)
        world.roll()
        world.open[1], world.aborted = 0, {}
        world.write()
        stale = CleaningWorld()
        stale.log_end = 1
        stale.open[1] = 0
        stale.end(1, 0, ABORT)
        world.aborted = stale.aborted
        world.open.clear()
        world.write().run()
        assert offsets(world) == [1, 2, 3]
