"""Idempotent producers: what is a duplicate, what is refused, and what a snapshot keeps."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streamlog.errors import (
    CorruptDirectoryError,
    InvalidProducerEpochError,
    OutOfOrderSequenceError,
)
from streamlog.record.scan_outcome import ProducerBatch
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.producer_replay import load_producer_state
from streamlog.storage.producer_snapshot import (
    decode_snapshot,
    encode_snapshot,
    read_snapshot,
    write_snapshot,
)
from streamlog.storage.producer_state import Duplicate, ProducerStateTable
from tests.storage.folder_builder import NOW, Folder

MAX = 2**31 - 1
GOLDEN = bytes.fromhex(
    "0001 08a132ae 00000001 0000000000000fa0 0002 00000009 000000000000007b 00000004"
    "0000018bcfe56800 00000003 ffffffffffffffff"
)


def batch(sequence, count=1, *, offset=0, epoch=0, producer=1, at=NOW, **flags):
    return ProducerBatch(
        producer_id=producer,
        producer_epoch=epoch,
        base_sequence=sequence,
        last_sequence=(sequence + count - 1) & MAX,
        base_offset=offset,
        last_offset=offset + count - 1,
        max_timestamp=at,
        is_transactional=flags.get("transactional", False),
        is_control=flags.get("control", False),
        position=0,
    )


def table(*batches):
    state = ProducerStateTable()
    for one in batches:
        assert state.check(one) is None
        state.apply(one)
    return state


class TestSequences:
    def test_any_first_sequence_of_an_unknown_producer_is_accepted(self):
        assert ProducerStateTable().check(batch(17)) is None

    def test_the_next_one_follows(self):
        state = table(batch(0, 3))
        assert state.check(batch(3)) is None
        for gap in (2, 4, 0):
            with pytest.raises(OutOfOrderSequenceError) as caught:
                state.check(batch(gap))
            assert (caught.value.expected, caught.value.producer_id) == (3, 1)

    def test_they_wrap(self):
        state = table(batch(MAX - 1, 4, offset=10))
        assert state.get(1).last_sequence == 1
        assert state.check(batch(2)) is None
        assert state.check(batch(MAX - 1, 4)) == Duplicate(10, 13, NOW)
        assert table(batch(MAX, 1)).check(batch(0)) is None

    def test_a_higher_epoch_starts_from_0(self):
        state = table(batch(0, 3))
        assert state.check(batch(0, epoch=4)) is None
        with pytest.raises(OutOfOrderSequenceError):
            state.check(batch(3, epoch=4))

    def test_an_older_epoch_is_fenced_even_with_a_known_sequence(self):
        state = table(batch(0, 3), batch(0, epoch=1, offset=3))
        with pytest.raises(InvalidProducerEpochError) as caught:
            state.check(batch(0, 3))
        assert caught.value.current_epoch == 1


class TestDuplicates:
    def test_the_last_five_are_answered_with_their_offset(self):
        state = table(*(batch(n, offset=100 + n, at=NOW + n) for n in range(7)))
        for n in range(2, 7):
            assert state.check(batch(n)) == Duplicate(100 + n, 100 + n, NOW + n)
        with pytest.raises(OutOfOrderSequenceError):
            state.check(batch(1))

    def test_only_exactly_the_same_range_counts(self):
        state = table(batch(0, 5))
        for other in (batch(0, 4), batch(1, 4), batch(0, 6)):
            with pytest.raises(OutOfOrderSequenceError):
                state.check(other)


class TestTransactions:
    def test_open_until_the_marker(self):
        state = table(batch(0, offset=5, transactional=True))
        state.apply(batch(1, offset=9, transactional=True))
        assert state.first_open_offset == 5
        marker = batch(-1, offset=10, epoch=1, transactional=True, control=True)
        state.apply(marker, coordinator_epoch=3)
        assert state.first_open_offset is None
        assert (state.get(1).epoch, state.get(1).coordinator_epoch) == (1, 3)
        # The marker's epoch has no sequence yet.
        assert state.check(batch(0, epoch=1)) is None

    def test_idle_producers_expire_unless_a_transaction_is_open(self):
        state = table(
            batch(0), batch(0, producer=2, transactional=True), batch(0, producer=3, at=NOW + 9)
        )
        assert state.expire(NOW + 1000, 1000) == 1
        assert [one.producer_id for one in state] == [2, 3]


def test_a_trial_copy_leaves_the_original_alone():
    state = table(batch(0))
    for trial in (state.copy(), state.copy_of([1, 2])):
        trial.apply(batch(1, offset=1))
        assert state.get(1).last_sequence == 0
        assert trial.get(1).last_sequence == 1
    assert len(state.copy_of([2])) == 0


class ProducerMachine(RuleBasedStateMachine):
    """The model keeps every batch ever accepted, and decides from all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ProducerStateTable()
        self.accepted: list[ProducerBatch] = []

    def of(self, producer, epoch=None):
        return [
            b
            for b in self.accepted
            if b.producer_id == producer and epoch in (None, b.producer_epoch)
        ]

    def expected(self, one):
        mine = self.of(one.producer_id)
        if not mine:
            return None
        current = mine[-1].producer_epoch
        same = self.of(one.producer_id, current)
        if one.producer_epoch < current:
            return InvalidProducerEpochError
        if one.producer_epoch > current:
            return None if one.base_sequence == 0 else OutOfOrderSequenceError
        for known in reversed(same[-5:]):
            if (known.base_sequence, known.last_sequence) == (one.base_sequence, one.last_sequence):
                return Duplicate(known.base_offset, known.last_offset, known.max_timestamp)
        follows = one.base_sequence == (same[-1].last_sequence + 1) & MAX
        return None if follows else OutOfOrderSequenceError

    @rule(
        producer=st.integers(1, 2),
        epoch=st.integers(0, 2),
        sequence=st.one_of(st.integers(0, 6), st.integers(MAX - 2, MAX)),
        count=st.integers(1, 3),
    )
    def send(self, producer, epoch, sequence, count):
        self.offer(batch(sequence, count, epoch=epoch, producer=producer, offset=self.end))

    @rule(producer=st.integers(1, 2), count=st.integers(1, 3), resend=st.booleans())
    def go_on(self, producer, count, resend):
        mine = self.of(producer)
        if mine and resend:
            last = mine[-1]
            self.offer(last._replace(base_offset=self.end, last_offset=self.end))
        elif mine:
            last = mine[-1]
            sequence = (last.last_sequence + 1) & MAX
            epoch = last.producer_epoch
            self.offer(batch(sequence, count, epoch=epoch, producer=producer, offset=self.end))

    @property
    def end(self):
        return self.accepted[-1].last_offset + 1 if self.accepted else 0

    def offer(self, one):
        expected = self.expected(one)
        if isinstance(expected, type):
            with pytest.raises(expected):
                self.state.check(one)
            return
        assert self.state.check(one) == expected
        if expected is None:
            self.state.apply(one)
            self.accepted.append(one)

    @invariant()
    def a_snapshot_keeps_the_last_batch(self):
        restored = decode_snapshot(encode_snapshot(self.state), self.state.end_offset)
        for one in self.state:
            kept = restored.get(one.producer_id)
            assert kept.batches == one.batches[-1:]
            assert (kept.epoch, kept.last_timestamp) == (one.epoch, one.last_timestamp)


