"""What may go of transactions: decided batch by batch, in the order of the log."""

from __future__ import annotations

import struct

import pytest

from streamlog.errors import CorruptDirectoryError
from streamlog.record.kernel import RecordBatch
from streamlog.storage.cleaned_transactions import CleanedTransactions
from streamlog.storage.transaction_index import AbortedTransaction
from tests.record.cleaning_model import (
    CONTROL,
    DISCARD,
    EMPTY,
    EXPIRE,
    HORIZON,
    KEEP,
    TRANSACTIONAL,
    batch,
    encode,
)
from tests.record.samples import NOW

ABORT, COMMIT, LEADER_CHANGE = 0, 1, 2
MARKER = TRANSACTIONAL | CONTROL


class Pass:
    """`data` and `marker` say what was decided about a batch at the next offset."""

    def __init__(self, *aborted: tuple[int, int, int], last_markers=(), start=0) -> None:
        self.transactions = CleanedTransactions("/log/orders-0", NOW, dict(last_markers))
        self.tell(*aborted)
        self.offset = start

    def tell(self, *aborted: tuple[int, int, int]) -> None:
        self.transactions.add_aborted(
            AbortedTransaction(producer, first, last, last + 1) for producer, first, last in aborted
        )

    def data(self, producer: int, count: int = 1):
        records = [(b"k", b"v")] * count
        return self._decide(
            batch(self.offset, *records, attributes=TRANSACTIONAL, producer_id=producer)
        )

    def marker(
        self, producer: int, kind: int, *, epoch: int = 0, horizon: int | None = None, flags=MARKER
    ):
        made = batch(
            self.offset,
            (struct.pack(">hh", 0, kind), struct.pack(">hi", 0, 0)),
            producer_id=producer,
            producer_epoch=epoch,
            attributes=flags,
        )
        if horizon is not None:
            made = made._replace(base_timestamp=horizon, attributes=flags | HORIZON)
        return self._decide(made)

    def emptied(self, producer: int, epoch: int = 0):
        made = batch(self.offset, last_offset=self.offset, attributes=MARKER, producer_id=producer)
        return self._decide(made._replace(producer_epoch=epoch))

    def _decide(self, made):
        self.offset = made.last_offset + 1
        return self.transactions.decide(RecordBatch(encode(made)))

    @property
    def retained(self) -> list[int]:
        return [entry.first_offset for entry in self.transactions.retained]


def test_data_of_aborted_transactions_goes_and_the_rest_is_looked_at():
    log = Pass((1, 1, 4))
    assert log.data(2) == KEEP
    assert log.data(1) == DISCARD
    assert log.data(2) == KEEP
    assert log.data(1) == DISCARD
    assert log.marker(1, ABORT) == KEEP
    assert log.data(1) == KEEP, "the next transaction of the same producer"
    assert log.marker(1, COMMIT) == KEEP
    assert log.marker(2, COMMIT) == KEEP
    assert log.retained == [1]


def test_a_marker_whose_data_is_gone_expires_and_its_index_entry_goes_at_once():
    log = Pass((1, 0, 0), (2, 0, 1))
    assert log.marker(1, ABORT) == EXPIRE
    assert log.marker(2, ABORT, horizon=NOW + 1) == EXPIRE
    assert log.marker(3, ABORT, horizon=NOW) == DISCARD
    assert log.marker(4, COMMIT) == EXPIRE
    assert log.marker(4, COMMIT, horizon=NOW + 1) == EXPIRE
    assert log.marker(4, COMMIT, horizon=NOW - 1) == DISCARD
    assert log.retained == []


def test_a_marker_with_data_stays_whatever_its_horizon():
    log = Pass((2, 1, 3))
    assert (log.data(1), log.data(2)) == (KEEP, DISCARD)
    assert log.marker(1, COMMIT, horizon=NOW - 9) == KEEP
    assert log.marker(2, ABORT, horizon=NOW - 9) == KEEP


def test_the_last_marker_of_a_producer_keeps_its_header():
    log = Pass(last_markers={1: 5})
    assert log.marker(1, COMMIT, epoch=4, horizon=NOW) == DISCARD
    assert log.marker(1, COMMIT, epoch=5) == EXPIRE
    assert log.marker(1, COMMIT, epoch=5, horizon=NOW) == EMPTY
    assert log.marker(2, COMMIT, epoch=5, horizon=NOW) == DISCARD


def test_a_marker_of_which_the_header_was_left_goes_when_it_is_no_longer_the_last():
    log = Pass((3, 9, 9), last_markers={1: 5})
    assert log.emptied(1, epoch=5) == EMPTY
    assert log.emptied(1, epoch=4) == DISCARD
    assert log.emptied(2, epoch=5) == DISCARD


def test_other_control_batches_stay():
    log = Pass()
    assert log.marker(-1, LEADER_CHANGE, flags=CONTROL) == KEEP
    assert log.marker(-1, LEADER_CHANGE, flags=CONTROL, horizon=NOW - 1) == KEEP
    assert log.marker(-1, 77, flags=CONTROL) == KEEP, "not even known"


def test_a_transaction_told_of_again_is_the_same_one():
    log = Pass((1, 0, 3))
    assert log.data(1) == DISCARD
    log.tell((1, 0, 3))
    assert log.data(1) == DISCARD
    log.tell((1, 0, 3))
    assert log.marker(1, ABORT) == KEEP
    assert log.retained == [0]


def test_several_of_one_producer_told_of_at_once():
    log = Pass((1, 2, 3), (1, 0, 1), (1, 6, 6))
    assert (log.data(1), log.marker(1, ABORT)) == (DISCARD, KEEP)
    assert (log.data(1), log.marker(1, ABORT)) == (DISCARD, KEEP)
    assert (log.data(1), log.marker(1, COMMIT)) == (KEEP, KEEP)
    assert log.marker(1, ABORT) == EXPIRE
    assert log.retained == [0, 2]


def test_an_entry_whose_marker_is_gone_ends_where_it_says():
    log = Pass((1, 0, 1), (1, 4, 5), start=2)
    assert log.data(1) == KEEP
    assert log.marker(1, COMMIT) == KEEP
    assert log.data(1) == DISCARD
    assert log.marker(1, ABORT) == KEEP
    assert log.retained == [4]


def test_markers_that_the_index_contradicts_are_an_error_that_says_where():
    log = Pass()
    log.data(1)
    with pytest.raises(
        CorruptDirectoryError, match=r"offset 1 was aborted.*/log/orders-0"
    ) as caught:
        log.marker(1, ABORT)
    assert (caught.value.producer_id, caught.value.offset) == (1, 1)
    log = Pass((1, 0, 5))
    log.data(1)
    with pytest.raises(CorruptDirectoryError, match="offset 1 was committed"):
        log.marker(1, COMMIT)
