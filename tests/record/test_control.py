from __future__ import annotations

import pytest

from streamlog.errors import CorruptRecordError
from streamlog.record.control import (
    ControlKey,
    ControlType,
    EndTransactionMarker,
    build_control_batch,
    build_end_transaction_marker,
    parse_control_batch,
    parse_control_key,
    parse_end_transaction_marker,
)
from tests.record.samples import COMMIT_MARKER, EMPTY_BATCH, NOW, TWO_RECORDS, build

COMMIT = EndTransactionMarker(ControlType.COMMIT, 3, 4000, 2)


def test_the_golden_marker_is_written():
    batch = build_end_transaction_marker(COMMIT, timestamp=NOW, leader_epoch=1, base_offset=7)
    assert batch == COMMIT_MARKER


def test_the_golden_marker_is_parsed(kernel):
    assert parse_end_transaction_marker(kernel.RecordBatch(COMMIT_MARKER)) == COMMIT


def test_an_abort_comes_back(kernel):
    abort = COMMIT._replace(type=ControlType.ABORT)
    batch = kernel.RecordBatch(build_end_transaction_marker(abort, timestamp=NOW))
    assert parse_end_transaction_marker(batch) == abort


def test_other_control_batches_are_no_markers(kernel):
    batch = kernel.RecordBatch(
        build_control_batch(ControlType.LEADER_CHANGE, b"body", timestamp=NOW, leader_epoch=4)
    )
    assert batch.is_control
    assert not batch.is_transactional
    assert parse_end_transaction_marker(batch) is None
    assert parse_control_batch(batch) == (ControlKey(0, ControlType.LEADER_CHANGE), b"body")


def test_a_transaction_does_not_end_with_a_leader_change():
    with pytest.raises(ValueError):
        build_end_transaction_marker(COMMIT._replace(type=ControlType.LEADER_CHANGE), timestamp=NOW)


def test_types_of_the_future_are_kept_as_numbers():
    assert parse_control_key(bytes.fromhex("0003 0063 ff")) == ControlKey(3, 99)
    with pytest.raises(ValueError):
        parse_control_key(b"\x00\x00\x00")


@pytest.mark.parametrize("batch", [TWO_RECORDS, EMPTY_BATCH])
def test_what_is_no_control_batch_is_refused(kernel, batch):
    with pytest.raises(CorruptRecordError, match="not a control batch"):
        parse_control_batch(kernel.RecordBatch(batch))


@pytest.mark.parametrize(
    ("key", "value"), [(None, b""), (b"\x00", b""), (b"\x00\x00\x00\x01", b"\x00")]
)
def test_control_records_cut_short_are_refused(kernel, key, value):
    batch = build(kernel, [(NOW, key, value, ())], control=True)
    with pytest.raises(CorruptRecordError):
        parse_end_transaction_marker(kernel.RecordBatch(batch))
