from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.errors import ConfigError, CorruptRecordError, UnsupportedFormatError
from tests.record.cleaning_model import (
    CONTROL,
    DISCARD,
    EMPTY,
    EXPIRE,
    KEEP,
    TRANSACTIONAL,
    ModelMap,
    batch,
    encode,
    model_logs,
    random_decisions,
)
from tests.record.conftest import load_kernel
from tests.record.samples import CODECS

HASH_KEY = bytes(range(16))
ROOM = 24 * 1000

# Key 00..0f, input 00, 00 01, ...: the table `vectors_sip128` of the reference implementation,
# some of it in full and all of it by its digest. OpenSSL 3 says the same.
SIPHASH_VECTORS = {
    0: "a3817f04ba25a8e66df67214c7550293",
    1: "da87c1d86b99af44347659119b22fc45",
    7: "a1f1ebbed8dbc153c0b84aa61ff08239",
    8: "3b62a9ba6258f5610f83e264f31497b4",
    15: "5493e99933b0a8117e08ec0f97cfc3d9",
    63: "5150d1772f50834a503e069a973fbd7c",
}
SIPHASH_TABLE_SHA256 = "ecfaa9fe47ff788fa834a9863ea2715a2880cd37d2b8c3c194402838428119b9"


def nothing_to_decide(_):
    raise AssertionError("asked about a batch that is neither transactional nor control")


