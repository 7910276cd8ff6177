"""Produce, fetch and list offsets: Kafka's rules for each."""

from __future__ import annotations

import threading

import pytest

from streamlog.broker import fetch, list_offsets, produce
from streamlog.broker.engine import Engine
from streamlog.broker.fetch import FetchRequest
from streamlog.errors import (
    ConfigError,
    CorruptRecordError,
    InvalidRecordError,
    InvalidTimestampError,
    LogTruncatedError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceError,
    RecordTooLargeError,
)
from streamlog.record import TimestampType
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder
from streamlog.storage.filesystem import Filesystem
from streamlog.types import OffsetSpec
from tests.broker.conftest import append, batch, read


def make(engine: Engine, **settings: object):  # type: ignore[no-untyped-def]
    engine.create_topic("a", 2, settings)
    return engine.partition("a", 0)


# -------------------------------------------------------------------- produce


def test_a_batch_over_the_limit_is_refused_and_nothing_written(engine: Engine) -> None:
    log = make(engine, max_message_bytes=200)
    with pytest.raises(RecordTooLargeError) as caught:
        append(log, b"x" * 200)
    assert (caught.value.limit, caught.value.outcome) == (200, "not_written")
    append(log, b"x" * 100)
    assert log.log_end == 1


def test_timestamps_are_bounded_both_ways(engine: Engine) -> None:
    log = make(engine, message_timestamp_after_max_ms=500, message_timestamp_before_max_ms=1500)
    for timestamp, fits in ((2500, True), (2501, False), (500, True), (499, False), (-1, True)):
        if fits:
            append(log, b"x", timestamp=timestamp)
        else:
            with pytest.raises(InvalidTimestampError):
                append(log, b"x", timestamp=timestamp)
    assert log.log_end == 3


def test_a_topic_with_its_own_time_stamps_every_record(engine: Engine) -> None:
    log = make(engine, message_timestamp_type="LogAppendTime")
    append(log, b"x", b"y", timestamp=7)
    one = RecordBatch(log.fetch(0, 1 << 16).view)
    one.check()
    assert one.timestamp_type == TimestampType.LOG_APPEND_TIME
    assert [record.timestamp for record in one.records("a", 0)] == [2000, 2000]


def test_a_producer_cannot_claim_the_logs_time_or_write_control_records(engine: Engine) -> None:
    log = make(engine)
    with pytest.raises(InvalidTimestampError):
        append(log, b"x", timestamp_type=1)
    with pytest.raises(InvalidRecordError):
        append(log, b"x", control=True)
    assert log.log_end == 0


def test_a_compacted_topic_demands_keys(engine: Engine) -> None:
    log = make(engine, cleanup_policy="compact")
    with pytest.raises(InvalidRecordError, match="key"):
        append(log, b"x")
    append(log, b"x", key=b"k")
    assert log.log_end == 1


@pytest.mark.parametrize("codec", [0, 4])
def test_what_is_wrong_with_one_record_of_a_batch_is_found_and_named(
    engine: Engine, codec: int
) -> None:
    log = make(engine, cleanup_policy="compact", message_timestamp_before_max_ms=1500)
    keyless, old = RecordBatchBuilder(codec=codec), RecordBatchBuilder(codec=codec)
    for number in range(5):
        keyless.append(2000, None if number == 3 else b"k", b"v", ())
        old.append(499 if number == 3 else 2000, b"k", b"v", ())
    with pytest.raises(InvalidRecordError, match="record 3 of the batch") as raised:
        produce.append(log, keyless.build(), acks=1, now_ms=2000)
    assert raised.value.record == 3
    with pytest.raises(InvalidTimestampError, match="499"):
        produce.append(log, old.build(), acks=1, now_ms=2000)
    assert log.log_end == 0


def test_a_batch_that_lies_about_its_records_is_not_appended(engine: Engine) -> None:
    log = make(engine, cleanup_policy="compact")
    lying = batch(b"x", b"y", key=b"k")
    lying[57:61] = (1).to_bytes(4, "big")
    with pytest.raises(CorruptRecordError, match="left over"):
        produce.append(log, lying, acks=1, now_ms=2000)
    assert log.log_end == 0


@pytest.mark.parametrize(("name", "codec"), [("gzip", 1), ("lz4", 3), ("zstd", 4)])
def test_the_topics_codec_wins(engine: Engine, name: str, codec: int) -> None:
    log = make(engine, compression_type=name)
    append(log, b"x" * 1000, b"y")
    assert RecordBatch(log.fetch(0, 1 << 16).view).codec == codec
    assert read(log) == [(0, b"x" * 1000), (1, b"y")]


def test_duplicates_are_answered_and_gaps_refused(engine: Engine) -> None:
    log = make(engine)
    first = append(log, b"x", producer_id=5, producer_epoch=0, base_sequence=0)
    again = append(log, b"x", producer_id=5, producer_epoch=0, base_sequence=0)
    assert (again.base_offset, again.duplicate) == (first.base_offset, True)
    with pytest.raises(OutOfOrderSequenceError):
        append(log, b"z", producer_id=5, producer_epoch=0, base_sequence=2)
    assert log.log_end == 1


