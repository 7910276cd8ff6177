"""`.txnindex` files: Kafka's bytes, and which transactions bear on a range of offsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.names import TRANSACTION_INDEX, segment_name
from streamlog.storage.transaction_index import (
    TRANSACTION_ENTRY,
    AbortedTransaction,
    collect_aborted,
    format_transaction_index,
    parse_transaction_index,
    read_transaction_index,
)
from streamlog.testing.memory_filesystem import MemoryFilesystem

# Computed outside this project: producer 4000, offsets 100 to 123, last stable offset 124.
GOLDEN = bytes.fromhex("0000 0000000000000fa0 0000000000000064 000000000000007b 000000000000007c")
ENTRY = AbortedTransaction(4000, 100, 123, 124)


class TestBytes:
    def test_they_are_kafkas(self):
        assert format_transaction_index([ENTRY]) == GOLDEN
        assert parse_transaction_index(GOLDEN, "f") == [ENTRY]

    @given(st.lists(st.tuples(st.integers(0, 2**60), st.integers(0, 99)), unique_by=lambda e: e[0]))
    def test_they_are_read_back(self, spans):
        entries = [
            AbortedTransaction(at, max(0, last - length), last, last + 1)
            for at, (last, length) in enumerate(sorted(spans))
        ]
        assert parse_transaction_index(format_transaction_index(entries), "f") == entries

    @pytest.mark.parametrize("size", range(1, 34))
    def test_half_an_entry_is_refused(self, size):
        with pytest.raises(CorruptDirectoryError) as caught:
            parse_transaction_index(GOLDEN + GOLDEN[:size], "the-file")
        assert caught.value.file == "the-file"

    @pytest.mark.parametrize(
        "entries",
        [
            [(1, *ENTRY)],
            [(0, 1, -1, 5, 6)],
            [(0, 1, 6, 5, 6)],
            [(0, 1, 2, 5, 6), (0, 2, 2, 5, 6)],
            [(0, 1, 2, 5, 6), (0, 2, 2, 4, 6)],
        ],
    )
    def test_what_makes_no_sense_is_refused_whole(self, entries):
        data = b"".join(TRANSACTION_ENTRY.pack(*entry) for entry in entries)
        with pytest.raises(CorruptDirectoryError):
            parse_transaction_index(data, "f")

    def test_a_segment_without_aborted_transactions_has_no_file(self):
        filesystem = MemoryFilesystem()
        filesystem.mkdir("/p")
        assert read_transaction_index(filesystem, "/p", 0) == []


#   offsets  0   10   20   30   40      a: 2-25, decided with all below 8
#   a        [------------|             b: 8-12, decided with all below 2
#   b            [--|                   c: 31-35, decided with all below 36
#   c                       [--|
A, B, C = (
    AbortedTransaction(1, 2, 25, 26),
    AbortedTransaction(2, 8, 12, 2),
    AbortedTransaction(3, 31, 35, 36),
)


@pytest.fixture
def log() -> MemoryFilesystem:
    filesystem = MemoryFilesystem()
    filesystem.mkdir("/p")
    for base_offset, entries in ((10, [B]), (20, [A]), (30, [C])):
        path = f"/p/{segment_name(base_offset, TRANSACTION_INDEX)}"
        filesystem.write_file(path, format_transaction_index(entries))
    return filesystem


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 40, [B, A, C]),
        (0, 2, []),
        (0, 3, [A]),
        (0, 9, [B, A]),
        (10, 20, [B, A]),
        (12, 13, [B, A]),
        (13, 20, [A]),
        (25, 26, [A]),
        (26, 31, []),
        (26, 32, [C]),
        (35, 99, [C]),
        (36, 99, []),
    ],
)
def test_what_bears_on_a_range_of_offsets(log, start, end, expected):
    assert collect_aborted(log, "/p", [0, 10, 20, 30], start, end) == expected


def test_it_reads_no_further_than_what_was_decided_by_then(log):
    """A was written when everything below 26 was decided: nobody looks at the next segment."""
    path = f"/p/{segment_name(30, TRANSACTION_INDEX)}"
    log.write_file(path, b"damaged")
    assert collect_aborted(log, "/p", [0, 10, 20, 30], 0, 26) == [B, A]
    with pytest.raises(CorruptDirectoryError):
        collect_aborted(log, "/p", [0, 10, 20, 30], 0, 27)
