"""A log's start moves and files go: what expires, in which order, and what stays known."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from streamlog.errors import DiskFullError, OffsetOutOfRangeError
from streamlog.storage import expiry
from streamlog.storage.checkpoints import read_offset_checkpoint
from streamlog.storage.expiry import expire
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.leader_epochs import LeaderEpochs, write_leader_epochs
from streamlog.storage.partition_log import PartitionLog
from streamlog.storage.removal import record_log_starts, remove_hidden
from streamlog.storage.retention import RetentionRules
from tests.storage.folder_builder import zero
from tests.storage.logs import NOW, Machine, append, bases, fill, read

DAY = 24 * 60 * 60 * 1000
EVERYTHING = RetentionRules(retention_bytes=0)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def log(machine: Machine) -> PartitionLog:
    """Five segments; each record is a day younger than the one before."""
    log = machine.open()
    fill(log, 5, timestamp=lambda offset: NOW + offset * DAY)
    return log


def remove(machine: Machine, log: PartitionLog) -> int:
    guard = machine.metadata_log()
    return remove_hidden(log, record_log_starts(guard, [log])[log])


def recorded(machine: Machine) -> dict[tuple[str, int], int]:
    path = f"{machine.root}/log-start-offset-checkpoint"
    return read_offset_checkpoint(machine.filesystem, path)


class TestExpiry:
    def test_whole_segments_go_by_age(self, machine: Machine, log: PartitionLog) -> None:
        starts = bases(log)
        rules = RetentionRules(retention_ms=10 * DAY)
        oldest = NOW + (starts[1] - 1) * DAY  # the youngest record of the first segment
        youngest = NOW + (starts[2] - 1) * DAY  # and of the second
        assert not expire(log, rules, oldest + 10 * DAY)
        assert expire(log, rules, youngest + 10 * DAY)
        assert log.log_start == starts[1], "not older than the limit: just as old"
        assert expire(log, rules, youngest + 10 * DAY + 1)
        assert log.log_start == starts[2]
        assert remove(machine, log) == 2
        assert bases(log) == starts[2:]
        assert read(log) == list(range(starts[2], log.log_end))
        assert not expire(log, rules, youngest + 10 * DAY + 1)

    def test_the_oldest_go_by_size_and_enough_remains(
        self, machine: Machine, log: PartitionLog
    ) -> None:
        sizes = {base: _size(log, base) for base in bases(log)}
        keep = sum(sizes.values()) - sizes[0] - sizes[bases(log)[1]]
        assert expire(log, RetentionRules(retention_bytes=keep), NOW)
        assert log.log_start == bases(log)[2]
        remove(machine, log)
        assert not expire(log, RetentionRules(retention_bytes=keep), NOW)

    def test_when_everything_goes_a_segment_is_begun_first(
        self, machine: Machine, log: PartitionLog
    ) -> None:
        other = machine.open()
        append(other, b"%d." % other.log_end)
        end = log.log_end
        assert expire(log, EVERYTHING, NOW)
        remove(machine, log)
        assert bases(log) == [end]
        assert (log.log_start, log.log_end, read(log)) == (end, end, [])
        assert append(other, b"%d." % end).base_offset == end
        assert read(log) == [end]

    def test_what_is_appended_meanwhile_stays(
        self, machine: Machine, log: PartitionLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other, decided, end = machine.open(), [], log.log_end
        genuine = expiry._first_kept

        def first_kept(*arguments: Any) -> int:
            decided.append(genuine(*arguments))
            if len(decided) == 1:
                append(other, b"%d." % end, timestamp=NOW + 1000 * DAY)
            return decided[-1]

        monkeypatch.setattr(expiry, "_first_kept", first_kept)
        assert expire(log, RetentionRules(retention_ms=DAY), NOW + 500 * DAY)
        assert decided == [end, bases(log)[-1]]
        assert log.log_start == bases(log)[-1]

    def test_without_timestamps_the_file_tells(self, machine: Machine) -> None:
        log = machine.open()
        fill(log, 3, timestamp=lambda _: -1)
        for base in bases(log):
            os.utime(f"{log.directory}/{base:020}.log", (NOW / 1000 + base, NOW / 1000 + base))
        second = bases(log)[1]
        assert expire(log, RetentionRules(retention_ms=0), NOW + second * 1000)
        assert log.log_start == second

    def test_a_wrong_time_index_deletes_nothing_early(
        self, machine: Machine, log: PartitionLog
    ) -> None:
        """Its last entry says that the segment is from 1970."""
        index = Path(log.directory, f"{0:020}.timeindex")
        index.write_bytes(bytes(8) + index.read_bytes()[8:])
        assert not expire(log, RetentionRules(retention_ms=DAY), NOW)

    def test_a_damaged_segment_goes_when_its_file_is_old(
        self, machine: Machine, log: PartitionLog
    ) -> None:
        zero(Path(log.directory, f"{0:020}.log"), 0, _size(log, 0))
        old = NOW / 1000
        os.utime(f"{log.directory}/{0:020}.log", (old, old))
        assert not expire(log, RetentionRules(retention_ms=DAY), NOW + DAY)
        assert expire(log, RetentionRules(retention_ms=DAY), NOW + DAY + 1)

    def test_a_poisoned_partition_is_left_alone(self, machine: Machine, log: PartitionLog) -> None:
        log.advance_log_start(bases(log)[2])
        before = bases(log)
        log._slots.publish_state(log.slot, log.state()._replace(poisoned=5))
        assert not expire(log, EVERYTHING, NOW)
        assert remove_hidden(log, log.log_start) == 0
        assert bases(log) == before


class TestReaders:
    def test_every_process_reads_from_the_new_start_at_once(
        self, machine: Machine, log: PartitionLog
    ) -> None:
        other = machine.open()
        kept = other.fetch(0, 1)
        cursor = kept.cursor
        log.advance_log_start(7)
        for offset, at in ((0, None), (1, cursor), (6, None)):
            with pytest.raises(OffsetOutOfRangeError) as raised:
                other.fetch(offset, 1, at)
            assert raised.value.log_start == 7
        assert read(other)[0] == 7
        remove(machine, log)
        assert read(other)[0] == 7
        assert bytes(kept.view)[61:].count(b".") == 200, "what somebody holds stays valid"

    def test_a_cursor_at_the_end_of_a_segment_that_went(
        self, machine: Machine, log: PartitionLog
    ) -> None:
        other, second = machine.open(), bases(log)[1]
        at = other.fetch(second - 1, 1).cursor
        assert at is not None
        assert (at.offset, at.segment) == (second, 0)
        log.advance_log_start(second)
        remove(machine, log)
        assert other.fetch(second, 1, at).next_offset == second + 1

    def test_times_are_looked_up_among_what_is_left(self, machine: Machine) -> None:
        log = machine.open()
        for offset, timestamp in enumerate((50, 900, 60, 70, 65)):
            append(log, b"%d." % offset, timestamp=timestamp)
        fill(log, 4, timestamp=lambda _: 10)
        found = log.offset_of_max_timestamp()
        assert found is not None
        assert found[:2] == (1, 900)
        log.advance_log_start(2)
        found = log.offset_of_max_timestamp()
        assert found is not None
        assert found[:2] == (3, 70), "of the first segment only a part is left"
        first = log.offset_for_time(0)
        assert first is not None
        assert first.offset == 2
        remove(machine, log)
        log.advance_log_start(bases(log)[2])
        found = log.offset_of_max_timestamp()
        assert found is not None
        assert found[:2] == (bases(log)[2], 10)
        log.advance_log_start(log.log_end)
        assert log.offset_of_max_timestamp() is None
        assert log.offset_for_time(0) is None

    def test_a_largest_timestamp_inside_a_batch_that_is_left_in_part(
        self, machine: Machine
    ) -> None:
        from streamlog.record.kernel import RecordBatchBuilder

        log = machine.open()
        builder = RecordBatchBuilder()
        for timestamp in (100, 30, 40):
            builder.append(timestamp, None, b"", ())
        log.append(builder.build(), now_ms=NOW)
        log.advance_log_start(1)
        found = log.offset_of_max_timestamp()
        assert found is not None
        assert found[:2] == (2, 40)


class TestRemoval:
    def test_the_start_is_recorded_and_stays_recorded(
        self, machine: Machine, log: PartitionLog
    ) -> None:
        log.advance_log_start(bases(log)[2])
        remove(machine, log)
        assert recorded(machine) == {("orders", 0): log.log_start}
        before = bases(log)
        assert remove(machine, log) == 0
        log.advance_log_start(log.log_start + 1)
        remove(machine, log)
        assert recorded(machine) == {("orders", 0): log.log_start}
        assert bases(log) == before

    def test_what_is_beside_a_segment_goes_with_it_and_nothing_else(
        self, machine: Machine, log: PartitionLog
    ) -> None:
        folder = Path(log.directory)
        kept = bases(log)[2]
        stays = [f"{kept:020}.snapshot", f"{kept + 1:020}.snapshot", "notes.txt", f"{0:020}.odd"]
        for name in (f"{0:020}.snapshot", f"{1:020}.99.torn", f"{0:020}.txnindex", *stays):
            (folder / name).touch()
        log.advance_log_start(kept)
        remove(machine, log)
        names = {path.name for path in folder.iterdir()}
        assert names.issuperset(stays)
        assert {name for name in names if name[:20].isdigit() and int(name[:20]) < kept} == {
            f"{0:020}.odd"
        }

    def test_leader_epochs_begin_at_the_start(self, machine: Machine, log: PartitionLog) -> None:
        write_leader_epochs(machine.filesystem, log.directory, LeaderEpochs([(0, 0), (3, 5)]))
        log.advance_log_start(bases(log)[3])
        remove(machine, log)
        assert log.leader_epochs() == LeaderEpochs([(3, bases(log)[0])])

    def test_producers_whose_batches_go_are_still_known(self, machine: Machine) -> None:
        log, other = machine.open(), machine.open()
        producer = {"producer_id": 7, "producer_epoch": 0}
        append(log, b"0.", base_sequence=0, **producer)
        assert append(other, b"1.", base_sequence=1, **producer).base_offset == 1
        fill(log, 4)
        for path in Path(log.directory).glob("*.snapshot"):
            path.unlink()
        log.advance_log_start(bases(log)[2])
        remove(machine, log)
        for each in (log, other, machine.open()):
            outcome = append(each, b"1.", base_sequence=1, **producer)
            assert (outcome.duplicate, outcome.base_offset) == (True, 1)

    def test_where_nobody_is_idempotent_no_segment_is_read(
        self, machine: Machine, log: PartitionLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streamlog.storage.removal.load_producer_state", None)
        log.advance_log_start(bases(log)[2])
        assert remove(machine, log) == 2

    @pytest.mark.parametrize("unlinks", range(9))
    def test_who_dies_half_way_is_succeeded(self, tmp_path: Path, unlinks: int) -> None:
        class Dying(Filesystem):
            left = 1000

            def unlink(self, path: str) -> None:
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt
                super().unlink(path)

        filesystem = Dying()
        machine = Machine(tmp_path, filesystem)
        log = machine.open()
        fill(log, 5)
        kept = bases(log)[3]
        log.advance_log_start(kept)
        filesystem.left = unlinks
        with pytest.raises(KeyboardInterrupt):
            remove(machine, log)
        machine.kill(log)
        filesystem.left = 1000
        other = machine.open()
        assert read(other) == list(range(kept, other.log_end))
        assert expire(other, RetentionRules(), NOW), "the log start rule finds them"
        remove(machine, other)
        assert bases(other)[0] == kept
        assert read(other) == list(range(kept, other.log_end))


class TestFullDisk:
    @pytest.fixture
    def filesystem(self) -> Any:
        class Full(Filesystem):
            """Has no room for a new file until something was removed."""

            is_full = False

            def write_file(self, path: str, data: Any, **settings: Any) -> None:
                if self.is_full:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
                super().write_file(path, data, **settings)

            def unlink(self, path: str) -> None:
                super().unlink(path)
                self.is_full = False

        return Full()

    def test_the_oldest_segment_makes_room(self, tmp_path: Path, filesystem: Any) -> None:
        machine = Machine(tmp_path, filesystem)
        log = machine.open()
        fill(log, 5)
        log.advance_log_start(bases(log)[3])
        filesystem.is_full = True
        remove(machine, log)
        assert bases(log)[0] == log.log_start
        assert recorded(machine) == {("orders", 0): log.log_start}

    def test_where_nothing_can_go_it_says_so(self, tmp_path: Path, filesystem: Any) -> None:
        machine = Machine(tmp_path, filesystem)
        log = machine.open()
        fill(log, 2)
        log.advance_log_start(1)
        filesystem.is_full = True
        with pytest.raises(OSError) as raised:
            remove(machine, log)
        assert raised.value.errno == errno.ENOSPC

    def test_the_segments_before_make_room_for_a_new_one(
        self, machine: Machine, log: PartitionLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def roll(**_: object) -> bool:
            raise DiskFullError("full", path="", errno=errno.ENOSPC)

        monkeypatch.setattr(log, "roll", roll)
        assert expire(log, EVERYTHING, NOW)
        assert log.log_start == bases(log)[-1]
        remove(machine, log)
        with pytest.raises(DiskFullError):
            expire(log, EVERYTHING, NOW)
        monkeypatch.undo()
        assert expire(log, EVERYTHING, NOW)
        assert log.log_start == log.log_end


def _size(log: PartitionLog, base: int) -> int:
    return Path(log.directory, f"{base:020}.log").stat().st_size