def test_flush_messages_bounds_what_is_not_on_the_disk(engine: Engine) -> None:
    log = make(engine, flush_messages=3)
    for _ in range(7):
        append(log, b"x")
        if engine.place.durable:
            assert log.log_end - log.synced_end < 3


def test_flush_ms_bounds_how_long_a_record_is_not_on_the_disk(path: str) -> None:
    synced = threading.Event()

    class Disk(Filesystem):
        is_operating_system = False

        def kind(self, path: str) -> str:
            return "ext4"

        def sync_directory(self, path: str) -> None:
            super().sync_directory(path)
            if path.endswith("/a-0"):
                synced.set()

    engine = Engine.open(path, filesystem=Disk())
    engine.create_topic("a", 1, {"flush_ms": 5})
    append(engine.partition("a", 0), b"x")
    assert synced.wait(30)
    engine.close()


# -------------------------------------------------------------------- fetch


def test_partitions_are_served_in_order_and_the_first_batch_always(engine: Engine) -> None:
    one = make(engine)
    two = engine.partition("a", 1)
    for log in (one, two):
        append(log, b"x" * 1000)
        append(log, b"y" * 1000)
    size = len(batch(b"x" * 1000))

    def sizes(*limits: int, total: int) -> list[int]:
        requests = [
            FetchRequest(log, 0, limit) for log, limit in zip((one, two), limits, strict=True)
        ]
        results = fetch.fetch(engine, requests, max_bytes=total)
        return [len(result.fetched.view) for result in results if result.fetched is not None]

    assert sizes(9999, 9999, total=99999) == [2 * size, 2 * size]
    assert sizes(1, 9999, total=99999) == [size, 2 * size]
    assert sizes(9999, 1, total=99999) == [2 * size, 0]
    assert sizes(1, 1, total=1) == [size, 0]
    assert sizes(9999, 9999, total=3 * size) == [2 * size, size]


def test_a_fetch_waits_for_data_and_is_woken_by_it(engine: Engine) -> None:
    log = make(engine)
    results: list[fetch.FetchResult] = []
    waiting = threading.Thread(
        target=lambda: results.extend(
            fetch.fetch(engine, [FetchRequest(log, 0, 1 << 16)], min_bytes=1, max_wait_ms=60_000)
        )
    )
    waiting.start()
    append(log, b"x")
    waiting.join(timeout=30)
    assert not waiting.is_alive()
    assert results[0].fetched is not None
    assert results[0].fetched.next_offset == 1


def test_a_fetch_without_data_ends_with_its_time(engine: Engine) -> None:
    log = make(engine)
    [result] = fetch.fetch(engine, [FetchRequest(log, 0, 1 << 16)], max_wait_ms=20)
    assert result.fetched is not None
    assert not result.fetched.view
    assert result.error is None


def test_an_error_ends_the_wait_and_spares_the_others(engine: Engine) -> None:
    log = make(engine)
    append(log, b"x")
    requests = [FetchRequest(log, 5, 99), FetchRequest(log, 0, 99)]
    bad, good = fetch.fetch(engine, requests, min_bytes=1 << 20, max_wait_ms=60_000)
    assert isinstance(bad.error, OffsetOutOfRangeError)
    assert good.fetched is not None
    assert good.fetched.view


# -------------------------------------------------------------------- offsets


def test_offsets_by_time_and_at_the_ends(engine: Engine) -> None:
    log = make(engine)
    assert list_offsets.list_offset(log, OffsetSpec.MAX_TIMESTAMP) is None
    assert list_offsets.list_offset(log, 0) is None
    for timestamp in (10, 30, 20):
        append(log, b"x", timestamp=timestamp)

    def at(timestamp: int) -> tuple[int, int] | None:
        found = list_offsets.list_offset(log, timestamp)
        return None if found is None else (found.offset, found.timestamp)

    assert at(OffsetSpec.EARLIEST) == (0, -1)
    assert at(OffsetSpec.LATEST) == (3, -1)
    assert at(OffsetSpec.MAX_TIMESTAMP) == (1, 30)
    assert [at(timestamp) for timestamp in (0, 10, 11, 30, 31)] == [
        (0, 10),
        (0, 10),
        (1, 30),
        (1, 30),
        None,
    ]
    with pytest.raises(ConfigError):
        at(-7)


def test_a_position_of_another_epoch_is_told_that_the_log_lost_its_tail(engine: Engine) -> None:
    log = make(engine)
    append(log, b"x")
    list_offsets.check_position(log, 1, 0)
    list_offsets.check_position(log, 1, None)
    from streamlog.storage.filesystem import OS_FILESYSTEM
    from streamlog.storage.leader_epochs import LeaderEpochs, write_leader_epochs

    write_leader_epochs(OS_FILESYSTEM, log.directory, LeaderEpochs([(0, 0), (1, 1)]))
    list_offsets.check_position(log, 1, 0)
    with pytest.raises(LogTruncatedError) as caught:
        list_offsets.check_position(log, 4, 0)
    assert caught.value.log_end == 1
