from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.record.cleaning_model import (
    APPEND_TIME,
    CONTROL,
    DISCARD,
    EMPTY,
    EXPIRE,
    HORIZON,
    KEEP,
    TRANSACTIONAL,
    ModelMap,
    ModelRecord,
    batch,
    clean,
    encode,
    model_logs,
    random_decisions,
)
from tests.record.conftest import load_kernel
from tests.record.samples import CODECS, COMMIT_MARKER, EMPTY_BATCH, NOW, batch_of, with_crc

HASH_KEY = bytes(range(16))
DAY = 86_400_000
MARKER = TRANSACTIONAL | CONTROL


def mapped(kernel, batches):
    offset_map = kernel.OffsetMap(24 * 1000, HASH_KEY)
    offset_map.add_batches(encode(batches), decide=lambda _: KEEP)
    return offset_map


def cleaned(kernel, batches, offset_map=None, **settings):
    """What cleaning leaves of the batches, with a map of all their keys unless one is given."""
    offset_map = mapped(kernel, batches) if offset_map is None else offset_map
    given = {"decide": lambda _: KEEP, "now_ms": NOW, "delete_retention_ms": DAY, **settings}
    return kernel.clean_batches(encode(batches), offset_map, **given)


def offsets(kernel, output):
    found, position = [], 0
    while position < len(output):
        each = kernel.RecordBatch(output, position)
        each.check()
        found += [record.offset for record in each]
        position += each.size
    return found


class TestRecords:
    def test_the_latest_of_each_key_stays(self, kernel):
        log = [batch(0, (b"a", b"1"), (b"b", b"1")), batch(2, (b"a", b"2"), (b"c", b"1"))]
        outcome = cleaned(kernel, log)
        assert offsets(kernel, outcome.output) == [1, 2, 3]
        assert (outcome.records_read, outcome.records_kept) == (4, 3)
        assert (outcome.batches_read, outcome.batches_kept) == (2, 2)
        assert (outcome.consumed, outcome.needed, outcome.next_offset) == (len(encode(log)), 0, 4)

    def test_what_is_beyond_the_map_stays(self, kernel):
        log = [batch(0, (b"a", b"1"), (None, b"2"), (b"a", b"3"), (b"a", None))]
        outcome = cleaned(kernel, log, mapped(kernel, batch(0, (b"a", b"1"))))
        assert offsets(kernel, outcome.output) == [0, 1, 2, 3]

    def test_keys_that_the_map_does_not_know_stay(self, kernel):
        outcome = cleaned(kernel, batch(0, (b"a", b"1")), mapped(kernel, batch(5, (b"b", b""))))
        assert offsets(kernel, outcome.output) == [0]

    def test_records_without_a_key_go(self, kernel):
        outcome = cleaned(kernel, batch(0, (None, b"1"), (b"a", b""), (None, None)))
        assert offsets(kernel, outcome.output) == [1]
        assert outcome.keyless_dropped == 2

    def test_the_empty_key_is_a_key(self, kernel):
        outcome = cleaned(kernel, batch(0, (b"", b"1"), (b"", b"2")))
        assert offsets(kernel, outcome.output) == [1]


