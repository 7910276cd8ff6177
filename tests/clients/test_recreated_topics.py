"""A topic deleted, and perhaps made again, under a producer that knew the old one.

What was buffered before fails: it is not for the new topic. What is sent afterwards is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamlog.broker.engine import Engine
from streamlog.errors import DeliveryError, InvalidRecordError, UnknownTopicError
from streamlog.storage.filesystem import Filesystem
from tests.clients.producer_rig import KERNELS_AND_SKINS, Rig, open_rig
from tests.clients.skins import LoopThread

Change = Callable[[], Engine]


@pytest.fixture(params=KERNELS_AND_SKINS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, loop_thread: LoopThread) -> Iterator[Rig]:
    kernel, skin = request.param.split()
    with open_rig(str(tmp_path / "log"), kernel, loop_thread if skin == "async" else None) as rig:
        rig.engine.create_topic("flights", 2)
        yield rig


@pytest.fixture(params=["this process", "another"])
def changer(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Engine]:
    """Who deletes topics: an engine of its own, with its own locks, is as another process."""
    if request.param == "this process":
        yield rig.engine
        return
    other = Engine.open(rig.engine.place.path, filesystem=Filesystem())
    yield other
    other.close()


def make_again(engine: Engine, partitions: int = 2, **settings: object) -> None:
    engine.delete_topic("flights")
    engine.create_topic("flights", partitions, settings)


def test_the_first_record_after_the_topic_was_made_again_is_in_the_new_one(
    rig: Rig, changer: Engine
) -> None:
    producer = rig.producer()
    assert producer.send("flights", b"old").result().offset == 0
    make_again(changer)
    metadata = producer.send("flights", b"new").result()
    assert (metadata.offset, metadata.partition) == (0, 0)
    assert rig.values("flights") == [b"new"]
    producer.flush()


def test_many_at_once_go_into_the_new_one_too(rig: Rig, changer: Engine) -> None:
    producer = rig.producer()
    producer.send_many("flights", [b"old"] * 3).result()
    make_again(changer)
    producer.send_many("flights", [b"new"] * 3, partition=1).result()
    assert rig.values("flights", 1) == [b"new"] * 3


def test_what_was_buffered_before_fails_and_what_comes_after_does_not(rig: Rig) -> None:
    producer = rig.producer(linger_ms=60_000)
    before = [producer.send("flights", b"%d" % number) for number in range(3)]
    make_again(rig.engine)
    after = producer.send("flights", b"new")
    for future in before:
        with pytest.raises(UnknownTopicError, match="deleted before its records were written"):
            future.result()
    assert after.result().offset == 0
    producer.flush()
    assert rig.values("flights") == [b"new"]


def test_what_another_process_deleted_takes_what_is_buffered_with_it(rig: Rig) -> None:
    other = Engine.open(rig.engine.place.path, filesystem=Filesystem())
    producer = rig.producer(linger_ms=60_000)
    producer.send("flights", b"old")
    make_again(other)
    with pytest.raises(DeliveryError, match="was deleted") as raised:
        producer.flush()
    assert raised.value.outcome == "not_written"
    assert producer.send("flights", b"new").result().offset == 0
    other.close()
    assert rig.values("flights") == [b"new"]


def test_a_topic_that_is_not_made_again_is_unknown_at_once(rig: Rig, changer: Engine) -> None:
    producer = rig.producer(linger_ms=60_000)
    producer.send("flights", b"old").result()
    changer.create_topic("fights")
    changer.delete_topic("flights")
    with pytest.raises(UnknownTopicError, match="did you mean 'fights'"):
        producer.send("flights", b"late")
    with pytest.raises(UnknownTopicError):
        producer.send_many("flights", [b"late"])
    producer.flush()


def test_the_new_topics_settings_and_partitions_count(rig: Rig, changer: Engine) -> None:
    producer = rig.producer()
    producer.send("flights", b"old", partition=1).result()
    make_again(changer, 1, cleanup_policy="compact")
    with pytest.raises(InvalidRecordError, match="every record needs a key"):
        producer.send("flights", b"keyless")
    with pytest.raises(UnknownTopicError, match="no partition 1"):
        producer.send("flights", b"v", key=b"k", partition=1)
    assert producer.send("flights", b"v", key=b"k").result().partition == 0


def test_an_idempotent_producer_numbers_from_the_start_in_the_new_topic(
    rig: Rig, changer: Engine
) -> None:
    producer = rig.producer(acks="all", enable_idempotence=True)
    for _ in range(3):
        producer.send("flights", b"old").result()
    make_again(changer)
    producer.send("flights", b"new").result()
    assert [(batch.base_sequence, batch.count) for batch in rig.batches("flights")] == [(0, 1)]


def test_a_serialized_record_is_serialized_for_the_new_topic(rig: Rig, changer: Engine) -> None:
    producer = rig.producer(
        key_serializer=str.encode, value_serializer=lambda value: str(value).encode()
    )
    producer.send("flights", 1, key="k").result()
    make_again(changer)
    producer.send("flights", 2, key="k").result()
    found = [record for number in (0, 1) for record in rig.records("flights", number)]
    assert [(record.key, record.value) for record in found] == [(b"k", b"2")]


def test_a_topic_made_again_between_full_batches_gets_the_rest(rig: Rig) -> None:
    """The batch that is full is written, finds its topic gone, and the record goes on."""
    producer = rig.producer(linger_ms=60_000, batch_size=1000)
    futures = [producer.send("flights", b"x" * 400) for _ in range(2)]
    make_again(rig.engine, 1)
    last = producer.send("flights", b"y" * 400)
    assert [type(future.exception()) for future in futures] == [UnknownTopicError] * 2
    producer.flush()
    assert last.result().offset == 0
    assert rig.values("flights") == [b"y" * 400]
