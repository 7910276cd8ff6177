"""A producer that runs while another process changes its topics' settings."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlog.broker.engine import Engine
from streamlog.errors import (
    InvalidRecordError,
    InvalidTimestampError,
    RecordTooLargeError,
    StreamlogError,
)
from streamlog.record import TimestampType
from streamlog.storage.filesystem import Filesystem
from tests.clients.producer_rig import KERNELS_AND_SKINS, Rig, open_rig
from tests.clients.skins import LoopThread


class Pair:
    """The rig, and another process's engine through which settings change."""

    def __init__(self, rig: Rig, other: Engine) -> None:
        self.rig = rig
        self._other = other

    def alter(self, **settings: Any) -> None:
        self._other.alter_topics({"one": settings})

    def sizes(self) -> list[int]:
        return [batch.size for batch in self.rig.batches("one")]


@pytest.fixture(params=KERNELS_AND_SKINS)
def pair(request: pytest.FixtureRequest, tmp_path: Path, loop_thread: LoopThread) -> Iterator[Pair]:
    path = str(tmp_path / "log")
    kernel, skin = request.param.split()
    with open_rig(path, kernel, loop_thread if skin == "async" else None) as rig:
        rig.engine.create_topic("one")
        other = Engine.open(path, filesystem=Filesystem())
        yield Pair(rig, other)
        other.close()


def refusal(producer: Any, value: bytes, **arguments: Any) -> Exception | None:
    """The error of a send that may have begun before it was known that it is refused."""
    try:
        return producer.send("one", value, **arguments).exception()  # type: ignore[no-any-return]
    except StreamlogError as error:
        return error


# -------------------------------------------------------------------- what send() refuses


def test_what_was_too_large_is_sent_once_it_is_allowed(pair: Pair) -> None:
    """Nothing of this producer was ever written: it looks at the metadata before it refuses."""
    producer = pair.rig.producer()
    with pytest.raises(RecordTooLargeError, match="max_message_bytes=1048588"):
        producer.send("one", b"x" * 1_500_000)
    pair.alter(max_message_bytes=2_000_000)
    assert producer.send("one", b"x" * 1_500_000).result().offset == 0
    with pytest.raises(RecordTooLargeError, match="max_message_bytes=2000000"):
        producer.send("one", b"x" * 2_500_000)


def test_keys_are_demanded_from_the_change_on_and_no_longer(pair: Pair) -> None:
    producer = pair.rig.producer()
    producer.send("one", b"x").result()
    pair.alter(cleanup_policy="compact")
    assert isinstance(refusal(producer, b"x"), InvalidRecordError)
    with pytest.raises(InvalidRecordError, match="compacted"):
        producer.send("one", b"x")
    with pytest.raises(InvalidRecordError, match="compacted"):
        producer.send_many("one", [b"x"])
    pair.alter(cleanup_policy="delete")
    assert producer.send("one", b"x").result().offset == 1


def test_the_bounds_of_timestamps_move(pair: Pair) -> None:
    producer = pair.rig.producer()
    now_ms = pair.rig.clock.now_ms()
    early, late = now_ms - 5000, now_ms + 7_200_000
    producer.send("one", b"x", timestamp_ms=early).result()
    with pytest.raises(InvalidTimestampError, match="ahead"):
        producer.send("one", b"x", timestamp_ms=late)
    pair.alter(message_timestamp_after_max_ms=7_200_000)
    assert producer.send("one", b"x", timestamp_ms=late).result().offset == 1
    pair.alter(message_timestamp_before_max_ms=1000)
    assert isinstance(refusal(producer, b"x", timestamp_ms=early), InvalidTimestampError)
    with pytest.raises(InvalidTimestampError, match="ago"):
        producer.send("one", b"x", timestamp_ms=early)
    pair.alter(message_timestamp_before_max_ms=None, message_timestamp_type="LogAppendTime")
    producer.send("one", b"x", timestamp_ms=early).result()
    assert pair.rig.batches("one")[-1].timestamp_type == TimestampType.LOG_APPEND_TIME
    for wrong in (True, "soon", -1, 1 << 70):
        with pytest.raises((TypeError, InvalidTimestampError)):
            producer.send("one", b"x", timestamp_ms=wrong)


def test_many_records_obey_what_is_there_when_they_are_sent(pair: Pair) -> None:
    producer = pair.rig.producer()
    producer.send("one", b"x").result()
    pair.alter(max_message_bytes=500)
    with pytest.raises(RecordTooLargeError, match="max_message_bytes=500"):
        producer.send_many("one", [b"x" * 600])
    producer.send_many("one", [b"x" * 100] * 20).result()
    assert max(pair.sizes()) <= 500
    pair.alter(max_message_bytes=None, compression_type="zstd")
    producer.send_many("one", [b"x" * 600]).result()
    assert pair.rig.batches("one")[-1].codec == 4