class TestTombstones:
    """A tombstone gets its time at the first cleaning, and goes when that is over (KIP-534)."""

    def test_the_first_cleaning_sets_the_horizon(self, kernel):
        log = batch(0, (b"a", b"1", NOW), (b"b", None, NOW + 7))
        outcome = cleaned(kernel, log)
        expected = log._replace(base_timestamp=NOW + DAY, attributes=HORIZON)
        assert bytes(outcome.output) == encode(expected)
        assert (outcome.tombstones_kept, outcome.records_kept) == (1, 2)
        assert [record.timestamp for record in kernel.RecordBatch(outcome.output)] == [NOW, NOW + 7]

    @pytest.mark.parametrize(("now", "kept"), [(NOW - 1, [0, 1]), (NOW, [0]), (NOW + 1, [0])])
    def test_it_goes_once_the_horizon_is_reached(self, kernel, now, kept):
        log = batch(0, (b"a", b"1"), (b"b", None), base_timestamp=NOW, attributes=HORIZON)
        outcome = cleaned(kernel, log, now_ms=now)
        assert offsets(kernel, outcome.output) == kept
        assert outcome.tombstones_dropped == 2 - len(kept)
        if kept == [0, 1]:
            assert bytes(outcome.output) == encode(log)
        else:  # the horizon stays with what else was in the batch
            rewritten = log._replace(records=log.records[:1], max_timestamp=NOW)
            assert bytes(outcome.output) == encode(rewritten)

    def test_one_beyond_the_map_stays_whatever_its_horizon(self, kernel):
        log = batch(5, (b"a", None), base_timestamp=NOW - 1, attributes=HORIZON)
        outcome = cleaned(kernel, log, mapped(kernel, batch(0, (b"a", b"1"))))
        assert bytes(outcome.output) == encode(log)

    def test_one_that_was_replaced_goes_at_once(self, kernel):
        outcome = cleaned(kernel, batch(0, (b"a", None), (b"a", b"1")))
        assert offsets(kernel, outcome.output) == [1]
        assert not kernel.RecordBatch(outcome.output).has_delete_horizon

    def test_a_retention_for_ever_overflows_nothing(self, kernel):
        outcome = cleaned(kernel, batch(0, (b"a", None)), delete_retention_ms=2**63 - 1)
        assert kernel.RecordBatch(outcome.output).base_timestamp == 2**63 - 1
        assert [record.timestamp for record in kernel.RecordBatch(outcome.output)] == [NOW]


class TestBatches:
    def test_one_that_keeps_everything_is_copied_byte_for_byte(self, kernel):
        odd = bytearray(encode(batch(0, (b"a", b"1"))))
        odd[21] |= 0x80  # a bit that nobody knows, and a base timestamp that is not the first
        log = with_crc(odd)
        outcome = kernel.clean_batches(
            log, mapped(kernel, []), decide=None, now_ms=NOW, delete_retention_ms=0
        )
        assert bytes(outcome.output) == log

    def test_one_that_is_rewritten_keeps_what_its_header_says(self, kernel):
        log = batch(
            100, (b"a", b"1"), (b"a", b"2"), (b"b", b"3"), (b"a", b"4"),
            last_offset=119, leader_epoch=3, producer_id=4000, producer_epoch=2, base_sequence=9,
            attributes=TRANSACTIONAL,
        )  # fmt: skip
        left = log._replace(records=log.records[2:], base_timestamp=NOW + 102)
        assert bytes(cleaned(kernel, log).output) == encode(left)

    def test_the_largest_timestamp_is_that_of_what_stays(self, kernel):
        log = batch(0, (b"a", b"1", NOW + 99), (b"b", b"", NOW + 5), (b"a", b"2", NOW - 5))
        found = kernel.RecordBatch(cleaned(kernel, log).output)
        assert (found.base_timestamp, found.max_timestamp) == (NOW + 5, NOW + 5)

    def test_records_without_timestamps_stay_without(self, kernel):
        found = kernel.RecordBatch(
            cleaned(kernel, batch(0, (b"a", b"", -1), (b"a", b"1", -1))).output
        )
        assert (found.base_timestamp, found.max_timestamp) == (-1, -1)
        assert [record.timestamp for record in found] == [-1]

    def test_the_logs_own_time_stays_that_of_the_append(self, kernel):
        log = batch(
            0, (b"a", b"1", 5), (b"a", b"2", 6), (b"b", None, 7),
            max_timestamp=NOW, attributes=APPEND_TIME,
        )  # fmt: skip
        found = kernel.RecordBatch(cleaned(kernel, log).output)
        assert (found.max_timestamp, found.base_timestamp) == (NOW, NOW + DAY)
        assert [(record.offset, record.timestamp) for record in found] == [(1, NOW), (2, NOW)]

    @pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
    def test_it_stays_in_its_codec(self, kernel, codec):
        records = [(b"key-%d" % (n % 20), b"value" * n) for n in range(100)]
        log = batch(0, *records, attributes=codec)
        outcome = cleaned(kernel, log)
        left = log._replace(records=log.records[80:], base_timestamp=NOW + 80)
        assert bytes(outcome.output) == encode(left)
        assert kernel.RecordBatch(outcome.output).codec == codec

    def test_one_without_records_goes(self, kernel):
        log = [batch(0, (b"a", b"1")), batch(1, last_offset=4), batch(5, (b"a", b"2"))]
        outcome = cleaned(kernel, log)
        assert bytes(outcome.output) == encode(log[2])
        assert (outcome.batches_read, outcome.batches_kept) == (3, 1)

    def test_unless_its_header_is_needed(self, kernel):
        """The golden bytes were computed outside this project."""
        log = [
            batch(
                100, *((b"a", b"") for _ in range(5)), max_timestamp=NOW, attributes=CODECS["lz4"],
                producer_id=4000, producer_epoch=2, base_sequence=9, leader_epoch=1,
            ),
            batch(105, (b"a", b"last")),
        ]  # fmt: skip
        outcome = cleaned(kernel, log, retain_empty={104})
        assert bytes(outcome.output) == EMPTY_BATCH + encode(log[1])
        again = kernel.clean_batches(
            outcome.output,
            mapped(kernel, log),
            decide=None,
            retain_empty={104},
            now_ms=NOW,
            delete_retention_ms=DAY,
        )
        assert again.output == outcome.output

    def test_records_of_a_batch_that_is_needed_stay_if_they_are_the_latest(self, kernel):
        log = batch(0, (b"a", b"1"), (b"b", b"2"))
        assert bytes(cleaned(kernel, log, retain_empty={1}).output) == encode(log)


