"""What a crash tore off, and what is damaged: which is cut, which is kept, and what is said."""

from __future__ import annotations

import pytest

from streamlog.storage.filesystem import Filesystem
from tests.storage.folder_builder import (
    COMPACTED,
    NOW,
    Folder,
    cut,
    flip,
    three_segments,
    zero,
)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "orders-0")


class TestTorn:
    def test_cut_anywhere_the_whole_batches_survive(self, folder):
        folder.append_many(4)
        whole = folder.file(".log").read_bytes()
        for length in range(len(whole) + 1):
            folder.file(".log").write_bytes(whole[:length])
            found = folder.recover()
            survivors = [placed for placed in folder.batches if placed.end <= length]
            end = survivors[-1].end if survivors else 0
            assert found.state.log_end == 3 * len(survivors)
            assert found.state.end_position == end == folder.file(".log").stat().st_size
            assert found.lost_bytes == length - end
            assert found.lost_tail == (length > end)
            assert found.corrupt is None
            for torn in found.torn_files:
                assert (folder.path / torn).read_bytes() == whole[end:length]
                (folder.path / torn).unlink()

    def test_any_bit_flipped_above_the_mark_ends_the_log_there(self, folder):
        folder.append_many(5, value=b"x" * 20)
        mark = folder.synced_at(2)
        whole = folder.file(".log").read_bytes()
        for position in range(mark.position, len(whole)):
            folder.file(".log").write_bytes(whole)
            flip(folder.file(".log"), position, bit=position % 8)
            found = folder.recover(synced=mark)
            hit = next(placed for placed in folder.batches if placed.end > position)
            within = position - hit.position
            if 12 <= within < 16:
                continue  # the leader epoch: no CRC covers it, and no record is in it
            assert found.state.log_end == hit.base_offset, position
            assert found.corrupt is None
            behind = len(folder.batches) - folder.batches.index(hit) - 1
            # A wrong base offset alone is outside the CRC: that batch counts as good as well.
            assert found.good_batches_behind == behind + (within < 8)
            (folder.path / found.torn_files[0]).unlink()

    def test_good_batches_behind_a_hole_are_counted_and_kept(self, folder):
        folder.append_many(6)
        hole = folder.batches[3]
        zero(folder.file(".log"), hole.position, hole.end)
        tail = folder.file(".log").read_bytes()[hole.position :]
        found = folder.recover(synced=folder.synced_at(3))
        assert found.state.log_end == hole.base_offset
        assert (found.good_batches_behind, found.lost_bytes) == (2, len(tail))
        assert found.torn_files == [f"{0:020d}.{hole.position}.torn"]
        assert (folder.path / found.torn_files[0]).read_bytes() == tail

    def test_later_segments_go_with_the_torn_one(self, folder):
        three_segments(folder)
        torn = folder.batches[8]  # in the second segment: rolled, but synced later
        flip(folder.file(".log", torn.segment), torn.end - 1)
        found = folder.recover(synced=folder.synced_at(2))
        assert found.state.log_end == torn.base_offset
        assert found.state.base_offset == torn.segment
        assert sorted(found.torn_files) == [
            f"{torn.segment:020d}.{torn.position}.torn",
            f"{folder.segment:020d}.0.torn",
        ]
        assert found.good_batches_behind == 3 + 6
        assert folder.good_offsets() == [placed.base_offset for placed in folder.batches[:8]]
        assert not folder.file(".index").exists()

    def test_a_segment_that_lost_its_size_takes_the_later_ones_with_it(self, folder):
        three_segments(folder)
        kept = folder.batches[9]
        cut(folder.file(".log", kept.segment), kept.end)
        found = folder.recover(synced=folder.synced_at(3))
        assert found.state.log_end == kept.next_offset
        assert found.lost_tail

    def test_an_empty_segment_behind_a_gap_still_says_that_something_was_lost(self, folder):
        folder.append_many(6)
        folder.roll()
        cut(folder.file(".log", 0), folder.batches[3].end)
        found = folder.recover()
        assert found.state.log_end == folder.batches[3].next_offset
        assert (found.lost_bytes, found.lost_tail) == (0, True)

    def test_a_roll_that_was_given_up_is_no_loss(self, folder):
        folder.append_many(3)
        (folder.path / f"{folder.next_offset:020d}.log").touch()
        folder.append_many(3)
        folder.close()
        folder.roll()
        folder.append_many(2)
        folder.close()
        found = folder.recover()
        assert found.state.log_end == folder.next_offset
        assert not found.lost_tail
        assert found.corrupt is None
        assert folder.good_offsets() == [placed.base_offset for placed in folder.batches]

    def test_gaps_are_legal_where_compaction_makes_them(self, folder):
        folder.append_many(3)
        folder.roll(folder.next_offset + 50)
        folder.append(offset=folder.next_offset + 60)
        found = folder.recover(config=COMPACTED, cleaner_offset=folder.next_offset)
        assert found.state.log_end == folder.next_offset
        assert not found.lost_tail

    def test_gaps_behind_what_was_compacted_are_what_a_crash_left(self, folder):
        folder.append_many(3)
        end = folder.next_offset
        folder.roll(end + 50)
        folder.append(offset=end + 60)
        found = folder.recover(config=COMPACTED, cleaner_offset=end)
        assert found.state.log_end == end
        assert found.lost_tail

    def test_the_second_crash_at_one_place_keeps_both_tails(self, folder):
        folder.append_many(3)
        first = folder.recover(synced=folder.synced_at(3))
        assert not first.lost_tail
        for number in range(2):
            with folder.file(".log").open("ab") as log:
                log.write(b"torn %d" % number * 20)
            found = folder.recover(synced=folder.synced_at(3))
            assert found.state.log_end == 9
        kept = sorted(path.read_bytes()[:6] for path in folder.path.glob("*.torn"))
        assert kept == [b"torn 0", b"torn 1"]

    def test_snapshots_of_what_was_cut_are_removed(self, folder):
        folder.append_many(4)
        for offset in (6, 12):
            folder.path.joinpath(f"{offset:020d}.snapshot").write_bytes(
                bytes.fromhex("000148674bc700000000")
            )
        cut(folder.file(".log"), folder.batches[3].end - 1)
        folder.recover()
        assert [path.name for path in folder.path.glob("*.snapshot")] == [f"{6:020d}.snapshot"]


