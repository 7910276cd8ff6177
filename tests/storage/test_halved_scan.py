"""Two threads find what one scan finds, whatever is in the segment and in its index."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.record.kernel import RecordBatchBuilder
from streamlog.storage import halved_scan
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.halved_scan import scan_halves
from streamlog.storage.segment_scan import SegmentScan, open_for_scan, scan_on

BASE = 100
LOG, INDEX = "00000000000000000100.log", "00000000000000000100.index"


@pytest.fixture(autouse=True)
def every_segment_is_long(monkeypatch):
    monkeypatch.setattr(halved_scan, "WORTH_A_THREAD", 0)


def write_segment(seed):
    """Batches whose timestamps jump, with gaps, epochs and producers, and an index of them all."""
    draw = random.Random(seed)
    data, index, offset, epoch = bytearray(), bytearray(), BASE, 0
    for _ in range(draw.randint(2, 40)):
        epoch += draw.random() < 0.1
        offset += draw.choice((0, 0, 0, 0, 3))
        offset -= 2 if draw.random() < 0.02 and offset > BASE + 2 else 0
        producer = draw.choice((-1, -1, 7))
        builder = RecordBatchBuilder(
            base_offset=offset,
            leader_epoch=epoch,
            producer_id=producer,
            producer_epoch=0 if producer >= 0 else -1,
            base_sequence=offset if producer >= 0 else -1,
        )
        for _ in range(draw.randint(1, 3)):
            when = draw.choice((-1, 5, offset // 4, offset // 4, draw.randint(0, 40)))
            builder.append(when, b"key", bytes(draw.randint(0, 80)), ())
            offset += 1
        index += struct.pack(">ii", offset - 1 - BASE, len(data))
        data += builder.build()
    return data, index


def one_scan(directory, interval, **limits):
    source = open_for_scan(OS_FILESYSTEM, f"{directory}/{LOG}")
    scan = SegmentScan(BASE, source.size_at_open, next_offset=BASE)
    scan_on(source, scan, index_interval_bytes=interval, **limits)
    return scan


def two_scans(directory, interval, **limits):
    source = open_for_scan(OS_FILESYSTEM, f"{directory}/{LOG}")
    scan = SegmentScan(BASE, source.size_at_open, next_offset=BASE)
    index = f"{directory}/{INDEX}"
    scan_halves(OS_FILESYSTEM, source, scan, index, index_interval_bytes=interval, **limits)
    return scan


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("segment")


@settings(max_examples=2000, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    interval=st.sampled_from((0, 100, 300)),
    no_gaps_from=st.sampled_from((0, 700, 2**63 - 1)),
    check_crc_from=st.sampled_from((0, 900)),
    flip=st.none() | st.floats(0, 1, exclude_max=True),
    index_flip=st.none() | st.floats(0, 1, exclude_max=True),
    foreign_index=st.booleans(),
)
def test_halves_find_what_one_scan_finds(
    directory, seed, interval, no_gaps_from, check_crc_from, flip, index_flip, foreign_index
):
    data, index = write_segment(seed)
    limits = {"check_crc_from": check_crc_from, "no_gaps_from": no_gaps_from}
    (directory / LOG).write_bytes(data)
    if not foreign_index:
        index = one_scan(directory, interval, check_crc_from=0).offset_index
    if flip is not None:
        data[int(flip * len(data))] ^= 1 << seed % 8
        (directory / LOG).write_bytes(data)
    if index_flip is not None and index:
        index[int(index_flip * len(index))] ^= 1 << seed % 8
    (directory / INDEX).write_bytes(index)
    assert two_scans(directory, interval, **limits) == one_scan(directory, interval, **limits)


def test_the_second_half_is_scanned_by_the_other_thread(directory, monkeypatch):
    joined = []
    add = halved_scan._SecondHalf.add_to
    monkeypatch.setattr(
        halved_scan._SecondHalf, "add_to", lambda self, first: (joined.append(1), add(self, first))
    )
    (directory / LOG).write_bytes(write_segment(3)[0])
    (directory / INDEX).write_bytes(one_scan(directory, 100, check_crc_from=0).offset_index)
    two_scans(directory, 100, check_crc_from=0, no_gaps_from=2**63 - 1)
    assert joined


def test_without_an_index_there_is_one_scan(directory):
    (directory / LOG).write_bytes(write_segment(5)[0])
    (directory / INDEX).unlink(missing_ok=True)
    limits = {"check_crc_from": 0, "no_gaps_from": 2**63 - 1}
    assert two_scans(directory, 100, **limits) == one_scan(directory, 100, **limits)


def test_a_thread_that_cannot_read_leaves_its_half_to_the_other(directory, monkeypatch):
    (directory / LOG).write_bytes(write_segment(3)[0])
    (directory / INDEX).write_bytes(one_scan(directory, 100, check_crc_from=0).offset_index)
    limits = {"check_crc_from": 0, "no_gaps_from": 2**63 - 1}
    expected = one_scan(directory, 100, **limits)

    def broken(filesystem, path):
        raise OSError(5, "broken", path)

    monkeypatch.setattr(halved_scan, "open_for_scan", broken)
    assert two_scans(directory, 100, **limits) == expected