class TestDecisions:
    def decided(self, kernel, decision, log, **settings):
        return cleaned(kernel, log, decide=lambda _: decision, **settings).output

    def test_what_is_discarded_goes_unread(self, kernel):
        broken = batch_of(b"no records", attributes=TRANSACTIONAL)
        offset_map = mapped(kernel, [])
        outcome = kernel.clean_batches(
            broken, offset_map, decide=lambda _: DISCARD, now_ms=0, delete_retention_ms=0
        )
        assert (outcome.output, outcome.records_read, outcome.batches_kept) == (b"", 1, 0)

    @pytest.mark.parametrize("decision", [DISCARD, EMPTY])
    def test_the_header_stays_when_it_is_needed(self, kernel, decision):
        log = batch(7, (b"a", b"1"), attributes=TRANSACTIONAL | APPEND_TIME, producer_id=5)
        left = log._replace(records=(), base_timestamp=-1)
        needed = {7} if decision == DISCARD else ()
        assert bytes(self.decided(kernel, decision, log, retain_empty=needed)) == encode(left)

    def test_control_records_all_stay(self, kernel):
        log = batch(0, (b"a", b"1"), (b"a", b"2"), (None, b"3"), attributes=MARKER)
        assert bytes(self.decided(kernel, KEEP, log)) == encode(log)

    def test_a_marker_that_expires_gets_a_horizon_once(self, kernel):
        offset_map = mapped(kernel, [])
        settings = {"decide": lambda _: EXPIRE, "delete_retention_ms": DAY}
        first = kernel.clean_batches(COMMIT_MARKER, offset_map, now_ms=NOW, **settings)
        found = kernel.RecordBatch(first.output)
        assert (found.has_delete_horizon, found.base_timestamp) == (True, NOW + DAY)
        assert (found.base_offset, found.producer_id, found.leader_epoch) == (7, 4000, 1)
        assert [record.timestamp for record in found] == [NOW]
        second = kernel.clean_batches(first.output, offset_map, now_ms=NOW + 5, **settings)
        assert second.output == first.output

    def test_records_of_a_kept_transaction_are_looked_at_one_by_one(self, kernel):
        log = batch(0, (b"a", b"1"), (b"a", b"2"), attributes=TRANSACTIONAL)
        assert offsets(kernel, self.decided(kernel, KEEP, log)) == [1]

    def test_what_it_raises_comes_out(self, kernel):
        def decide(_):
            raise LookupError("no such transaction")

        with pytest.raises(LookupError):
            cleaned(
                kernel, batch(0, (b"", b""), attributes=MARKER), mapped(kernel, []), decide=decide
            )