class TestCorrupt:
    def test_damage_below_the_mark_is_named_and_nothing_is_cut(self, folder):
        folder.append_many(6)
        damaged = folder.batches[2]
        zero(folder.file(".log"), damaged.position, damaged.position + 61)
        before = folder.file(".log").read_bytes()
        found = folder.recover(synced=folder.synced_end)
        assert folder.file(".log").read_bytes() == before
        assert found.state.log_end == folder.next_offset
        assert found.state.end_position == len(before)
        error = found.corrupt
        assert error is not None
        assert (error.topic, error.partition) == ("orders", 0)
        assert (error.position, error.offset) == (damaged.position, damaged.base_offset)
        assert error.next_offset == damaged.next_offset
        assert error.file == str(folder.file(".log"))
        assert not found.lost_tail

    @pytest.mark.parametrize("by", ["synced end", "recovery point"])
    def test_a_torn_batch_behind_damage_is_still_cut(self, folder, by):
        folder.append_many(6)
        damaged, torn = folder.batches[1], folder.batches[5]
        flip(folder.file(".log"), damaged.position + 16)
        flip(folder.file(".log"), torn.end - 1)
        mark = folder.synced_at(4)
        found = folder.recover(
            synced=mark if by == "synced end" else None,
            recovery_point=mark.offset if by == "recovery point" else 0,
        )
        assert found.corrupt is not None
        assert found.corrupt.offset == damaged.base_offset
        assert found.state.log_end == torn.base_offset
        assert found.lost_bytes == torn.size

    def test_a_file_shorter_than_the_mark_is_damage_and_the_offsets_are_not_used_again(
        self, folder
    ):
        folder.append_many(6)
        cut(folder.file(".log"), folder.batches[3].end)
        found = folder.recover(recovery_point=folder.next_offset)
        assert found.corrupt is not None
        assert found.corrupt.offset == folder.batches[3].next_offset
        assert found.state.log_end == found.state.base_offset == folder.next_offset
        assert folder.file(".log", folder.next_offset).stat().st_size == 0
        again = folder.recover(recovery_point=folder.next_offset)
        assert again.state == found.state
        assert folder.good_offsets() == [placed.base_offset for placed in folder.batches[:4]]

    def test_unreadable_to_the_end_appends_go_on_in_a_new_segment(self, folder):
        folder.append_many(6)
        zero(folder.file(".log"), folder.batches[4].position, folder.batches[5].end)
        before = folder.file(".log").read_bytes()
        found = folder.recover(synced=folder.synced_end)
        assert found.corrupt is not None
        assert found.corrupt.next_offset is None
        assert found.state.base_offset == found.state.log_end == folder.next_offset
        assert folder.file(".log", 0).read_bytes() == before

    def test_a_folder_without_segments_goes_on_at_the_mark(self, folder):
        folder.file(".log").unlink()
        found = folder.recover(recovery_point=40)
        assert found.corrupt is not None
        assert found.state.log_end == found.state.base_offset == 40
        assert folder.file(".log", 40).exists()

    def test_damage_beside_a_snapshot_is_reported_not_raised(self, folder):
        folder.append_many(3, producer_id=1, producer_epoch=0, base_sequence=0, transactional=True)
        snapshot = folder.path / f"{6:020d}.snapshot"
        snapshot.write_bytes(bytes.fromhex("000148674bc700000000"))
        folder.append_many(3)
        zero(folder.file(".log"), folder.batches[2].position, folder.batches[5].end)
        found = folder.recover(synced=folder.synced_end)
        assert found.corrupt is not None
        assert any("transactions" in problem for problem in found.problems)

    def test_segments_behind_an_unreadable_end_are_kept(self, folder):
        three_segments(folder)
        mark = folder.synced_at(5)
        first, last = folder.batches[3], folder.batches[5]
        zero(folder.file(".log", 0), first.position, last.end)
        found = folder.recover(synced=mark)
        assert found.corrupt is not None
        assert found.corrupt.offset == first.base_offset
        assert found.state.log_end == folder.next_offset
        assert found.torn_files == []

    def test_what_looks_like_a_batch_but_does_not_check_is_not_gone_on_from(self, folder):
        folder.append_many(6)
        damaged = folder.batches[1]
        flip(folder.file(".log"), damaged.position + 16)
        flip(folder.file(".log"), folder.batches[2].end - 1)
        found = folder.recover(synced=folder.synced_end)
        assert found.corrupt is not None
        assert found.corrupt.next_offset == folder.batches[3].base_offset

    def test_a_flip_below_the_mark_in_the_records_is_left_for_readers(self, folder):
        folder.append_many(4)
        flip(folder.file(".log"), folder.batches[1].end - 1)
        found = folder.recover(synced=folder.synced_end)
        assert (found.state.log_end, found.lost_bytes) == (12, 0)

    def test_a_missing_folder_is_damage_only_if_something_was_durable(self, folder):
        missing = Folder.__new__(Folder)
        missing.path = folder.path.parent / "gone-0"
        assert missing.recover().corrupt is None
        found = missing.recover(recovery_point=7)
        assert found.corrupt is not None
        assert found.state.log_end == 7

    def test_messages_of_old_formats_are_never_cut(self, folder):
        import struct
        import zlib

        folder.append_many(2)
        body = b"\x01\x00" + struct.pack(">q", NOW) + struct.pack(">ii", -1, 1) + b"v"
        message = struct.pack(">I", zlib.crc32(body)) + body
        with folder.file(".log").open("ab") as log:
            log.write(struct.pack(">qi", 6, len(message)) + message)
        before = folder.file(".log").read_bytes()
        found = folder.recover()
        assert found.corrupt is not None
        assert folder.file(".log", 0).read_bytes() == before


