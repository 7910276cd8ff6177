"""The append path, in both kernels: one conformance suite, and the kernels against each other."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from streamlog.storage import append_outcome as codes
from streamlog.storage.shared import FLAG_DELETED, SLOT_FLAGS, SLOT_INTENDED_END
from tests.storage.writers import Partition, batch, compiled_available

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG = "00000000000000000000.log"
KERNELS = ["pure", "compiled"] if compiled_available() else ["pure"]


@pytest.fixture(params=KERNELS)
def partition(request: pytest.FixtureRequest, tmp_path: Path) -> Partition:
    return Partition(tmp_path, request.param)


def append_all(writer: Any, *batches: bytearray) -> list[int]:
    """Append each; the base offsets they got."""
    results = [writer.append(each) for each in batches]
    assert [result.code for result in results] == [codes.OK] * len(batches)
    return [result.base_offset for result in results]


class TestAppending:
    def test_offsets_follow_each_other_and_the_bytes_are_the_producers(
        self, partition: Partition
    ) -> None:
        first, second = batch(3), batch(2, timestamp=2000)
        assert append_all(partition.writer(), first, second) == [0, 3]
        assert partition.read(LOG) == bytes(first + second)
        assert int.from_bytes(second[:8], "big") == 3
        assert partition.state.log_end == partition.state.high_watermark == 5

    def test_several_batches_go_in_with_one_call(self, partition: Partition) -> None:
        three = batch(2) + batch(3) + batch(1)
        result = partition.writer().append(three)
        assert (result.base_offset, result.next_offset) == (0, 6)
        assert partition.read(LOG) == bytes(three)

    @pytest.mark.parametrize("cut", [0, 1, 60, 61, 100, -1])
    def test_bytes_that_are_not_whole_batches_are_refused(
        self, partition: Partition, cut: int
    ) -> None:
        result = partition.writer().append(batch(3)[:cut])
        assert result.code == codes.MALFORMED
        assert partition.read(LOG) == b""

    def test_the_leader_epoch_of_the_slot_is_stamped(self, partition: Partition) -> None:
        partition.slots.publish_state(partition.slot, partition.state._replace(leader_epoch=7))
        append_all(partition.writer(), batch())
        assert int.from_bytes(partition.read(LOG)[12:16], "big") == 7

    def test_the_bell_is_rung(self, partition: Partition) -> None:
        before = partition.slots.map.bell()
        append_all(partition.writer(), batch())
        assert partition.slots.map.bell() != before


class TestConditions:
    def test_an_expected_end_that_holds(self, partition: Partition) -> None:
        writer = partition.writer()
        assert writer.append(batch(3), 0).code == codes.OK
        assert writer.append(batch(3), 3).code == codes.OK

    def test_an_expected_end_that_does_not(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        result = writer.append(batch(), 2)
        assert (result.code, result.base_offset) == (codes.NOT_AT_EXPECTED_END, 3)
        assert partition.state.log_end == 3

    def test_a_batch_of_a_producer_since_the_caught_up_end(self, partition: Partition) -> None:
        mine, other = partition.writer(), partition.writer()
        append_all(other, batch(2, producer_id=9))
        assert mine.append(batch(producer_id=8), -1, 0).code == codes.BEHIND_PRODUCERS
        assert mine.append(batch(producer_id=8), -1, 2).code == codes.OK

    def test_batches_without_producers_do_not_break_it(self, partition: Partition) -> None:
        mine, other = partition.writer(), partition.writer()
        append_all(other, batch(2))
        assert mine.append(batch(producer_id=8), -1, 0).code == codes.OK

    def test_a_deleted_topic(self, partition: Partition) -> None:
        first = partition.slots.map.cover(partition.slot)
        partition.slots.map.words[first + SLOT_FLAGS] |= FLAG_DELETED
        assert partition.writer().append(batch()).code == codes.DELETED

    def test_a_poisoned_partition(self, partition: Partition) -> None:
        partition.slots.publish_state(partition.slot, partition.state._replace(poisoned=5))
        result = partition.writer().append(batch())
        assert (result.code, result.detail) == (codes.POISONED, 5)


class TestRolling:
    def test_a_full_segment_is_followed_by_one_at_the_log_end(self, partition: Partition) -> None:
        one = batch(3)
        writer = partition.writer(segment_bytes=2 * len(one))
        append_all(writer, one, batch(3), batch(3))
        assert partition.state.base_offset == 6
        assert partition.read(LOG)[: len(one)] == bytes(one)
        assert len(partition.read("00000000000000000006.log")) == len(one)

    def test_the_sealed_time_index_ends_with_the_largest_timestamp(
        self, partition: Partition
    ) -> None:
        one = batch(3, timestamp=5000)
        writer = partition.writer(segment_bytes=len(one))
        append_all(writer, one, batch(3, timestamp=1))
        entry = partition.read("00000000000000000000.timeindex")
        assert entry == (5002).to_bytes(8, "big") + (2).to_bytes(4, "big")

    def test_event_time_rolls_too(self, partition: Partition) -> None:
        writer = partition.writer()
        writer.segment_ms = 1000
        append_all(writer, batch(timestamp=0), batch(timestamp=1000), batch(timestamp=1001))
        assert partition.state.base_offset == 2

    def test_a_random_part_of_the_age_is_the_same_for_every_writer(
        self, partition: Partition
    ) -> None:
        """Each segment's age limit is drawn from 1 to 1,000 ms; whoever looks draws the same."""
        writers = [partition.writer() for _ in range(2)]
        for writer in writers:
            writer.segment_ms = writer.segment_jitter_ms = 1000
        bases = []
        for number in range(3000):
            writer = writers[number % 2]
            while writer.append(batch(timestamp=number * 10)).code == codes.STALE:
                partition.attach(writer)
            bases.append(partition.state.base_offset)
        lengths = [bases.count(base) for base in sorted(set(bases))][:-1]
        assert 20 < len(lengths) < 1000
        assert max(lengths) <= 101
        assert len(set(lengths)) > 15

    def test_more_than_a_segment_is_refused(self, partition: Partition) -> None:
        one = batch(3)
        result = partition.writer(segment_bytes=len(one) - 1).append(batch() + one)
        assert (result.code, result.detail) == (codes.TOO_LARGE, len(one))

    def test_batches_that_are_more_than_a_segment_together_get_one(
        self, partition: Partition
    ) -> None:
        one = batch(3)
        writer = partition.writer(segment_bytes=len(one))
        append_all(writer, batch(3), batch(3) + batch(3) + batch(3), batch(3))
        assert sorted(name for name in partition.files() if name.endswith(".log")) == [
            f"{base:020}.log" for base in (0, 3, 12)
        ]
        assert len(partition.read(f"{3:020}.log")) == 3 * len(one)

    def test_another_process_finds_its_files_stale_and_goes_on(self, partition: Partition) -> None:
        one = batch(3)
        mine = partition.writer(segment_bytes=len(one))
        other = partition.writer(segment_bytes=len(one))
        append_all(mine, one, batch(3))
        assert other.append(batch(3)).code == codes.STALE
        partition.attach(other)
        assert append_all(other, batch(3)) == [6]

    def test_a_name_that_is_taken_by_a_dead_writer_is_begun_anew(
        self, partition: Partition
    ) -> None:
        one = batch(3)
        path = f"{partition.directory}/00000000000000000003.log"
        partition.filesystem.write_file(path, b"left over")
        append_all(partition.writer(segment_bytes=len(one)), one, batch(3))
        assert len(partition.read("00000000000000000003.log")) == len(one)


