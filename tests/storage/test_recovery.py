"""Opening a partition: what survives which crash, and what is said about the rest."""

from __future__ import annotations

import random

import pytest

from streamlog.storage.filesystem import Filesystem
from streamlog.storage.leader_epochs import LeaderEpochs
from streamlog.storage.producer_snapshot import encode_snapshot
from streamlog.storage.producer_state import ProducerStateTable
from streamlog.storage.shared import PartitionState, SyncedEnd
from tests.storage.folder_builder import (
    NOW,
    Folder,
    contents,
    cut,
    expected_indexes,
    flip,
    three_segments,
)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "orders-0")


class TestCleanlyClosed:
    def test_the_state_is_the_files(self, folder):
        folder.append_many(40)
        folder.close()
        found = folder.recover(clean=True, recovery_point=folder.next_offset)
        last = folder.batches[-1]
        offsets, times = expected_indexes(0, folder.batches, sealed=False)
        state = found.state
        assert (state.log_start, state.log_end, state.end_position) == (0, 120, last.end)
        assert (state.high_watermark, state.last_stable_offset) == (120, 120)
        assert state.first_timestamp == NOW
        assert (state.largest_timestamp, state.largest_timestamp_offset) == (NOW + 117, 119)
        assert (state.offset_index_size, state.time_index_size) == (len(offsets), len(times))
        assert found.synced == SyncedEnd(0, last.end, 120)
        assert found.corrupt is None
        assert not found.lost_tail
        assert found.problems == []

    def test_both_ways_of_opening_agree(self, folder):
        three_segments(folder, batches=50)
        clean = folder.recover(clean=True, recovery_point=folder.next_offset)
        unclean = folder.recover(synced=folder.synced_end)
        ignored = {"producer_batch_end": 0, "leader_epoch": 0}
        assert clean.state._replace(**ignored) == unclean.state._replace(**ignored)
        assert clean.synced == unclean.synced

    def test_it_changes_nothing(self, folder):
        three_segments(folder)
        before = contents(folder.path)
        folder.recover(clean=True, recovery_point=folder.next_offset)
        assert contents(folder.path) == before

    def test_a_closed_time_index_gives_the_largest_timestamp(self, folder):
        folder.append(timestamp=NOW + 5000)
        folder.append_many(60)
        folder.write_indexes(sealed=True)
        state = folder.recover(clean=True, recovery_point=folder.next_offset).state
        assert (state.largest_timestamp, state.largest_timestamp_offset) == (NOW + 5000, 2)
        assert state.last_time_index_timestamp == NOW + 5000

    @pytest.mark.parametrize("what", ["tail", "index", "missing index", "recovery point"])
    def test_a_close_that_was_not_clean_is_found_out(self, folder, what):
        folder.append_many(60)
        folder.close()
        point = folder.next_offset
        if what == "tail":
            with folder.file(".log").open("ab") as log:
                log.write(b"half a batch")
        elif what == "index":
            flip(folder.file(".index"), folder.file(".index").stat().st_size - 1)
        elif what == "missing index":
            folder.file(".index").unlink()
        else:
            folder.append_many(2)  # a broker wrote meanwhile
            point = folder.batches[-3].next_offset
        found = folder.recover(clean=True, recovery_point=point)
        assert found.state.log_end == folder.next_offset
        assert folder.good_offsets() == [placed.base_offset for placed in folder.batches]
        assert (
            folder.file(".index").read_bytes()
            == expected_indexes(0, folder.batches, sealed=False)[0]
        )

    def test_what_is_behind_the_recovery_point_has_to_check(self, folder):
        folder.append_many(4)
        folder.close()
        torn = folder.batches[3]
        flip(folder.file(".log"), torn.end - 1)
        found = folder.recover(clean=True, recovery_point=torn.base_offset)
        assert found.state.log_end == torn.base_offset

    def test_the_last_index_entry_has_to_be_true(self, folder):
        folder.append_many(60)
        folder.close()
        index = folder.file(".index")
        right = index.read_bytes()
        flip(index, len(right) - 8 + 3)  # its offset
        folder.recover(clean=True, recovery_point=folder.next_offset)
        assert index.read_bytes() == right

    def test_preallocated_zeros_of_a_broker_are_cut_off(self, folder):
        folder.append_many(60)
        folder.file(".index").write_bytes(bytes(4096))
        folder.file(".timeindex").write_bytes(bytes(4092))
        end = folder.file(".log").stat().st_size
        with folder.file(".log").open("ab") as log:
            log.truncate(end + 8192)
        found = folder.recover()
        assert found.state.end_position == end == folder.file(".log").stat().st_size
        assert found.torn_files == []
        offsets, times = expected_indexes(0, folder.batches, sealed=False)
        assert folder.file(".index").read_bytes() == offsets
        assert folder.file(".timeindex").read_bytes() == times

    def test_an_empty_partition(self, folder):
        folder.close()
        assert folder.recover(clean=True).state.log_end == 0
        assert folder.recover().state.log_end == 0


