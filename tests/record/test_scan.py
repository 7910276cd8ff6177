from __future__ import annotations

import random
import struct
import zlib

import pytest

from tests.record.samples import (
    COMMIT_MARKER,
    EMPTY_BATCH,
    NOW,
    TWO_RECORDS,
    assign_offsets,
    build,
    with_crc,
)

BASE = 1000


def segment(kernel, sizes, *, first=BASE, timestamps=None, **settings):
    """Consecutive batches of one record each, of about these sizes."""
    out = bytearray()
    positions = []
    for index, size in enumerate(sizes):
        timestamp = NOW + index if timestamps is None else timestamps[index]
        positions.append(len(out))
        record = (timestamp, None, bytes(size), ())
        out += build(kernel, [record], base_offset=first + index, **settings)
    return out, positions


def scan(kernel, buffer, **arguments):
    given = {
        "start": 0,
        "end": len(buffer),
        "segment_base_offset": BASE,
        "expected_offset": BASE,
        **arguments,
    }
    return kernel.scan_segment(buffer, **given)


def index_entries(outcome):
    return list(struct.iter_unpack(">ii", outcome.offset_index)), list(
        struct.iter_unpack(">qi", outcome.time_index)
    )


def test_a_good_segment_is_walked_to_its_end(kernel):
    buffer, _ = segment(kernel, [100] * 50, leader_epoch=3)
    outcome = scan(kernel, buffer)
    assert (outcome.stop, outcome.valid_end) == (None, len(buffer))
    assert (outcome.next_offset, outcome.batch_count) == (BASE + 50, 50)
    assert (outcome.max_timestamp, outcome.max_timestamp_offset) == (NOW + 49, BASE + 49)
    assert outcome.first_batch_max_timestamp == NOW
    assert outcome.epochs == [(3, BASE)]
    assert (outcome.producer_batches, outcome.last_producer_batch_end) == ([], -1)


def test_an_empty_range_is_good(kernel):
    outcome = scan(kernel, b"")
    assert (outcome.stop, outcome.valid_end, outcome.next_offset) == (None, 0, BASE)
    assert (outcome.max_timestamp, outcome.first_batch_max_timestamp) == (-1, -1)


def test_index_entries_follow_kafkas_rule(kernel):
    """Checked before a batch is added, so the first is never indexed; then each time more than
    the interval came since; the entry holds the batch's last offset and its start."""
    buffer, positions = segment(kernel, [3000] * 6)
    entries, times = index_entries(scan(kernel, buffer))
    assert entries == [(2, positions[2]), (4, positions[4])]
    assert times == [(NOW + 2, 2), (NOW + 4, 4)]
    size = positions[1]
    exact, _ = index_entries(scan(kernel, buffer, index_interval_bytes=size))
    assert exact == [(2, positions[2]), (4, positions[4])], "more than the interval, not as much"
    below, _ = index_entries(scan(kernel, buffer, index_interval_bytes=size - 1))
    assert [offset for offset, _ in below] == [1, 2, 3, 4, 5]
    assert scan(kernel, buffer).bytes_since_index_entry == 2 * size


def test_the_time_index_takes_larger_timestamps_only(kernel):
    buffer, _ = segment(
        kernel, [5000] * 6, timestamps=[NOW + 50, NOW, NOW, NOW + 99, NOW, NOW + 99]
    )
    outcome = scan(kernel, buffer)
    entries, times = index_entries(outcome)
    assert [offset for offset, _ in entries] == [1, 2, 3, 4, 5]
    assert times == [(NOW + 50, 0), (NOW + 99, 3)]
    assert (outcome.max_timestamp_offset, outcome.last_time_index_timestamp) == (
        BASE + 3,
        NOW + 99,
    )


def test_batches_without_timestamps_have_no_time_entries(kernel):
    buffer, _ = segment(kernel, [5000] * 3, timestamps=[-1] * 3)
    outcome = scan(kernel, buffer)
    assert len(outcome.offset_index) == 16
    assert (outcome.time_index, outcome.max_timestamp, outcome.max_timestamp_offset) == (
        b"",
        -1,
        -1,
    )


def test_a_scan_in_two_pieces_is_a_scan(kernel):
    buffer, positions = segment(kernel, [700] * 40, leader_epoch=2)
    whole = scan(kernel, buffer)
    for cut in (1, 7, 20, 39):
        first = scan(kernel, buffer, end=positions[cut])
        second = scan(
            kernel,
            buffer,
            start=first.valid_end,
            expected_offset=first.next_offset,
            previous_max_timestamp=first.max_timestamp,
            previous_max_timestamp_offset=first.max_timestamp_offset,
            bytes_since_index_entry=first.bytes_since_index_entry,
            last_time_index_timestamp=first.last_time_index_timestamp,
            previous_leader_epoch=first.epochs[-1][0],
        )
        assert first.offset_index + second.offset_index == whole.offset_index
        assert first.time_index + second.time_index == whole.time_index
        assert first.epochs + second.epochs == whole.epochs
        assert second.bytes_since_index_entry == whole.bytes_since_index_entry
        assert (second.next_offset, second.max_timestamp_offset) == (
            whole.next_offset,
            whole.max_timestamp_offset,
        )