# -------------------------------------------------------------------- what is on its way


def test_the_codec_of_a_batch_is_the_topics_when_it_is_written(pair: Pair) -> None:
    producer = pair.rig.producer(linger_ms=1000, compression_type="gzip")
    futures = [producer.send("one", b"x" * 100) for _ in range(5)]
    pair.alter(compression_type="zstd")
    assert [future.result().offset for future in futures] == list(range(5))
    pair.alter(compression_type="producer")
    producer.send("one", b"x" * 100).result()
    assert [batch.codec for batch in pair.rig.batches("one")] == [4, 1]


@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("idempotent", [False, True])
def test_a_batch_that_no_longer_fits_is_split_and_nobody_notices(
    pair: Pair, codec: str, idempotent: bool
) -> None:
    settings = {"enable_idempotence": True, "acks": "all"} if idempotent else {}
    producer = pair.rig.producer(linger_ms=1000, compression_type=codec, **settings)
    producer.send("one", b"before").result()
    draw = random.Random(1)
    values = [draw.randbytes(draw.randint(0, 300)) for _ in range(60)]
    futures = [
        producer.send("one", value, key=b"k", headers=[("number", b"%d" % number)])
        for number, value in enumerate(values)
    ]
    pair.alter(max_message_bytes=1000)
    producer.flush()
    assert [future.result().offset for future in futures] == list(range(1, 61))
    records = pair.rig.records("one")[1:]
    assert [(record.value, record.headers[0][1]) for record in records] == [
        (value, b"%d" % number) for number, value in enumerate(values)
    ]
    batches = pair.rig.batches("one")[1:]
    assert max(batch.size for batch in batches) <= 1000
    assert len(batches) > 5
    assert {batch.codec for batch in batches} == {{"none": 0, "gzip": 1, "zstd": 4}[codec]}
    if idempotent:
        assert [batch.base_sequence for batch in batches] == [b.base_offset for b in batches]
    producer.send("one", b"after").result()


def test_a_record_that_no_longer_fits_fails_its_batch(pair: Pair) -> None:
    producer = pair.rig.producer(linger_ms=1000)
    small, large = producer.send("one", b"x"), producer.send("one", b"x" * 2000)
    pair.alter(max_message_bytes=1000)
    for future in (small, large):
        error = future.exception()
        assert isinstance(error, RecordTooLargeError)
        assert (error.limit, error.outcome) == (1000, "not_written")
    assert pair.rig.values("one") == []
    assert producer.send("one", b"x").result().offset == 0


def test_a_limit_that_sinks_just_before_the_append_splits_it_too(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread of this process hears of it while a batch is being finished."""
    producer = pair.rig.producer(linger_ms=1000)
    names = type(pair.rig.under(producer))._append_finished.__globals__
    genuine = names["finish"]

    def finish(*arguments: Any) -> Any:
        finished = genuine(*arguments)
        pair.alter(max_message_bytes=1000)
        pair.rig.engine.refresh()
        return finished

    monkeypatch.setitem(names, "finish", finish)
    futures = [producer.send("one", b"x" * 100) for _ in range(50)]
    producer.flush()
    assert [future.result().offset for future in futures] == list(range(50))
    assert max(pair.sizes()) <= 1000


def test_encoded_records_are_split_too_and_their_places_told(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings change between the encoding of many records and their append."""
    producer = pair.rig.producer()
    producer.send("one", b"before").result()
    under = pair.rig.under(producer)
    genuine = under.append_encoded

    def append_late(*arguments: Any) -> Any:
        pair.alter(max_message_bytes=5000)
        return genuine(*arguments)

    monkeypatch.setattr(under, "append_encoded", append_late)
    values = [b"%d" % number * 100 for number in range(300)]
    places = producer.send_many("one", values).result()
    assert len(places) > 10
    assert sum(place.count for place in places) == 300
    batches = pair.rig.batches("one")[1:]
    assert [(place.base_offset, place.count) for place in places] == [
        (batch.base_offset, batch.count) for batch in batches
    ]
    assert max(batch.size for batch in batches) <= 5000
    assert pair.rig.values("one")[1:] == values


def test_full_batches_that_went_together_go_alone_where_segments_are_smaller(pair: Pair) -> None:
    producer = pair.rig.producer(linger_ms=1, batch_size=1000)
    futures = [producer.send("one", b"x" * 90) for _ in range(8)]
    pair.alter(internal_segment_bytes=1500)
    futures += [producer.send("one", b"x" * 90) for _ in range(40)]
    producer.flush()
    assert [future.result().offset for future in futures] == list(range(48))
    assert len(list(Path(pair.rig.engine.partition("one", 0).directory).glob("*.log"))) > 2
