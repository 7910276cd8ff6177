"""What `send` does with a record: where it goes, when it is written, what the future says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlog.errors import (
    ClosedError,
    InvalidRecordError,
    InvalidTimestampError,
    InvalidTopicError,
    RecordTooLargeError,
    SendError,
    SerializationError,
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


@pytest.fixture(params=["pure", "compiled"])
def blocking_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """For what a driven producer cannot do: be called by its own loop."""
    with open_rig(str(tmp_path / "log"), request.param) as rig:
        rig.engine.create_topic("one")
        yield rig


def test_a_result_sends_the_batch_at_once_and_says_where_the_record_is(rig: Rig) -> None:
    producer = rig.producer(linger_ms=1000)
    futures = [producer.send("one", b"%d" % n) for n in range(3)]
    assert rig.values("one") == []
    assert not futures[0].done()
    result = futures[1].result()
    assert result == ("one", 0, 1, rig.clock.now_ms(), "written")
    assert all(future.done() for future in futures)
    assert [future.result().offset for future in futures] == [0, 1, 2]
    assert rig.values("one") == [b"0", b"1", b"2"]
    assert futures[2].exception() is None


def test_everything_of_a_record_arrives(rig: Rig) -> None:
    producer = rig.producer()
    now = rig.clock.now_ms()
    producer.send("one", b"v", key=b"k", headers={"a": b"1", "b": None}, timestamp_ms=now - 5)
    producer.send("one", None, key=bytearray(b"k2"), headers=[("x", memoryview(b"y"))])
    producer.send("one", memoryview(b"only a value"))
    producer.send("one")
    producer.flush()
    found = [(r.timestamp, r.key, r.value, tuple(r.headers)) for r in rig.records("one")]
    assert found == [
        (now - 5, b"k", b"v", (("a", b"1"), ("b", None))),
        (now, b"k2", None, (("x", b"y"),)),
        (now, None, b"only a value", ()),
        (now, None, None, ()),
    ]


def test_a_full_batch_is_written_without_being_asked_for(rig: Rig) -> None:
    producer = rig.producer(linger_ms=60_000, batch_size=1000)
    for number in range(100):
        producer.send("one", b"%03d" % number * 10)
    written = rig.values("one")
    assert 0 < len(written) < 100
    assert written == [b"%03d" % number * 10 for number in range(len(written))]
    assert all(900 < batch.size <= 1000 for batch in rig.batches("one"))
    producer.flush()
    assert len(rig.values("one")) == 100


def test_a_record_larger_than_a_batch_gets_one_of_its_own(rig: Rig) -> None:
    producer = rig.producer(linger_ms=60_000, batch_size=200)
    producer.send("one", b"small")
    large = producer.send("one", b"x" * 5000)
    assert large.done()
    assert [batch.count for batch in rig.batches("one")] == [1, 1]


@pytest.mark.parametrize("settings", [{"linger_ms": 0}, {"batch_size": 0, "linger_ms": 9}])
def test_without_linger_or_batches_each_record_is_written_by_send(
    rig: Rig, settings: dict[str, int]
) -> None:
    producer = rig.producer(**settings)
    assert producer.send("one", b"a").done()
    assert rig.values("one") == [b"a"]


def test_lingering_batches_are_sent_by_the_tick_that_finds_them_due(rig: Rig) -> None:
    producer = rig.producer(linger_ms=50)
    future = producer.send("one", b"a")
    assert producer.armed
    assert rig.sender.tick() == pytest.approx(0.05)
    rig.clock.advance(49)
    assert rig.sender.tick() == pytest.approx(0.001)
    assert not future.done()
    rig.clock.advance(1)
    rig.sender.tick()
    assert future.done()
    for _ in range(20):
        rig.sender.tick()
    assert not producer.armed
    producer.send("one", b"b")
    assert producer.armed


def test_acks_all_is_synced_by_the_tick_that_nobody_waits_for(rig: Rig) -> None:
    producer = rig.producer(acks="all", linger_ms=5)
    future = producer.send("one", b"a")
    rig.clock.advance(5)
    rig.sender.tick()
    assert future.done()
    assert future.result().durability == rig.engine.durability(-1)
    assert rig.engine.partition("one", 0).synced_end == 1


def test_acks_all_waits_for_the_disk_once_for_everything_in_flight(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = rig.producer(acks="all", batch_size=100)
    log = rig.engine.partition("one", 0)
    syncs = []
    real_sync = log.sync
    monkeypatch.setattr(log, "sync", lambda end: syncs.append(end) or real_sync(end))
    futures = [producer.send("one", b"x" * 20) for _ in range(50)]
    assert not any(future.done() for future in futures)
    producer.flush()
    assert syncs == [50]
    assert all(future.done() for future in futures)


def test_acks_0_is_resolved_at_once_without_an_offset(rig: Rig) -> None:
    producer = rig.producer(acks=0, linger_ms=1000)
    future = producer.send("one", b"a")
    assert future.done()
    assert future.result() == ("one", 0, -1, rig.clock.now_ms(), "buffered")
    assert rig.values("one") == []
    producer.flush()
    assert rig.values("one") == [b"a"]


def test_the_log_stamps_what_its_topic_wants_stamped(rig: Rig) -> None:
    rig.engine.create_topic("stamped", 1, {"message_timestamp_type": "LogAppendTime"})
    producer = rig.producer(linger_ms=1000)
    future = producer.send("stamped", b"a", timestamp_ms=17)
    rig.clock.advance(40)
    assert future.result().timestamp == rig.clock.now_ms()
    assert [record.timestamp for record in rig.records("stamped")] == [rig.clock.now_ms()]


# C.10 of the facts: what Java's client does with these keys and six partitions.
@pytest.mark.parametrize(
    ("key", "partition"),
    [(b"21", 0), (b"foobar", 0), (b"abc", 3), (b"", 3), (b"k", 2), (b"key-0", 1), (b"key-1", 0)],
)
def test_a_key_goes_where_java_puts_it(rig: Rig, key: bytes, partition: int) -> None:
    assert rig.producer().send("six", b"v", key=key).result().partition == partition
    assert rig.producer().send_many("six", [b"v"], [key]).result()[0].partition == partition


def test_records_without_a_key_stick_to_a_partition_for_a_batch(rig: Rig) -> None:
    rig.choices = [4, 2, 5]
    producer = rig.producer(batch_size=500, linger_ms=60_000)
    partitions = [producer.send("six", b"x" * 40) for _ in range(24)]
    producer.flush()
    order = [future.result().partition for future in partitions]
    assert order[0] == 4
    assert [number for n, number in enumerate(order) if n == 0 or order[n - 1] != number] == [
        4,
        2,
        5,
    ]


def test_small_batches_without_a_key_stick_until_a_batch_size_is_reached(rig: Rig) -> None:
    rig.choices = [1, 3, 5]
    producer = rig.producer(batch_size=200)
    order = [producer.send("six", b"x" * 50).result().partition for _ in range(8)]
    assert order == [1, 1, 1, 1, 3, 3, 3, 3]


def test_a_partition_or_a_partitioner_decides_instead(rig: Rig) -> None:
    def last(topic: str, key: bytes | None, value: bytes | None, count: int) -> int | None:
        return None if value is None else count - 1

    producer = rig.producer(partitioner=last)
    assert producer.send("six", b"v", key=b"21").result().partition == 5
    assert producer.send("six", b"v", partition=2).result().partition == 2
    assert producer.send("six", None, key=b"k").result().partition == 0
    assert [at.partition for at in producer.send_many("six", [b"a", None]).result()] == [0, 5]


@pytest.mark.parametrize("answer", [6, -1, "1", 1.0, True])
def test_a_partitioner_that_answers_nonsense_fails_the_send(rig: Rig, answer: object) -> None:
    producer = rig.producer(partitioner=lambda *_: answer)
    with pytest.raises(SendError, match=r"the partitioner returned|must return int"):
        producer.send("six", b"v")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"value": "text"}, "not str: encode it, or give the producer a value_serializer"),
        ({"value": 5}, "value must be bytes-like or None, not int"),
        ({"key": "k"}, "key must be bytes-like or None, not str: .* a key_serializer"),
        ({"partition": "1"}, "partition must be int or None, not str"),
        ({"partition": True}, "partition must be int or None, not bool"),
        ({"timestamp_ms": 1.5}, "timestamp_ms must be int .* not float"),
        ({"headers": 5}, "headers must be a dict"),
        ({"headers": {"a": "b"}}, "headers.0. value must be bytes-like or None, not str"),
        ({"topic": b"one"}, "topic must be str, not bytes"),
        ({"topic": ["one"]}, "topic must be str, not list"),
    ],
)
def test_wrong_types_are_named(rig: Rig, arguments: dict[str, Any], text: str) -> None:
    producer = rig.producer()
    with pytest.raises(TypeError, match=text):
        producer.send(**{"topic": "one", **arguments})
    producer.flush()
    assert rig.values("one") == []


def test_what_is_wrong_with_a_record_is_raised_at_once_as_not_written(rig: Rig) -> None:
    rig.engine.create_topic("compacted", 1, {"cleanup_policy": "compact"})
    rig.engine.create_topic("small", 1, {"max_message_bytes": 100})
    rig.engine.create_topic("recent", 1, {"message_timestamp_before_max_ms": 1000})
    producer = rig.producer()
    now = rig.clock.now_ms()
    with pytest.raises(UnknownTopicError) as unknown:
        producer.send("ones", b"v")
    assert unknown.value.nearest == "one"
    with pytest.raises(UnknownTopicError, match="has no partition 6"):
        producer.send("six", b"v", partition=6)
    with pytest.raises(UnknownTopicError, match="has no partition -1"):
        producer.send("six", b"v", partition=-1)
    with pytest.raises(InvalidRecordError, match="needs a key") as refused:
        producer.send("compacted", b"v")
    assert refused.value.outcome == "not_written"
    with pytest.raises(RecordTooLargeError) as large:
        producer.send("small", b"x" * 33)
    assert (large.value.size, large.value.limit) == (101, 100)
    producer.send("small", b"x" * 32)
    for timestamp in (-1, 2**63, now + 3_600_001):
        with pytest.raises(InvalidTimestampError):
            producer.send("one", b"v", timestamp_ms=timestamp)
    with pytest.raises(InvalidTimestampError, match="before_max_ms=1000"):
        producer.send("recent", b"v", timestamp_ms=now - 1001)
    producer.send("recent", b"v", timestamp_ms=now - 1000)
    producer.flush()
    assert rig.values("small") == [b"x" * 32]


def test_internal_topics_are_not_for_producers(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    description = rig.engine.topic("one")._replace(internal=True)
    monkeypatch.setattr(rig.engine, "topic", lambda _: description)
    with pytest.raises(InvalidTopicError):
        rig.producer().send("one", b"v")


def test_serializers_are_asked_and_their_failures_chained(rig: Rig) -> None:
    producer = rig.producer(
        key_serializer=str.encode, value_serializer=lambda number: b"%d" % number
    )
    producer.send("one", 5, key="k")
    producer.send("one", None)
    producer.send_many("one", [6, None], keys=["a", None])
    assert [(r.key, r.value) for r in rig.records("one")] == [
        (b"k", b"5"),
        (None, None),
        (b"a", b"6"),
        (None, None),
    ]
    with pytest.raises(SerializationError, match="value serializer") as failed:
        producer.send("one", "not a number")
    assert isinstance(failed.value.__cause__, TypeError)
    with pytest.raises(SerializationError, match="must return bytes"):
        rig.producer(value_serializer=lambda value: value).send("one", "text")


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_each_codec_and_the_topics_own(rig: Rig, codec: str) -> None:
    rig.engine.create_topic("own", 1, {"compression_type": codec})
    rig.engine.create_topic("plain", 1, {"compression_type": "uncompressed"})
    producer = rig.producer(compression_type=codec)
    other = rig.producer()
    values: list[bytes | None] = [b"x" * 100 for _ in range(50)]
    for value in values:
        producer.send("one", value)
        producer.send("plain", value)
        other.send("own", value)
    producer.flush()
    other.send_many("own", values)
    other.flush()
    names = ["none", "gzip", "snappy", "lz4", "zstd"]
    assert {names[batch.codec] for topic in ("one", "own") for batch in rig.batches(topic)} == {
        codec
    }
    assert {batch.codec for batch in rig.batches("plain")} == {0}
    assert rig.values("one") == values
    assert rig.values("own") == values * 2


def test_new_partitions_and_settings_are_noticed_at_the_next_batch(rig: Rig) -> None:
    producer = rig.producer()
    producer.send("one", b"v").result()
    rig.engine.create_partitions("one", 3)
    producer.send("one", b"v").result()
    assert producer.send("one", b"v", partition=2).result().partition == 2
    assert producer.partitions_for("one") == [0, 1, 2]


def test_what_was_queued_for_a_deleted_topic_is_not_for_its_successor(rig: Rig) -> None:
    producer = rig.producer(linger_ms=1000)
    future = producer.send("one", b"old")
    rig.engine.delete_topic("one")
    rig.engine.create_topic("one")
    assert isinstance(future.exception(), UnknownTopicError)
    assert producer.send("one", b"new").result().offset == 0
    assert rig.values("one") == [b"new"]
    producer.flush()


def test_a_closed_producer_refuses_and_has_flushed(rig: Rig) -> None:
    with rig.producer(linger_ms=1000) as producer:
        future = producer.send("one", b"v")
    assert future.result().offset == 0
    producer.close()
    for call in (
        lambda: producer.send("one", b"w"),
        lambda: producer.send_many("one", [b"w"]),
        producer.flush,
        lambda: producer.partitions_for("one"),
        producer.__enter__,
    ):
        with pytest.raises(ClosedError):
            call()
    assert rig.values("one") == [b"v"]


def test_callbacks_are_called_once_with_the_future(rig: Rig) -> None:
    producer = rig.producer(linger_ms=1000)
    calls: list[Any] = []
    future = producer.send("one", b"v")
    future.add_done_callback(calls.append)
    assert calls == []
    producer.flush()
    future.add_done_callback(calls.append)
    assert calls == [future, future]


def test_a_callback_may_send_and_one_that_fails_is_logged(
    blocking_rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    producer = blocking_rig.producer(linger_ms=1000)
    producer.send("one", b"a").add_done_callback(lambda _: producer.send("one", b"b").result())
    producer.send("one", b"c").add_done_callback(lambda _: 1 / 0)
    producer.flush()
    assert blocking_rig.values("one") == [b"a", b"c", b"b"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_a_future_can_be_awaited(blocking_rig: Rig, acks: Any) -> None:
    producer = blocking_rig.producer(acks=acks, linger_ms=1000)

    async def send() -> tuple[Any, Any]:
        waiting = asyncio.ensure_future(_result(producer.send("one", b"a")))
        many = asyncio.ensure_future(_result(producer.send_many("one", [b"b", b"c"])))
        while not (waiting.done() and many.done()):
            await asyncio.sleep(0)
            blocking_rig.sender.tick()
        return waiting.result(), many.result()

    one, many = asyncio.run(send())
    assert one.durability == blocking_rig.engine.durability({"all": -1}.get(acks, acks))
    assert [place.count for place in many] == [2]
    producer.flush()
    assert sorted(blocking_rig.values("one"), key=repr) == [b"a", b"b", b"c"]


async def _result(future: Any) -> Any:
    return await future


def test_threads_share_a_producer_and_each_keeps_its_order(rig: Rig) -> None:
    producer = rig.producer(batch_size=300, linger_ms=1000)
    threads = [
        threading.Thread(
            target=lambda name=name: [
                producer.send("one", b"%d %d" % (name, n)) for n in range(500)
            ]
        )
        for name in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    producer.flush()
    values = [value.split() for value in rig.values("one") if value]
    assert len(values) == 2000
    for name in range(4):
        assert [int(n) for who, n in values if int(who) == name] == list(range(500))
    assert producer.memory_used == 0


def test_a_partition_that_was_added_since_is_found(rig: Rig) -> None:
    rig.engine.create_topic("growing")
    producer = rig.producer(linger_ms=0)
    producer.send("growing", b"a").result()
    rig.engine.create_partitions("growing", 3)
    assert producer.send("growing", b"b", partition=1).result().partition == 1
    rig.engine.create_partitions("growing", 4)
    assert producer.send_many("growing", [b"c"], partition=3).result()[0].partition == 3
    with pytest.raises(UnknownTopicError, match="it has 4, from 0"):
        producer.send("growing", b"d", partition=4)


def test_a_partition_rests_only_when_nothing_of_it_is_on_its_way(rig: Rig) -> None:
    """Else a `flush()` on another thread would not see what is to be written or synced."""
    rig.engine.create_topic("resting")
    producer = rig.producer(linger_ms=1000, acks="all")
    future = producer.send("resting", b"a")
    (queue,) = producer.pending
    queue.rest()
    assert queue in producer.pending
    queue.seal()
    queue.rest()
    assert queue in producer.pending
    producer._drain(queue)
    assert queue not in producer.pending
    queue.rest()
    assert queue in producer._unsynced
    future.result()
    assert queue not in producer._unsynced