def test_a_cut_anywhere_leaves_the_whole_batches(kernel):
    buffer, positions = segment(kernel, [30] * 4)
    for end in range(len(buffer)):
        outcome = scan(kernel, buffer, end=end)
        whole = [position for position in [*positions, len(buffer)] if position <= end][-1]
        assert outcome.valid_end == whole
        if end == whole:
            assert outcome.stop is None
        else:
            assert outcome.stop == ("short" if end - whole < 17 else "torn")


def test_a_bit_flipped_anywhere_stops_there(kernel):
    buffer, positions = segment(kernel, [30] * 3)
    for bit in range(8 * positions[1], 8 * positions[2]):
        in_batch = bit // 8 - positions[1]
        flipped = bytearray(buffer)
        flipped[bit // 8] ^= 1 << bit % 8
        outcome = scan(kernel, flipped)
        if in_batch < 8:
            # The base offset is not in the CRC: larger, it looks like a gap and betrays the next.
            assert outcome.stop == "offset"
        elif 12 <= in_batch < 16:
            assert outcome.stop is None
        else:
            assert outcome.stop in {"length", "torn", "magic", "crc"}
            assert outcome.valid_end == positions[1]
            assert outcome.next_offset == BASE + 1


def test_a_tail_of_zeros_is_no_batch(kernel):
    buffer, _ = segment(kernel, [30] * 3)
    outcome = scan(kernel, buffer + bytes(4096))
    assert (outcome.stop, outcome.valid_end) == ("length", len(buffer))
    assert scan(kernel, buffer + bytes(16)).stop == "short"


def test_crcs_are_left_out_before_a_position(kernel):
    buffer, positions = segment(kernel, [30] * 4)
    buffer[positions[1] + 70] ^= 1
    assert scan(kernel, buffer).valid_end == positions[1]
    assert scan(kernel, buffer, check_crc_from=positions[2]).stop is None
    assert scan(kernel, buffer, check_crc_from=positions[1]).stop == "crc"


def test_offsets_may_leave_gaps_but_not_go_back(kernel):
    first, second = (build(kernel, base_offset=offset) for offset in (BASE + 10, BASE + 500))
    assert scan(kernel, first + second).next_offset == BASE + 505
    assert scan(kernel, second + first).stop == "offset"
    assert scan(kernel, first + first).stop == "offset"
    assert scan(kernel, first, expected_offset=BASE + 11).stop == "offset"
    assert scan(kernel, first, segment_base_offset=BASE + 11).stop == "offset"


@pytest.mark.parametrize("offset", [-1, -(2**63), 2**63 - 1, BASE + 2**31 - 4])
def test_offsets_too_far_for_the_segment_are_refused(kernel, offset):
    batch = build(kernel)
    struct.pack_into(">q", batch, 0, offset)
    assert scan(kernel, batch).stop == "offset"


def test_the_last_offset_of_a_segment_is_reached(kernel):
    assert scan(kernel, build(kernel, base_offset=BASE + 2**31 - 5)).stop is None


@pytest.mark.parametrize(("delta", "count"), [(-1, 0), (0, 2), (0, -1), (2**31 - 1, 1)])
def test_counts_that_cannot_be_are_refused(kernel, delta, count):
    batch = bytearray(TWO_RECORDS)
    struct.pack_into(">i", batch, 23, delta)
    struct.pack_into(">i", batch, 57, count)
    expected = None if delta == 2**31 - 1 else "offset"
    assert scan(kernel, with_crc(batch), segment_base_offset=0, expected_offset=0).stop == expected


def test_producer_batches_are_listed(kernel):
    buffer = bytearray()
    for batch, offset in ((TWO_RECORDS, 0), (COMMIT_MARKER, 7), (EMPTY_BATCH, 100)):
        buffer += batch
        struct.pack_into(">q", buffer, len(buffer) - len(batch), offset)
    outcome = scan(kernel, buffer, segment_base_offset=0, expected_offset=0)
    assert outcome.stop is None
    assert [tuple(batch) for batch in outcome.producer_batches] == [
        (4000, 2, -1, -1, 7, 7, NOW, True, True, 89),
        (4000, 2, 9, 13, 100, 104, NOW, False, False, 167),
    ]
    assert outcome.last_producer_batch_end == 105
    assert outcome.epochs == [(1, 7)]


def test_epochs_are_listed_where_they_change(kernel):
    buffer = bytearray()
    for offset, epoch in enumerate([-1, 0, 0, 2, 2, 5]):
        record = (NOW, None, b"", ())
        buffer += build(kernel, [record], base_offset=BASE + offset, leader_epoch=epoch)
    outcome = scan(kernel, buffer)
    assert outcome.epochs == [(0, BASE + 1), (2, BASE + 3), (5, BASE + 5)]
    assert scan(kernel, buffer, previous_leader_epoch=0).epochs == [(2, BASE + 3), (5, BASE + 5)]


def legacy_message(magic, value=b"old"):
    body = struct.pack(">bb", magic, 0) + (struct.pack(">q", NOW) if magic else b"")
    body += struct.pack(">ii", -1, len(value)) + value
    return struct.pack(">qiI", BASE, len(body) + 4, zlib.crc32(body)) + body


@pytest.mark.parametrize("magic", [0, 1])
def test_good_legacy_messages_are_told_from_damage(kernel, magic):
    buffer, _ = segment(kernel, [30] * 2)
    outcome = scan(kernel, legacy_message(magic) + buffer)
    assert (outcome.stop, outcome.valid_end) == ("legacy", 0)
    damaged = bytearray(legacy_message(magic) + buffer)
    damaged[20] ^= 1
    assert scan(kernel, damaged).stop == "magic"


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (6, 5), (0, 10_000), (10_000, 10_001)])
def test_ranges_outside_the_buffer_are_refused(kernel, start, end):
    with pytest.raises(ValueError):
        scan(kernel, TWO_RECORDS, start=start, end=end)
    with pytest.raises(ValueError):
        kernel.count_good_batches(TWO_RECORDS, 10_000)


