"""The metadata log: one image however it was reached, changed only on what is still true."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.broker import metadata_records as records
from streamlog.broker import metadata_snapshot
from streamlog.broker.engine import Engine
from streamlog.broker.metadata_image import MetadataImage
from streamlog.broker.metadata_log import replay_batches
from streamlog.broker.verifying import verify_open_directory
from streamlog.errors import CorruptDirectoryError, CorruptRecordError, TopicExistsError
from streamlog.protocol import Uuid, message
from streamlog.record import layout
from streamlog.storage.properties import MetaProperties
from tests.broker.conftest import OpenEngine, append, read

META = MetaProperties("c" * 22, 0, str(Uuid(bytes(range(16)))))


def everything(image: MetadataImage) -> tuple[object, ...]:
    return image.topics, image.features, image.settings, image.next_producer_id


def replayed(*changes: list[object]) -> MetadataImage:
    image = MetadataImage()
    for change in changes:
        for record in change:
            image.replay(record)
    return image


changes = st.lists(
    st.tuples(
        st.sampled_from(["create", "remove", "grow", "bump", "ids", "set"]), st.integers(0, 3)
    ),
    max_size=20,
)


@given(changes)
def test_a_snapshot_stands_for_all_that_was_replayed(steps: list[tuple[str, int]]) -> None:
    image = replayed(records.bootstrap())
    made = 0
    for what, which in steps:
        name = f"t{which}"
        topic = image.topics.get(name)
        if what == "create" and topic is None:
            made += 1
            topic_id = Uuid(made.to_bytes(16, "big"))
            settings = {"retention.ms": "5"} if which else {}
            new = records.topic_created(name, topic_id, which + 1, settings, META)
        elif what == "ids":
            new = [records.producer_ids_taken(image.next_producer_id + 1000, 0)]
        elif topic is None:
            continue
        elif what == "remove":
            new = [records.topic_removed(topic.topic_id)]
        elif what == "grow":
            new = records.partitions_created(topic.topic_id, [len(topic.partitions)], META)
        elif what == "bump":
            new = [records.leader_epoch_bumped(topic.topic_id, 0, 0)]
        else:
            new = records.topic_configured(name, {"retention.ms": "7", "flush.ms": None})
        for record in new:
            image.replay(record)
    data = metadata_snapshot.encode_snapshot(
        records.snapshot_records(image, 0), epoch=3, last_timestamp=1, now_ms=2
    )
    again = MetadataImage()
    replay_batches(memoryview(data), again, 0)
    assert everything(again) == everything(image)


def test_no_bit_of_the_log_is_replayed_wrong() -> None:
    data = records.encode_batch(records.bootstrap(), 1)
    for bit in range(layout.ATTRIBUTES_AT * 8, len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        image = MetadataImage()
        with pytest.raises(CorruptRecordError):
            replay_batches(memoryview(damaged), image, 0)
        assert everything(image) == everything(MetadataImage())


def test_a_leader_change_bumps_the_epoch_and_other_changes_do_not() -> None:
    topic_id = Uuid(bytes(15) + b"\x09")
    image = replayed(records.topic_created("a", topic_id, 1, {}, META))
    image.replay(records.leader_epoch_bumped(topic_id, 0, 0))
    assert image.topics["a"].partitions[0].leader_epoch == 1
    image.replay(message("PartitionChangeRecord").Value(partition_id=0, topic_id=topic_id, isr=[0]))
    partition = image.topics["a"].partitions[0]
    assert (partition.leader_epoch, partition.partition_epoch) == (1, 2)


def test_an_aborted_metadata_transaction_never_was() -> None:
    topic_id = Uuid(bytes(15) + b"\x09")
    created = records.topic_created("a", topic_id, 1, {}, META)
    begin, end, abort = (
        message(f"{verb}TransactionRecord").Value() for verb in ("Begin", "End", "Abort")
    )
    assert replayed([begin], created, [abort]).topics == {}
    assert replayed([begin], created).topics == {}
    assert set(replayed([begin], created, [end]).topics) == {"a"}


def test_a_change_of_what_never_was_is_corruption() -> None:
    with pytest.raises(CorruptDirectoryError):
        replayed([records.leader_epoch_bumped(Uuid(bytes(15) + b"\x09"), 0, 0)])


def test_what_only_the_log_has_keeps_it_from_being_trimmed() -> None:
    assert replayed(records.bootstrap()).is_complete
    acl = message("UserScramCredentialRecord").Value(name="u")
    assert not replayed([acl]).is_complete


def test_a_decision_is_made_again_when_another_process_was_faster(engine: Engine) -> None:
    """Between deciding and appending, somebody else creates the topic."""
    other = Uuid(bytes(15) + b"\x09")
    tries = []

    def decide(image: MetadataImage) -> list[object]:
        tries.append(len(image.topics))
        if "a" in image.topics:
            raise TopicExistsError("a", topic="a")
        batch = records.encode_batch(records.topic_created("a", other, 1, {}, META), 1)
        engine.metadata.log.append(batch, now_ms=1)
        return records.topic_created("a", Uuid(bytes(15) + b"\x08"), 2, {}, META)

    with pytest.raises(TopicExistsError):
        engine.metadata.change(decide)
    assert tries == [0, 1]
    assert engine.topic("a").topic_id == str(other)


def test_the_log_is_trimmed_and_every_topic_still_known(open_engine: OpenEngine, path: str) -> None:
    engine = open_engine()
    for number in range(8):
        engine.create_topic(f"t{number}", 2000, {"segment_jitter_ms": number})
        if number % 2:
            engine.delete_topic(f"t{number}")
    append(engine.partition("t0", 5), b"x")
    expected = engine.topics()
    folder = Path(path) / "__cluster_metadata-0"
    assert engine.metadata.log.log_start > 0
    assert len(list(folder.glob("*.log"))) == 1
    assert len(list(folder.glob("*.checkpoint"))) == 1
    assert sum(file.stat().st_size for file in folder.iterdir()) < 3 << 20
    assert replay_from_nothing(engine) == expected
    engine.close()
    engine = open_engine()
    assert engine.topics() == expected
    assert engine.report is not None
    assert not engine.report.problems
    assert read(engine.partition("t0", 5)) == [(0, b"x")]
    assert engine.create_topic("more").partitions == 1


def replay_from_nothing(engine: Engine) -> object:
    """What a process that attaches now would know."""
    from streamlog.broker import topics
    from streamlog.broker.metadata_log import MetadataLog

    own = engine.metadata
    fresh = MetadataLog(own.log, own.meta, own._filesystem, engine.clock)
    image = fresh.refresh()
    return {name: topics.describe_topic(image.topics[name]) for name in sorted(image.topics)}


def test_a_reader_behind_the_logs_start_goes_on_from_the_snapshot(engine: Engine) -> None:
    from streamlog.broker.metadata_log import MetadataLog

    own = engine.metadata
    behind = MetadataLog(own.log, own.meta, own._filesystem, engine.clock)
    behind.refresh()
    for number in range(8):
        engine.create_topic(f"t{number}", 2000)
    assert behind.next_offset < own.log.log_start
    assert set(behind.refresh().topics) == {f"t{number}" for number in range(8)}


def test_a_batch_larger_than_a_segment_is_one_change(engine: Engine) -> None:
    assert engine.create_topic("wide", 20_000).partitions == 20_000
    assert len(engine.metadata.image.topics["wide"].partitions) == 20_000
    assert engine.create_topic("next").partitions == 1


def test_metadata_that_lost_what_a_snapshot_stands_for_is_refused(
    open_engine: OpenEngine, path: str
) -> None:
    open_engine().close()
    folder = Path(path) / "__cluster_metadata-0"
    name = metadata_snapshot.snapshot_name(10_000, 1)
    (folder / name).write_bytes(
        metadata_snapshot.encode_snapshot([], epoch=1, last_timestamp=0, now_ms=0)
    )
    with pytest.raises(CorruptDirectoryError, match="tail is missing"):
        open_engine()
    os.unlink(folder / name)
    open_engine()


def test_the_epoch_after_a_loss_is_kept_over_a_close(open_engine: OpenEngine, path: str) -> None:
    """The metadata log's epoch is in its own files only, also while nothing was written in it."""
    open_engine().close()
    os.unlink(f"{path}/.kafka_cleanshutdown")
    log = f"{path}/__cluster_metadata-0/{0:020d}.log"
    with open(log, "ab") as file:
        file.write(b"torn")
    recovered = open_engine()
    assert recovered.metadata.log.state().leader_epoch == 2
    recovered.close()
    engine = open_engine()
    assert engine.metadata.log.state().leader_epoch == 2
    engine.create_topic("flights")
    errors = [str(one) for one in verify_open_directory(engine) if one.severity == "error"]
    assert errors == []
