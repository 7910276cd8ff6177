"""`send_many`: what is wrong is said before anything is written; the rest is one fast path."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streamlog.errors import (
    InvalidRecordError,
    InvalidTimestampError,
    RecordTooLargeError,
    UnknownTopicError,
)
from tests.clients.producer_rig import KERNELS_AND_SKINS, Rig, open_rig
from tests.clients.skins import LoopThread


@pytest.fixture(params=KERNELS_AND_SKINS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, loop_thread: LoopThread) -> Iterator[Rig]:
    kernel, skin = request.param.split()
    with open_rig(str(tmp_path / "log"), kernel, loop_thread if skin == "async" else None) as rig:
        rig.engine.create_topic("one")
        rig.engine.create_topic("six", 6)
        yield rig


def test_many_records_in_few_large_batches_behind_those_before_them(rig: Rig) -> None:
    producer = rig.producer(linger_ms=1000)
    producer.send("one", b"before")
    values = [b"%06d" % number * 10 for number in range(5000)]
    places = producer.send_many("one", values).result()
    assert rig.values("one") == [b"before", *values]
    assert sum(place.count for place in places) == 5000
    assert places[0].base_offset == 1
    for place, following in pairwise(places):
        assert following.base_offset == place.base_offset + place.count
    sizes = [batch.size for batch in rig.batches("one")[1:]]
    assert max(sizes) <= 65_536
    assert len(sizes) < 12


def test_keys_spread_over_partitions_and_keep_their_order(rig: Rig) -> None:
    producer = rig.producer()
    keys = [b"key-%d" % (number % 17) for number in range(3000)]
    values = [b"%d" % number for number in range(3000)]
    places = producer.send_many("six", values, keys).result()
    assert sum(place.count for place in places) == 3000
    singles = {key: producer.send("six", b"", key=key).result().partition for key in set(keys)}
    for partition in range(6):
        found = [(r.key, r.value) for r in rig.records("six", partition) if r.value]
        assert found == [
            (key, value)
            for key, value in zip(keys, values, strict=True)
            if singles[key] == partition
        ]


def test_keyless_ones_among_keys_join_the_sticky_partition_in_order(rig: Rig) -> None:
    rig.choices = [3]
    producer = rig.producer()
    producer.send_many("six", [b"a", b"b", b"c", b"d"], [None, b"abc", None, b"21"]).result()
    assert rig.values("six", 3) == [b"a", b"b", b"c"]  # murmur2 puts abc there too
    assert rig.values("six", 0) == [b"d"]


def test_timestamps_partition_and_iterables(rig: Rig) -> None:
    producer = rig.producer()
    now = rig.clock.now_ms()
    values = (b"%d" % number for number in range(3))
    producer.send_many("six", values, partition=4, timestamps_ms=[now - 9, None, now - 7]).result()
    found = [(record.timestamp, record.value) for record in rig.records("six", 4)]
    assert found == [(now - 9, b"0"), (now, b"1"), (now - 7, b"2")]
    assert producer.send_many("one", []).result() == []
    assert producer.send_many("one", iter(())).done()


def test_acks_0_has_no_offsets(rig: Rig) -> None:
    producer = rig.producer(acks=0)
    future = producer.send_many("one", [b"a", b"b"])
    assert future.done()
    assert future.result() == [("one", 0, -1, 2)]
    assert rig.values("one") == [b"a", b"b"]


def test_acks_all_is_done_when_the_disk_has_it(rig: Rig) -> None:
    producer = rig.producer(acks="all")
    future = producer.send_many("one", [b"a"] * 10)
    assert not future.done()
    calls: list[Any] = []
    future.add_done_callback(calls.append)
    future.result()
    assert future.done()
    assert calls == [future]
    assert rig.engine.partition("one", 0).synced_end == 10


def test_pieces_fit_in_small_segments(rig: Rig) -> None:
    rig.engine.create_topic("small", 1, {"internal_segment_bytes": 20_000})
    values = [b"x" * 500] * 400
    rig.producer().send_many("small", values).result()
    assert rig.values("small") == values


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"values": [b"a"] * 2000 + ["b"]}, TypeError, r"values\[2000\] must be .* not str"),
        ({"values": [b"a", b"b"], "keys": [b"k", 5]}, TypeError, r"keys\[1\] must be .* not int"),
        ({"values": b"abc"}, TypeError, "values must be an iterable of them, not one bytes"),
        ({"values": 5}, TypeError, "values must be iterable, not int"),
        ({"values": [b"a"], "keys": []}, ValueError, "1 values but 0 keys"),
        ({"values": [b"a"], "timestamps_ms": [1, 2]}, ValueError, "1 values but 2 timestamps_ms"),
        ({"values": [b"a"], "timestamps_ms": ["1"]}, TypeError, r"timestamps_ms\[0\] must be int"),
        ({"values": [b"a"], "timestamps_ms": [2**62]}, InvalidTimestampError, "ahead"),
        ({"values": [b"a"], "timestamps_ms": [-1]}, InvalidTimestampError, "not negative"),
        ({"values": [b"a"], "partition": 1}, UnknownTopicError, "has no partition 1"),
        ({"values": [b"a"], "partition": "0"}, TypeError, "partition must be int"),
        ({"values": [b"a", b"x" * 2_000_000]}, RecordTooLargeError, "max_message_bytes=1048588"),
        ({"values": [b"a"], "topic": "two"}, UnknownTopicError, "no topic is called 'two'"),
    ],
)
def test_what_is_wrong_is_raised_before_anything_is_written(
    rig: Rig, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        rig.producer().send_many(**{"topic": "one", **arguments})
    assert rig.values("one") == []


def test_the_limit_of_a_record_is_exact(rig: Rig) -> None:
    rig.engine.create_topic("small", 1, {"max_message_bytes": 100})
    producer = rig.producer()
    producer.send_many("small", [b"x" * 32]).result()
    with pytest.raises(RecordTooLargeError) as raised:
        producer.send_many("small", [b"", b"x" * 33])
    assert raised.value.__notes__ == ["it is values[1]"]


def test_a_compacted_topic_wants_every_key(rig: Rig) -> None:
    rig.engine.create_topic("compacted", 1, {"cleanup_policy": "compact"})
    producer = rig.producer()
    producer.send_many("compacted", [b"a"], [b"k"]).result()
    for keys in (None, [b"k", None]):
        with pytest.raises(InvalidRecordError):
            producer.send_many("compacted", [b"a", b"b"], keys)
    assert rig.values("compacted") == [b"a"]