def test_both_kernels_find_the_same_in_damaged_segments(kernels):
    chance = random.Random(20)
    pure, compiled = kernels
    for _ in range(300):
        sizes = [chance.randrange(3000) for _ in range(12)]
        buffer, _ = segment(pure, sizes, producer_id=4, producer_epoch=0, base_sequence=0)
        for _ in range(chance.randrange(3)):
            buffer[chance.randrange(len(buffer))] = chance.randrange(256)
        arguments = {
            "end": chance.randrange(len(buffer)) if chance.random() < 0.3 else len(buffer),
            "check_crc_from": chance.choice([0, 0, 10_000]),
            "index_interval_bytes": chance.choice([0, 100, 4096]),
            "buffer_position": chance.choice([0, 1 << 20]),
        }
        assert scan(pure, buffer, **arguments) == scan(compiled, buffer, **arguments)
        start = chance.randrange(len(buffer))
        assert pure.count_good_batches(buffer, start) == compiled.count_good_batches(buffer, start)


def test_good_batches_behind_a_hole_are_counted(kernel):
    buffer, positions = segment(kernel, [100] * 10)
    buffer[positions[3] : positions[4]] = bytes(positions[4] - positions[3])
    assert scan(kernel, buffer).valid_end == positions[3]
    assert kernel.count_good_batches(buffer, positions[3]) == 6
    assert kernel.count_good_batches(buffer, 0) == 9
    assert kernel.count_good_batches(buffer, len(buffer)) == 0
    assert kernel.count_good_batches(b"\x02" * 5000, 0) == 0


def test_bulk_batches_scan(kernel):
    buffer, spans = kernel.encode_many([bytes(100)] * 500, None, None, NOW, batch_size=2000)
    end = assign_offsets(buffer, spans, BASE)
    outcome = scan(kernel, memoryview(buffer))
    assert (outcome.next_offset, outcome.batch_count) == (end, len(spans))


def test_a_gap_is_refused_from_where_none_may_be(kernel):
    first, _ = segment(kernel, [10])
    second, _ = segment(kernel, [10], first=BASE + 5)
    data = first + second

    def scan(no_gaps_from):
        return kernel.scan_segment(
            data,
            start=0,
            end=len(data),
            segment_base_offset=BASE,
            expected_offset=BASE,
            no_gaps_from=no_gaps_from,
        )

    assert scan(len(first) + 1).stop is None
    assert (scan(len(first)).stop, scan(len(first)).valid_end) == ("offset", len(first))


def test_positions_count_from_where_the_buffer_begins(kernel):
    buffer, positions = segment(kernel, [100] * 3, producer_id=4, producer_epoch=0, base_sequence=0)
    outcome = scan(kernel, buffer, index_interval_bytes=0, buffer_position=5000)
    entries = [at for _, at in struct.iter_unpack(">ii", outcome.offset_index)]
    assert entries == [5000 + at for at in positions[1:]]
    assert [batch.position for batch in outcome.producer_batches] == [5000 + at for at in positions]
    assert outcome.valid_end == len(buffer)