def new_map(kernel, capacity=1000):
    return kernel.OffsetMap(-(-24 * capacity * 10 // 9) + 24, HASH_KEY)


def fill(kernel, batches, offset_map=None, **settings):
    offset_map = kernel.OffsetMap(ROOM, HASH_KEY) if offset_map is None else offset_map
    settings.setdefault("decide", nothing_to_decide)
    return offset_map, offset_map.add_batches(encode(batches), **settings)


class TestSipHash:
    def test_it_gives_the_published_vectors(self, kernel):
        table = [kernel.siphash128(HASH_KEY, bytes(range(size))) for size in range(64)]
        assert {size: table[size].hex() for size in SIPHASH_VECTORS} == SIPHASH_VECTORS
        assert hashlib.sha256(b"".join(table)).hexdigest() == SIPHASH_TABLE_SHA256

    @given(st.binary(min_size=16, max_size=16), st.binary(max_size=600))
    def test_both_kernels_agree(self, key, data):
        pure, compiled = load_kernel("pure"), load_kernel("compiled")
        assert pure.siphash128(key, data) == compiled.siphash128(key, data)

    def test_a_key_has_16_bytes(self, kernel):
        with pytest.raises(ValueError, match="16 bytes"):
            kernel.siphash128(b"short", b"")


class TestKeys:
    def test_the_latest_offset_of_each_key(self, kernel):
        offset_map, outcome = fill(
            kernel, [batch(0, (b"a", b"1"), (b"b", b"1")), batch(2, (b"a", None), (b"", b"x"))]
        )
        assert [offset_map.get(key) for key in (b"a", b"b", b"", b"c")] == [2, 1, 3, -1]
        assert (len(offset_map), offset_map.latest_offset) == (3, 3)
        assert (outcome.is_full, outcome.needed, outcome.next_offset) == (False, 0, 4)

    def test_the_offset_0_is_one(self, kernel):
        offset_map, _ = fill(kernel, batch(0, (b"a", b"1")))
        assert (offset_map.get(b"a"), len(offset_map)) == (0, 1)

    def test_records_without_a_key_have_none(self, kernel):
        offset_map, _ = fill(kernel, batch(5, (None, b"1"), (b"a", b"1"), (None, None)))
        assert (len(offset_map), offset_map.latest_offset) == (1, 7)

    def test_it_begins_in_the_middle_of_a_batch(self, kernel):
        log = [batch(0, (b"a", b"1")), batch(1, (b"b", b""), (b"a", b"")), batch(3, (b"c", b""))]
        offset_map, _ = fill(kernel, log, from_offset=2)
        assert [offset_map.get(key) for key in (b"a", b"b", b"c")] == [2, -1, 3]

    def test_what_ends_before_the_beginning_says_nothing(self, kernel):
        offset_map, _ = fill(kernel, batch(0, (b"a", b"1")), from_offset=1)
        assert (len(offset_map), offset_map.latest_offset) == (0, -1)

    def test_a_batch_counts_up_to_its_last_offset(self, kernel):
        offset_map, outcome = fill(kernel, batch(10, (b"a", b"1"), last_offset=19))
        assert (offset_map.get(b"a"), offset_map.latest_offset, outcome.next_offset) == (10, 19, 20)

    def test_what_a_segment_may_hold_is_known_to_be_empty(self, kernel):
        offset_map, _ = fill(kernel, batch(0, (b"a", b"1")))
        offset_map.advance_to(99)
        assert offset_map.latest_offset == 99
        offset_map.advance_to(5)
        assert offset_map.latest_offset == 99

    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
    def test_keys_and_buffers_are_any_bytes(self, kernel, wrap):
        offset_map = kernel.OffsetMap(ROOM, wrap(HASH_KEY))
        offset_map.add_batches(wrap(encode(batch(3, (b"a", b"1")))), decide=nothing_to_decide)
        assert offset_map.get(wrap(b"a")) == 3

    @pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
    def test_every_codec(self, kernel, codec):
        log = batch(0, *((b"key-%d" % (n % 7), b"v" * n) for n in range(50)), attributes=codec)
        offset_map, _ = fill(kernel, log)
        assert [offset_map.get(b"key-%d" % n) for n in range(7)] == [49, *range(43, 49)]


class TestRoom:
    @pytest.mark.parametrize("capacity", range(1, 7))
    def test_it_stops_before_the_key_that_has_no_room(self, kernel, capacity):
        log = [batch(0, *((b"%d" % n, b"") for n in range(3)))]
        log += [batch(3, *((b"%d" % n, b"") for n in range(3, 7)))]
        offset_map, outcome = fill(kernel, log, new_map(kernel, capacity))
        assert offset_map.capacity == capacity
        assert outcome.is_full
        assert offset_map.latest_offset == capacity - 1
        assert [offset_map.get(b"%d" % n) for n in range(7)] == [
            n if n < capacity else -1 for n in range(7)
        ]

    def test_also_for_a_key_that_is_there_already(self, kernel):
        """As in Kafka, where the room is looked at first."""
        offset_map, outcome = fill(kernel, batch(0, (b"a", b"1"), (b"a", b"2")), new_map(kernel, 1))
        assert (outcome.is_full, offset_map.get(b"a"), offset_map.latest_offset) == (True, 0, 0)

    def test_a_full_map_takes_in_what_needs_no_room(self, kernel):
        log = [batch(0, (b"a", b"1")), batch(1, (None, b"")), batch(2, (b"b", b""))]
        offset_map, outcome = fill(kernel, log, new_map(kernel, 1))
        assert (outcome.is_full, offset_map.latest_offset, outcome.next_offset) == (True, 1, 2)
        assert outcome.consumed == len(encode(log[:2]))

    def test_the_load_factor_is_kafkas(self, kernel):
        assert kernel.OffsetMap(24 * 1000, HASH_KEY).capacity == 900
        assert kernel.OffsetMap(24 * 1000 + 23, HASH_KEY, 0.5).capacity == 500

    @pytest.mark.parametrize(("memory", "load"), [(0, 0.9), (24, 0.9), (47, 0.4), (2400, 0)])
    def test_memory_for_no_key_is_refused(self, kernel, memory, load):
        with pytest.raises(ConfigError):
            kernel.OffsetMap(memory, HASH_KEY, load)

    def test_a_hash_key_has_16_bytes(self, kernel):
        with pytest.raises(ValueError, match="16 bytes"):
            kernel.OffsetMap(ROOM, b"short")

    @pytest.mark.parametrize("slots", [2, 10, 33, 1000])
    def test_every_key_is_found_in_a_table_that_is_all_but_full(self, kernel, slots):
        """Long ways to the next free slot, also around the table's end."""
        generator = random.Random(slots)
        offset_map = kernel.OffsetMap(24 * slots, generator.randbytes(16), 0.999)
        keys = [generator.randbytes(generator.randrange(20)) for _ in range(3 * slots)]
        expected = {}
        for offset, key in enumerate(keys):
            if len(expected) == offset_map.capacity:
                break
            assert not fill(kernel, batch(offset, (key, b"")), offset_map)[1].is_full
            expected[key] = offset
        assert len(offset_map) == offset_map.capacity == max(1, int(slots * 0.999))
        assert {key: offset_map.get(key) for key in expected} == expected
        assert all(offset_map.get(b"absent-%d" % n) == -1 for n in range(100))


class TestDecisions:
    @pytest.mark.parametrize("decision", [EXPIRE, EMPTY, DISCARD])
    def test_what_is_not_kept_has_no_keys(self, kernel, decision):
        log = [batch(0, (b"a", b"")), batch(1, (b"a", b""), attributes=TRANSACTIONAL)]
        offset_map, _ = fill(kernel, log, decide=lambda _: decision)
        assert (offset_map.get(b"a"), offset_map.latest_offset) == (0, 1)

    def test_control_batches_have_no_keys_whatever_is_decided(self, kernel):
        log = [batch(0, (b"a", b"")), batch(1, (b"b", b""), attributes=CONTROL)]
        offset_map, _ = fill(kernel, log, decide=lambda _: KEEP)
        assert (len(offset_map), offset_map.latest_offset) == (1, 1)

    def test_it_is_asked_in_the_order_of_the_log_about_those_only(self, kernel):
        asked = []
        log = [
            batch(at, (b"a", b""), attributes=attributes)
            for at, attributes in enumerate([0, CONTROL, TRANSACTIONAL, 0x30, 0])
        ]

        def decide(found):
            asked.append((found.base_offset, found.is_control, found.is_transactional))
            return KEEP

        fill(kernel, log, decide=decide, from_offset=9)
        assert asked == [(1, True, False), (2, False, True), (3, True, True)]

    def test_what_it_raises_comes_out(self, kernel):
        def decide(_):
            raise LookupError("no such transaction")

        with pytest.raises(LookupError, match="no such"):
            fill(kernel, batch(0, (b"a", b""), attributes=TRANSACTIONAL), decide=decide)


class TestBuffers:
    def test_a_batch_that_is_cut_is_asked_for(self, kernel):
        whole = encode([batch(0, (b"a", b"1")), batch(1, (b"b", b"2"), (b"c", b"3"))])
        first = len(encode(batch(0, (b"a", b"1"))))
        for size in range(first, len(whole)):
            offset_map = kernel.OffsetMap(ROOM, HASH_KEY)
            outcome = offset_map.add_batches(whole[:size], decide=nothing_to_decide)
            assert outcome.consumed == first
            missing = 0 if size == first else 61 if size < first + 17 else len(whole) - first
            assert outcome.needed == missing, size
            assert (len(offset_map), outcome.next_offset) == (1, 1)

    def test_offsets_do_not_go_back(self, kernel):
        log = encode([batch(5, (b"a", b"")), batch(4, (b"b", b""))])
        with pytest.raises(CorruptRecordError, match="out of order") as caught:
            kernel.OffsetMap(ROOM, HASH_KEY).add_batches(log, decide=nothing_to_decide)
        assert caught.value.position == len(encode(batch(5, (b"a", b""))))
        with pytest.raises(CorruptRecordError, match="out of order"):
            fill(kernel, batch(5, (b"a", b"")), expected_offset=6)

    def test_old_formats_are_refused_by_name(self, kernel):
        old = bytearray(encode(batch(0, (b"a", b""))))
        old[16] = 1
        with pytest.raises(UnsupportedFormatError):
            kernel.OffsetMap(ROOM, HASH_KEY).add_batches(old, decide=nothing_to_decide)


@given(
    log=model_logs(),
    capacity=st.integers(1, 8),
    start=st.integers(0, 20),
    choices=st.lists(st.sampled_from([KEEP, KEEP, DISCARD]), max_size=5),
)
def test_any_log_is_mapped_as_kafka_would(log, capacity, start, choices):
    from_offset = log[0].base_offset + start if log else start
    decisions = random_decisions(log, choices)
    expected = ModelMap(capacity)
    fits = expected.fill(log, lambda each: decisions[each.base_offset], from_offset)
    outcomes = []
    for name in ("pure", "compiled"):
        kernel = load_kernel(name)
        offset_map, outcome = fill(
            kernel,
            log,
            new_map(kernel, capacity),
            decide=lambda found: decisions[found.base_offset],
            from_offset=from_offset,
        )
        assert outcome.is_full is not fits
        assert offset_map.latest_offset == expected.latest
        assert len(offset_map) == len(expected.offsets)
        assert {key: offset_map.get(key) for key in expected.offsets} == expected.offsets
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]