@given(
    log=model_logs(),
    mapped_from=st.integers(0, 12),
    mapped_to=st.integers(0, 12),
    choices=st.lists(st.sampled_from([KEEP, KEEP, EXPIRE, EMPTY, DISCARD]), max_size=5),
    needed=st.sets(st.integers(0, 12)),
    now=st.sampled_from([NOW - 1, NOW, NOW + 2]),
    retention=st.sampled_from([0, 1, DAY]),
)
def test_any_log_is_cleaned_as_kafka_would(
    log, mapped_from, mapped_to, choices, needed, now, retention
):
    dirty = log[mapped_from:mapped_to]
    decisions = random_decisions(log, choices)
    retain_empty = {log[at].last_offset for at in needed if at < len(log)}
    known = ModelMap()
    known.fill(dirty, lambda each: decisions[each.base_offset])
    left = clean(log, known, now, retention, lambda each: decisions[each.base_offset], retain_empty)
    outcomes = []
    for name in ("pure", "compiled"):
        kernel = load_kernel(name)
        offset_map = kernel.OffsetMap(24 * 1000, HASH_KEY)
        offset_map.add_batches(encode(dirty), decide=lambda each: decisions[each.base_offset])
        outcome = kernel.clean_batches(
            encode(log),
            offset_map,
            decide=lambda each: decisions[each.base_offset],
            retain_empty=retain_empty,
            now_ms=now,
            delete_retention_ms=retention,
        )
        assert bytes(outcome.output) == encode(left)
        assert outcome.batches_kept == len(left)
        assert outcome.records_kept == sum(len(each.records) for each in left)
        assert outcome.tombstones_kept == sum(
            record.value is None for each in left for record in each.records
        )
        assert outcome.records_read == sum(len(each.records) for each in log)
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]


@given(log=model_logs(decided=False), capacity=st.integers(1, 4))
def test_passes_with_a_small_map_end_where_one_with_a_large_map_ends(log, capacity):
    for name in ("pure", "compiled"):
        kernel = load_kernel(name)
        data, from_offset, passes = encode(log), 0, 0
        end = log[-1].last_offset + 1 if log else 0
        while from_offset < end:
            offset_map = kernel.OffsetMap(24 * capacity * 2, HASH_KEY, 0.5)
            outcome = offset_map.add_batches(data, decide=None, from_offset=from_offset)
            if not outcome.is_full:
                offset_map.advance_to(end - 1)
            data = kernel.clean_batches(
                data, offset_map, decide=None, now_ms=0, delete_retention_ms=DAY
            ).output
            assert offset_map.latest_offset >= from_offset, "no pass is in vain"
            from_offset = offset_map.latest_offset + 1
            passes += 1
        assert records_in(kernel, data) == latest_records(log)
        assert passes >= len({r.key for each in log for r in each.records} - {None}) / capacity


def records_in(kernel, data):
    found, position = [], 0
    while position < len(data):
        each = kernel.RecordBatch(data, position)
        found += [
            ModelRecord(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in each
        ]
        position += each.size
    return found


def latest_records(log):
    latest = {}
    for each in log:
        for record in each.records:
            timestamp = each.max_timestamp if each.attributes & APPEND_TIME else record.timestamp
            if record.key is not None:
                headers = tuple(
                    (k.decode("utf-8", "surrogateescape"), v) for k, v in record.headers
                )
                latest[record.key] = record._replace(timestamp=timestamp, headers=headers)
    return sorted(latest.values())