class TestLogStart:
    def test_the_checkpoint_moves_the_start(self, folder):
        three_segments(folder)
        state = folder.recover(clean=True, recovery_point=folder.next_offset, log_start=20).state
        assert state.log_start == 20

    def test_a_start_behind_the_end_begins_a_segment_there(self, folder):
        folder.append_many(2)
        found = folder.recover(log_start=100)
        assert (found.state.log_start, found.state.log_end, found.state.base_offset) == (
            100,
            100,
            100,
        )
        again = folder.recover(log_start=100).state
        assert again == found.state._replace(producer_batch_end=again.producer_batch_end)
        assert [path.name for path in folder.path.glob("*.log")] == [f"{100:020d}.log"]

    @pytest.mark.parametrize("clean", [True, False])
    def test_what_lies_below_it_goes(self, folder, clean):
        three_segments(folder)
        folder.path.joinpath(f"{0:020d}.7.torn").touch()
        for offset in (0, 5, folder.bases[1], folder.bases[2]):
            folder.path.joinpath(f"{offset:020d}.snapshot").write_bytes(
                encode_snapshot(ProducerStateTable())
            )
        start = folder.bases[2] + 1
        end = folder.next_offset
        state = folder.recover(clean=clean, recovery_point=end, log_start=start).state
        assert (state.log_start, state.log_end) == (start, end)
        stems = {path.name[:20] for path in folder.path.iterdir() if path.name[0] == "0"}
        assert stems == {f"{folder.bases[2]:020d}"}

    @pytest.mark.parametrize("gone", [[0], [1], [0, 1]])
    def test_a_removal_that_reached_the_disk_in_part_is_finished(self, folder, gone):
        """Whichever files a power cut took: no damage, nothing missing from the start on."""
        three_segments(folder)
        for number in gone:
            folder.file(".log", folder.bases[number]).unlink()
        found = folder.recover(log_start=folder.bases[2])
        assert (found.state.log_start, found.state.log_end) == (
            folder.bases[2],
            folder.next_offset,
        )
        assert found.problems == []
        assert found.corrupt is None

    def test_the_first_segment_bounds_it_from_below(self, tmp_path):
        folder = Folder(tmp_path / "late-0", first_offset=500)
        folder.append_many(2)
        assert folder.recover().state.log_start == 500


class TestBelievedSlot:
    def state(self, folder):
        return folder.recover(clean=True, recovery_point=folder.next_offset).state._replace(
            generation=7, path_generation=3
        )

    def test_only_the_unpublished_tail_is_cut(self, folder):
        folder.append_many(60)
        folder.close()
        published = self.state(folder)
        folder.append_many(1)
        with folder.file(".index").open("ab") as index:
            index.write(b"unpublished")
        found = folder.recover(slot_state=published, synced=folder.synced_at(10))
        assert found.state == published
        assert found.synced == folder.synced_at(10)
        assert folder.file(".log").stat().st_size == published.end_position
        assert folder.file(".index").stat().st_size == published.offset_index_size

    def test_nothing_is_scanned(self, folder):
        folder.append_many(3)
        folder.close()
        published = self.state(folder)
        flip(folder.file(".log"), folder.batches[1].end - 1)
        found = folder.recover(slot_state=published)
        assert found.state == published

    def test_an_unfinished_roll_is_undone(self, folder):
        folder.append_many(3)
        folder.close()
        published = self.state(folder)
        folder.file(".log", folder.next_offset).touch()
        assert folder.recover(slot_state=published).state == published
        assert not folder.file(".log", 9).exists()

    @pytest.mark.parametrize("what", ["shorter", "another segment", "index", "no file"])
    def test_files_that_do_not_bear_it_out_are_scanned(self, folder, what):
        folder.append_many(60)
        folder.close()
        published = self.state(folder)
        expected_end = folder.next_offset
        if what == "shorter":
            cut(folder.file(".log"), folder.batches[-1].position)
            expected_end = folder.batches[-1].base_offset
        elif what == "another segment":
            folder.roll()
            folder.append_many(2)
            expected_end = folder.next_offset
        elif what == "index":
            folder.file(".index").write_bytes(b"")
        else:
            folder.file(".log").unlink()
            expected_end = 0
        found = folder.recover(slot_state=published)
        assert found.state.log_end == expected_end
        assert found.state.generation > published.generation or what == "no file"