class TestRollingByHand:
    def test_a_new_segment_begins_at_the_end(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3, timestamp=5000))
        before = partition.state
        assert writer.roll(-1, 77) == (codes.OK, 3, 3, True, 0)
        after = partition.state
        assert (after.base_offset, after.end_position, after.log_end) == (3, 0, 3)
        assert (after.generation, after.created_ms) == (before.generation + 1, 77)
        assert partition.read("00000000000000000003.log") == b""
        last_entry = (5002).to_bytes(8, "big") + (2).to_bytes(4, "big")
        assert partition.read("00000000000000000000.timeindex") == last_entry
        assert append_all(writer, batch()) == [3]

    def test_an_empty_segment_stays(self, partition: Partition) -> None:
        writer = partition.writer()
        assert writer.roll() == (codes.OK, 0, 0, False, 0)
        append_all(writer, batch(3))
        assert writer.roll().rolled
        state = partition.state
        assert writer.roll() == (codes.OK, 3, 3, False, 0)
        assert partition.state == state

    def test_only_if_the_log_ends_there(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        assert writer.roll(2) == (codes.NOT_AT_EXPECTED_END, 3, 3, False, 0)
        assert partition.state.base_offset == 0
        assert writer.roll(3).rolled

    def test_not_where_nothing_may_be_written(self, partition: Partition) -> None:
        mine, other = partition.writer(), partition.writer()
        append_all(mine, batch(3))
        assert mine.roll().rolled
        assert other.roll().code == codes.STALE
        partition.slots.publish_state(partition.slot, partition.state._replace(poisoned=5))
        assert mine.roll()[0::4] == (codes.POISONED, 5)
        partition.slots.mark_deleted(partition.slot)
        assert mine.roll().code == codes.DELETED

    def test_what_a_dead_roll_left_is_taken_away_first(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        first = partition.slots.map.cover(partition.slot)
        partition.slots.map.words[first + SLOT_INTENDED_END] = -1 - 9
        partition.filesystem.write_file(f"{partition.directory}/{9:020d}.log", b"")
        assert writer.roll().rolled
        assert {name for name in partition.files() if name.endswith(".log")} == {
            LOG,
            "00000000000000000003.log",
        }


class TestLogStart:
    def test_it_moves_forward_only(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3), batch(3))
        before = partition.state
        assert writer.advance_log_start(4) == (codes.OK, 4, 0)
        assert partition.state == before._replace(log_start=4, generation=before.generation + 1)
        assert writer.advance_log_start(4) == writer.advance_log_start(1) == (codes.OK, 4, 0)
        assert partition.state.generation == before.generation + 1
        assert append_all(writer, batch()) == [6]
        assert partition.state.log_start == 4

    def test_not_behind_the_high_watermark(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        assert writer.advance_log_start(4) == (codes.BEHIND_HIGH_WATERMARK, 0, 3)
        assert writer.advance_log_start(3) == (codes.OK, 3, 0)

    def test_an_open_transaction_does_not_begin_before_it(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        partition.slots.publish_state(
            partition.slot, partition.state._replace(last_stable_offset=1)
        )
        assert writer.advance_log_start(2).code == codes.OK
        assert partition.state.last_stable_offset == 2

    def test_not_where_nothing_may_be_changed(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        partition.slots.publish_state(partition.slot, partition.state._replace(poisoned=5))
        assert writer.advance_log_start(1) == (codes.POISONED, 0, 5)
        partition.slots.mark_deleted(partition.slot)
        assert writer.advance_log_start(1) == (codes.DELETED, 0, 0)


class TestDeadWriters:
    def test_what_a_dead_writer_left_is_cut_before_anything_is_appended(
        self, partition: Partition
    ) -> None:
        append_all(partition.writer(), batch(3))
        end = partition.state.end_position
        descriptor = partition.filesystem.open(f"{partition.directory}/{LOG}", os.O_RDWR)
        partition.filesystem.write_all(descriptor, b"half a batch, longer than the next" * 9, end)
        first = partition.slots.map.cover(partition.slot)
        partition.slots.map.words[first + SLOT_INTENDED_END] = end + 500
        one = batch()
        assert append_all(partition.writer(), one) == [3]
        assert partition.read(LOG)[end:] == bytes(one)

    def test_who_must_not_wait_for_a_lock_waits_for_a_moment(self, partition: Partition) -> None:
        holder, mine = partition.writer(), partition.writer()
        assert holder.lock()[0] == codes.OK
        began = time.monotonic()
        assert mine.append(batch(), wait=False).code == codes.LOCK_BUSY
        moment = time.monotonic() - began
        assert mine.append(batch()).code == codes.LOCK_BUSY
        assert moment < (time.monotonic() - began) / 3
        holder.unlock()
        assert mine.append(batch(), wait=False).code == codes.OK

    @pytest.mark.parametrize("lock", ["lock", "lock_sync", "lock_structure"])
    def test_a_killed_process_frees_its_lock(self, partition: Partition, lock: str) -> None:
        reader, report = os.pipe()
        pid = os.fork()
        if pid == 0:
            getattr(partition.writer(), lock)()
            os.write(report, b"x")
            signal.pause()
        assert os.read(reader, 1) == b"x"
        mine = partition.writer()
        assert getattr(mine, lock)() == (codes.LOCK_BUSY, pid)
        if lock == "lock":
            assert mine.append(batch())[0::4] == (codes.LOCK_BUSY, pid)
            assert mine.roll()[0::4] == (codes.LOCK_BUSY, pid)
        else:
            assert append_all(mine, batch()) == [0], "the other bytes hold up no append"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert getattr(mine, lock)() == (codes.OK, 0)


@pytest.fixture
def file_size_limit() -> Iterator[Any]:
    """A limit on file sizes: the write that crosses it is short, the next one fails (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


class TestFailures:
    def test_a_write_that_fails_half_way_is_taken_back(
        self, partition: Partition, file_size_limit: Any
    ) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        before = partition.read(LOG)
        file_size_limit(len(before) + 50)
        result = writer.append(batch(3))
        file_size_limit(resource.RLIM_INFINITY)
        assert (result.code, result.detail) == (codes.SYSTEM_ERROR, 27)  # EFBIG
        assert partition.read(LOG) == before
        assert append_all(writer, batch(3)) == [3]

    def test_a_roll_without_descriptors_leaves_everything_as_it_was(
        self, partition: Partition
    ) -> None:
        one = batch(3)
        writer = partition.writer(segment_bytes=len(one))
        append_all(writer, one)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, before[1]))  # one file only
        try:
            result = writer.append(batch(3))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert (result.code, result.detail) == (codes.SYSTEM_ERROR, 24)  # EMFILE
        assert set(partition.files()) == {
            f"{0:020d}{suffix}" for suffix in (".log", ".index", ".timeindex")
        }
        assert append_all(writer, batch(3)) == [3]


class TestSyncing:
    def test_everything_published_is_covered_and_said(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        assert writer.sync(3).code == codes.NEEDS_SEGMENTS  # the folder was never synced
        _sync_all(partition)
        append_all(writer, batch(2))
        assert writer.sync(5) == (codes.OK, 5, 0)
        assert partition.slots.read_synced(partition.slot) == (0, len(partition.read(LOG)), 5)

    def test_who_is_covered_already_does_nothing(self, partition: Partition) -> None:
        writer = partition.writer()
        append_all(writer, batch(3))
        _sync_all(partition)
        writer.detach()  # a sync would need a descriptor
        assert writer.sync(3) == (codes.OK, 3, 0)

    def test_a_roll_asks_for_the_segment_before(self, partition: Partition) -> None:
        one = batch(3)
        writer = partition.writer(segment_bytes=len(one))
        append_all(writer, one)
        _sync_all(partition)
        append_all(writer, batch(3))
        assert writer.sync(6).code == codes.NEEDS_SEGMENTS
        assert writer.retired_count == 1

    def test_a_torn_record_of_the_synced_end_leaves_the_one_before(
        self, partition: Partition
    ) -> None:
        writer = partition.writer()
        for _ in range(2):
            append_all(writer, batch(1))
            _sync_all(partition)
        words = partition.slots.map.words
        first = partition.slots.map.cover(partition.slot) + 56
        newest = max(range(2), key=lambda number: words[first + 8 * number + 3])
        words[first + 8 * newest + 2] += 1
        assert partition.slots.read_synced(partition.slot).offset == 1


def _sync_all(partition: Partition) -> None:
    from streamlog.storage.sync import sync_segments_locked

    sync_segments_locked(
        partition.filesystem, partition.slots, partition.slot, partition.directory, []
    )


@pytest.mark.skipif(len(KERNELS) == 1, reason="the compiled kernel was not built")
@pytest.mark.parametrize("seed", range(20))
def test_both_kernels_leave_the_same_bytes_and_state(tmp_path: Path, seed: int) -> None:
    """The twin is the specification: batches of all sizes, rolls, indexes, odd timestamps."""
    outcomes = []
    for kernel in KERNELS:
        root = tmp_path / kernel
        root.mkdir()
        partition = Partition(root, kernel)
        writer = partition.writer(segment_bytes=20_000, interval=500)
        writer.segment_index_bytes = 200
        writer.segment_ms, writer.segment_jitter_ms = 20_000, 19_990
        random_source = random.Random(seed)
        results = []
        for _ in range(200):
            many = bytearray()
            for _ in range(random_source.choice([1, 1, 1, 4])):
                many += batch(
                    random_source.randint(1, 5),
                    timestamp=random_source.choice([-1, 0, 10_000, random_source.randint(0, 99)]),
                    size=random_source.choice([0, 10, 400, 3000]),
                    producer_id=random_source.choice([-1, -1, 5]),
                )
            results.append(writer.append(many, -1, -1, 77))
            if random_source.random() < 0.05:
                results.append(writer.roll(-1, 78))
                results.append(writer.advance_log_start(partition.state.log_end // 2))
        outcomes.append((results, partition.state, partition.files()))
    assert outcomes[0] == outcomes[1]
