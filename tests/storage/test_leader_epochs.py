"""Leader epochs against a model: the epoch of every single offset."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.leader_epochs import (
    LeaderEpochs,
    format_leader_epochs,
    parse_leader_epochs,
    read_leader_epochs,
    write_leader_epochs,
)


class EpochMachine(RuleBasedStateMachine):
    """A log whose every record remembers its epoch is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs = LeaderEpochs()
        self.records: list[int] = []  # the epoch of each offset
        self.start = 0
        self.epoch = 0

    @rule(bump=st.integers(0, 3), count=st.integers(1, 4))
    def append(self, bump, count):
        self.epoch += bump
        self.epochs.assign(self.epoch, len(self.records))
        self.records += [self.epoch] * count

    @rule(share=st.floats(0, 1))
    def truncate_the_end(self, share):
        end = self.start + int((len(self.records) - self.start) * share)
        self.epochs.truncate_from_end(end)
        del self.records[end:]

    @rule(share=st.floats(0, 1))
    def move_the_start(self, share):
        if len(self.records) > self.start:
            self.start += int((len(self.records) - 1 - self.start) * share)
            self.epochs.truncate_from_start(self.start)

    @invariant()
    def both_columns_ascend(self):
        entries = self.epochs.entries
        for one, other in itertools.pairwise(entries):
            assert one.epoch < other.epoch
            assert one.start_offset < other.start_offset

    @invariant()
    def every_offset_has_its_epoch(self):
        for offset in range(self.start, len(self.records)):
            assert self.epochs.epoch_at(offset) == self.records[offset]

    @invariant()
    def every_epoch_ends_where_the_records_say(self):
        end = len(self.records)
        present = sorted({self.records[offset] for offset in range(self.start, end)})
        for epoch in present:
            last = max(o for o in range(self.start, end) if self.records[o] <= epoch)
            assert self.epochs.end_offset_for(epoch, end) == (epoch, last + 1)

    @invariant()
    def the_file_is_read_back(self):
        assert parse_leader_epochs(format_leader_epochs(self.epochs)) == self.epochs


TestEpochMachine = EpochMachine.TestCase


class TestEnds:
    epochs = LeaderEpochs([(2, 10), (4, 20), (7, 30)])

    @pytest.mark.parametrize(
        ("epoch", "expected"),
        [
            (7, (7, 99)),
            (8, (-1, -1)),
            (-1, (-1, -1)),
            (4, (4, 30)),
            (5, (4, 30)),
            (3, (2, 20)),
            (1, (1, 10)),
        ],
    )
    def test_as_kafka_answers(self, epoch, expected):
        assert self.epochs.end_offset_for(epoch, 99) == expected

    def test_without_entries_nothing_is_known(self):
        assert LeaderEpochs().end_offset_for(0, 99) == (-1, -1)


def test_assigning_removes_what_contradicts_it():
    epochs = LeaderEpochs([(1, 0), (2, 10), (3, 20)])
    assert epochs.assign(2, 5)
    assert epochs == LeaderEpochs([(1, 0), (2, 5)])
    assert not epochs.assign(2, 8)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6))
def test_any_order_of_assignments_ascends(pairs):
    entries = LeaderEpochs(pairs).entries
    assert list(entries) == sorted(entries)


@pytest.mark.parametrize(
    "data", [b"0\n2\n1 0\n1 5\n", b"0\n2\n1 5\n2 5\n", b"0\n1\n-1 0\n", b"0\n1\n1\n"]
)
def test_a_file_that_does_not_ascend_is_refused(data):
    with pytest.raises(CorruptDirectoryError):
        parse_leader_epochs(data)


def test_the_file_in_its_folder(tmp_path):
    assert read_leader_epochs(OS_FILESYSTEM, str(tmp_path)) == LeaderEpochs()
    write_leader_epochs(OS_FILESYSTEM, str(tmp_path), LeaderEpochs([(0, 0), (3, 7)]))
    assert (tmp_path / "leader-epoch-checkpoint").read_bytes() == b"0\n2\n0 0\n3 7\n"