class TestCrashDuringRecovery:
    """Every call that changes the disk is the last one, once; then recovery runs again."""

    def test_the_outcome_is_the_same(self, tmp_path):
        for number in range(200):
            folder = Folder(tmp_path / f"orders-{number}")
            three_segments(folder)
            torn = folder.batches[8]
            flip(folder.file(".log", torn.segment), torn.end - 1)
            tail = folder.file(".log", torn.segment).read_bytes()[torn.position :]
            later = folder.file(".log").read_bytes()
            dying = DyingFilesystem(number)
            crashed = False
            try:
                folder.recover(synced=folder.synced_at(2), filesystem=dying)
            except KillError:
                crashed = True
            found = folder.recover(synced=folder.synced_at(2))
            assert found.state.log_end == torn.base_offset
            assert folder.good_offsets() == [placed.base_offset for placed in folder.batches[:8]]
            kept = [path.read_bytes() for path in folder.path.glob("*.torn")]
            assert tail in kept
            assert later in kept
            if not crashed:
                assert number > 10
                return
        pytest.fail("recovery never ended")


class KillError(BaseException):
    pass


class DyingFilesystem(Filesystem):
    """Dies at the n-th call that changes something."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def _step(self) -> None:
        if self._left == 0:
            raise KillError
        self._left -= 1

    def pwrite(self, descriptor, data, position):
        self._step()
        return super().pwrite(descriptor, data, position)

    def truncate(self, descriptor, length):
        self._step()
        super().truncate(descriptor, length)

    def rename(self, source, destination):
        self._step()
        super().rename(source, destination)

    def unlink(self, path):
        self._step()
        super().unlink(path)

    def sync_directory(self, path):
        self._step()
        super().sync_directory(path)