TestProducerMachine = ProducerMachine.TestCase


class TestSnapshots:
    def golden_table(self):
        state = ProducerStateTable()
        state.apply(batch(5, 5, offset=119, epoch=2, producer=4000))
        state.get(4000).coordinator_epoch = 3
        return state

    def test_the_bytes_are_kafkas(self):
        assert encode_snapshot(self.golden_table()) == GOLDEN
        assert encode_snapshot(ProducerStateTable()).hex() == "000148674bc700000000"

    def test_they_are_read_back(self):
        found = decode_snapshot(GOLDEN, 124).get(4000)
        assert (found.epoch, found.last_sequence, found.last_offset) == (2, 9, 123)
        assert found.batches[0].base_sequence == 5

    def test_every_flipped_bit_and_every_cut_is_refused(self):
        for position in range(len(GOLDEN) * 8):
            data = bytearray(GOLDEN)
            data[position // 8] ^= 1 << position % 8
            with pytest.raises(CorruptDirectoryError):
                decode_snapshot(bytes(data), 124)
        for length in range(len(GOLDEN)):
            with pytest.raises(CorruptDirectoryError):
                decode_snapshot(GOLDEN[:length], 124)

    def test_in_its_folder(self, tmp_path):
        path = write_snapshot(OS_FILESYSTEM, str(tmp_path), self.golden_table())
        assert path.endswith("/00000000000000000124.snapshot")
        assert read_snapshot(OS_FILESYSTEM, str(tmp_path), 124).get(4000) is not None


class TestReplay:
    def load(self, folder, snapshots=()):
        segments = sorted({placed.segment for placed in folder.batches})
        return load_producer_state(
            OS_FILESYSTEM,
            str(folder.path),
            segments=segments,
            snapshots=snapshots,
            end_offset=folder.next_offset,
            end_position=folder.batches[-1].end,
        )

    def produce(self, folder, sequence, producer=7, **settings):
        folder.append(2, producer_id=producer, producer_epoch=0, base_sequence=sequence, **settings)

    def test_from_the_batches_alone(self, tmp_path):
        folder = Folder(tmp_path / "orders-0")
        for n in range(3):
            self.produce(folder, 2 * n)
            folder.append()
        folder.roll()
        self.produce(folder, 6)
        found = self.load(folder)
        assert found.end_offset == folder.next_offset
        assert found.get(7).last_sequence == 7
        assert len(found.get(7).batches) == 4

    def test_from_a_snapshot_on_and_a_bad_one_is_passed_over(self, tmp_path):
        folder = Folder(tmp_path / "orders-0")
        self.produce(folder, 0)
        early = folder.next_offset
        write_snapshot(OS_FILESYSTEM, str(folder.path), self.load(folder))
        self.produce(folder, 2)
        late = folder.next_offset
        folder.path.joinpath(f"{late:020d}.snapshot").write_bytes(b"rubbish")
        self.produce(folder, 4)
        found = self.load(folder, snapshots=[early, late])
        assert [one.base_sequence for one in found.get(7).batches] == [0, 2, 4]

    def test_what_lies_behind_the_wanted_end_is_not_applied(self, tmp_path):
        folder = Folder(tmp_path / "orders-0")
        self.produce(folder, 0)
        end, position = folder.next_offset, folder.batches[-1].end
        self.produce(folder, 2)
        found = load_producer_state(
            OS_FILESYSTEM,
            str(folder.path),
            segments=[0],
            snapshots=[],
            end_offset=end,
            end_position=position,
        )
        assert found.get(7).last_sequence == 1
