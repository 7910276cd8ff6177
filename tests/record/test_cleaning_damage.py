"""Damage of every kind, under both kernels: never a crash, never silent."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.errors import CorruptRecordError, DecompressionError, StreamlogError
from tests.record.cleaning_model import (
    KEEP,
    TRANSACTIONAL,
    batch,
    encode,
)
from tests.record.conftest import load_kernel
from tests.record.samples import CODECS, NOW, batch_of, with_crc
from tests.record.test_lying_bytes import LIES

HASH_KEY = bytes(range(16))
DAY = 86_400_000


def mapped(kernel, batches):
    offset_map = kernel.OffsetMap(24 * 1000, HASH_KEY)
    offset_map.add_batches(encode(batches), decide=lambda _: KEEP)
    return offset_map


class TestDamage:
    """Cut, flipped or lying bytes: an error that names the batch, or a batch asked for in full."""

    LOG = (
        batch(0, (b"a", b"1"), (b"b", None)),
        batch(2, (b"a", b"2"), attributes=CODECS["zstd"]),
        batch(3, (b"c", b"3"), producer_id=1, attributes=TRANSACTIONAL),
    )

    def test_a_cut_anywhere_is_asked_for(self, kernel):
        whole = encode(self.LOG)
        ends = [len(encode(self.LOG[:count])) for count in range(4)]
        for size in range(len(whole) + 1):
            outcome = kernel.clean_batches(
                whole[:size],
                mapped(kernel, self.LOG),
                decide=lambda _: KEEP,
                now_ms=NOW,
                delete_retention_ms=DAY,
            )
            at = max(end for end in ends if end <= size)
            assert outcome.consumed == at
            enough = 17 if at < size else 0
            if size - at >= enough > 0:
                assert at + outcome.needed == ends[ends.index(at) + 1]
            else:
                assert outcome.needed == (61 if size > at else 0)

    @pytest.mark.parametrize("call", ["add_batches", "clean_batches"])
    def test_a_bit_flipped_anywhere_is_never_silent(self, kernel, call):
        """But in the leader epoch, which nothing covers, and where an offset grows into a gap."""
        whole = encode(self.LOG)
        starts = [len(encode(self.LOG[:count])) for count in range(3)]
        for bit in range(8 * len(whole)):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            position = max(start for start in starts if start <= bit // 8)
            in_batch = bit // 8 - position
            undetectable = in_batch in range(12, 16) or (in_batch < 8 and position == starts[-1])
            raised = None
            try:
                outcome = self.run(kernel, call, flipped)
            except StreamlogError as error:
                raised = error
            if raised is not None:
                assert raised.position in {position, *(s for s in starts if s > position)}, bit
            else:
                assert undetectable or outcome.needed or outcome.consumed < len(whole), bit

    @pytest.mark.parametrize("call", ["add_batches", "clean_batches"])
    @pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
    def test_any_flip_behind_a_right_crc_is_the_same_in_both_kernels(self, kernels, call, codec):
        whole = encode(self.LOG[0]._replace(attributes=codec))
        for bit in range(8 * 21, 8 * len(whole)):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            log = with_crc(flipped)
            assert self.answer(kernels[0], call, log) == self.answer(kernels[1], call, log), bit

    @pytest.mark.parametrize("call", ["add_batches", "clean_batches"])
    @pytest.mark.parametrize("payload", LIES.values(), ids=LIES)
    def test_a_lie_in_a_record_is_found(self, kernels, call, payload):
        log = encode(batch(0, (b"k", b"v"))) + with_crc(
            struct.pack(">q", 1) + batch_of(payload)[8:]
        )
        answers = [self.answer(kernel, call, log) for kernel in kernels]
        assert answers[0] == answers[1]
        with pytest.raises(CorruptRecordError) as caught:
            self.run(kernels[0], call, log)
        assert caught.value.position == len(encode(batch(0, (b"k", b"v"))))

    @pytest.mark.parametrize("call", ["add_batches", "clean_batches"])
    def test_what_comes_first_is_raised_first(self, kernels, call):
        """A record that lies before a batch that does not check, and before a full map."""
        lie = batch_of(LIES["key of -2"])
        broken = bytearray(encode(batch(1, (b"a", b""))))
        broken[-1] ^= 1
        for kernel in kernels:
            with pytest.raises(CorruptRecordError, match="fields do not fit"):
                self.run(kernel, call, lie + broken)

    def test_a_full_map_is_full_before_what_lies_behind(self, kernels):
        log = encode([batch(0, (b"a", b"")), batch(1, (b"b", b""))]) + b"\xff" * 100
        for kernel in kernels:
            offset_map = kernel.OffsetMap(48, HASH_KEY)
            assert offset_map.add_batches(log, decide=None).is_full

    @pytest.mark.parametrize("call", ["add_batches", "clean_batches"])
    def test_a_payload_larger_than_allowed_is_not_decompressed(self, kernel, call):
        log = encode(batch(0, (b"a", bytes(10_000)), attributes=CODECS["gzip"]))
        with pytest.raises(DecompressionError, match="more than 5000 bytes") as caught:
            self.run(kernel, call, log, decompressed_limit=5000)
        assert (caught.value.position, caught.value.limit) == (0, 5000)

    @given(edits=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=5))
    def test_damage_of_any_kind_is_the_same_in_both_kernels(self, edits):
        damaged = bytearray(encode(self.LOG))
        for position, byte in edits:
            damaged[position % len(damaged)] = byte
        pure, compiled = load_kernel("pure"), load_kernel("compiled")
        for call in ("add_batches", "clean_batches"):
            assert self.answer(pure, call, damaged) == self.answer(compiled, call, damaged)

    def run(self, kernel, call, log, **settings):
        offset_map = mapped(kernel, self.LOG)
        if call == "add_batches":
            return offset_map.add_batches(log, decide=lambda _: KEEP, **settings)
        return kernel.clean_batches(
            log, offset_map, decide=lambda _: KEEP, now_ms=NOW, delete_retention_ms=DAY, **settings
        )

    def answer(self, kernel, call, log):
        try:
            return self.run(kernel, call, log)
        except StreamlogError as error:
            return type(error), str(error), error.context