class TestPoisoned:
    def test_what_lies_past_the_synced_end_is_written_anew(self, folder):
        three_segments(folder)
        poisoned = folder.recover(clean=True, recovery_point=folder.next_offset).state._replace(
            poisoned=5, path_generation=2
        )
        before = contents(folder.path)
        inodes = {path.name: path.stat().st_ino for path in folder.path.glob("*.log")}
        found = folder.recover(slot_state=poisoned, synced=folder.synced_at(8))
        assert found.state.poisoned == 0
        assert found.state.path_generation == 3
        assert found.synced.offset == found.state.log_end == folder.next_offset
        assert found.lost_tail
        assert found.lost_bytes == 0
        after = contents(folder.path)
        assert {name: data for name, data in after.items() if name.endswith(".log")} == {
            name: data for name, data in before.items() if name.endswith(".log")
        }
        changed = {
            path.name
            for path in folder.path.glob("*.log")
            if path.stat().st_ino != inodes[path.name]
        }
        assert changed == {f"{18:020d}.log", f"{36:020d}.log"}

    def test_a_poisoned_slot_is_not_believed_over_the_files(self, folder):
        folder.append_many(4)
        folder.close()
        poisoned = PartitionState(log_end=12, end_position=folder.batches[-1].end, poisoned=5)
        flip(folder.file(".log"), folder.batches[3].end - 1)
        found = folder.recover(slot_state=poisoned, synced=folder.synced_at(2))
        assert found.state.log_end == folder.batches[3].base_offset
        assert found.state.poisoned == 0


class TestIndexes:
    @pytest.mark.parametrize("what", ["stale", "missing", "flipped", "garbage"])
    def test_they_are_rebuilt_byte_for_byte(self, folder, what):
        three_segments(folder, batches=80)
        expected = {name: data for name, data in contents(folder.path).items() if "index" in name}
        rng = random.Random(1)
        for path in folder.path.glob("*index"):
            data = path.read_bytes()
            if what == "stale":
                path.write_bytes(data[: len(data) // 2])
            elif what == "missing":
                path.unlink()
            elif what == "flipped":
                flip(path, rng.randrange(len(data)))
            else:
                path.write_bytes(rng.randbytes(len(data) + 5))
        folder.recover()
        found = {name: data for name, data in contents(folder.path).items() if "index" in name}
        assert found == expected

    def test_of_segments_that_are_read_in_pieces(self, folder):
        for size in (100, 700_000, 3_000_000, 50, 1_100_000):
            folder.append_many(3, records=1, value=b"v" * size)
        folder.append(producer_id=3, producer_epoch=0, base_sequence=0)
        found = folder.recover()
        assert found.state.log_end == folder.next_offset
        assert found.state.end_position == folder.batches[-1].end
        offsets, times = expected_indexes(0, folder.batches, sealed=False)
        assert folder.file(".index").read_bytes() == offsets
        assert folder.file(".timeindex").read_bytes() == times

    def test_missing_ones_below_the_mark_too(self, folder):
        three_segments(folder, batches=80)
        expected = folder.file(".index", 0).read_bytes()
        folder.file(".index", 0).unlink()
        folder.recover(synced=folder.synced_end)
        assert folder.file(".index", 0).read_bytes() == expected


class TestEpochs:
    def write(self, folder, text):
        (folder.path / "leader-epoch-checkpoint").write_text(text)

    def test_they_come_back_from_the_batches(self, folder):
        folder.append_many(2, epoch=1)
        folder.append_many(2, epoch=4)
        found = folder.recover()
        assert found.epochs == LeaderEpochs([(1, 0), (4, 6)])
        assert found.state.leader_epoch == 4
        text = (folder.path / "leader-epoch-checkpoint").read_text()
        assert text == "0\n2\n1 0\n4 6\n"

    def test_those_behind_a_cut_are_forgotten_and_the_one_at_it_is_kept(self, folder):
        folder.append_many(2, epoch=1)
        folder.append_many(2, epoch=4)
        folder.append(epoch=5)
        self.write(folder, "0\n3\n1 0\n4 6\n5 12\n")
        cut(folder.file(".log"), folder.batches[2].end - 1)
        found = folder.recover()
        assert found.epochs == LeaderEpochs([(1, 0), (4, 6)])
        assert found.state.leader_epoch == 4, "an epoch that was begun is not begun again"

    def test_a_file_that_makes_no_sense_is_rebuilt_and_reported(self, folder):
        folder.append_many(2, epoch=3)
        self.write(folder, "0\n7\n1 0\n")
        found = folder.recover(clean=True, recovery_point=6)
        assert found.epochs == LeaderEpochs([(3, 0)])
        assert any("leader" in problem for problem in found.problems)


class TestProducers:
    def test_the_last_producer_batch_is_remembered(self, folder):
        folder.append()
        folder.append(producer_id=5, producer_epoch=0, base_sequence=0)
        folder.append()
        assert folder.recover().state.producer_batch_end == 6

    def test_an_open_transaction_holds_the_last_stable_offset(self, folder):
        folder.append()
        folder.append(producer_id=5, producer_epoch=0, base_sequence=0, transactional=True)
        folder.append()
        assert folder.recover().state.last_stable_offset == 3


class TestFailingSync:
    def test_the_partition_starts_poisoned_and_the_mark_stays(self, folder):
        class Failing(Filesystem):
            def fdatasync(self, descriptor):
                raise OSError(5, "the disk is gone")

        folder.append_many(3)
        found = folder.recover(synced=folder.synced_at(1), filesystem=Failing())
        assert found.state.poisoned == 5
        assert found.synced == folder.synced_at(1)
