"""`Admin`: topics in bulk, offsets, descriptions, repairs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlog import NewTopic, OffsetSpec, ProducerDescription, ReplicaInfo, TopicPartition
from streamlog.errors import (
    ConfigError,
    PartitionPoisonedError,
    TopicExistsError,
    UnknownSettingError,
    UnknownTopicError,
)
from streamlog.record.control import (
    ControlType,
    EndTransactionMarker,
    build_end_transaction_marker,
)
from streamlog.record.kernel import RecordBatchBuilder
from tests.clients.conftest import NOON_MS, Story

ORDERS_0, ORDERS_1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


def test_topics_are_created_described_grown_and_deleted(story: Story) -> None:
    admin = story.log.admin
    created = admin.create_topics(
        ["cars", NewTopic("trains", 3, {"segment_bytes": 1 << 20, "cleanup.policy": "delete"})]
    )
    assert [(topic.name, topic.partitions) for topic in created] == [("cars", 1), ("trains", 3)]
    assert admin.list_topics() == ["cars", "flights", "orders", "trains"]
    assert admin.describe_topics(["trains"])["trains"].settings["segment.bytes"] == "1048576"
    (grown,) = admin.create_partitions({"cars": 2})
    assert grown.partitions == 2
    admin.delete_topics(["cars", "trains"])
    assert sorted(admin.describe_topics()) == ["flights", "orders"]


def test_what_cannot_be_created_is_told(story: Story) -> None:
    admin = story.log.admin
    with pytest.raises(TopicExistsError, match="orders"):
        admin.create_topics(["new", "orders"])
    assert "new" not in admin.list_topics()
    with pytest.raises(UnknownSettingError):
        admin.create_topics([NewTopic("other", 1, {"segment_byte": 1})])
    with pytest.raises(ConfigError):
        admin.delete_topics("orders")
    with pytest.raises(ConfigError):
        admin.create_topics([("a", 1)])  # type: ignore[list-item]
    with pytest.raises(UnknownTopicError):
        admin.describe_topics(["oders"])


def test_one_where_several_are_expected_and_several_where_one_is(story: Story) -> None:
    admin = story.log.admin
    for alone in ("abc", NewTopic("abc")):
        with pytest.raises(ConfigError, match="alone"):
            admin.create_topics(alone)  # type: ignore[arg-type]
    assert admin.list_topics() == ["flights", "orders"]
    calls: list[Callable[[Any], object]] = [
        admin.compact,
        admin.apply_retention,
        admin.describe_partitions,
        lambda topic: admin.describe_topics([topic]),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="a topic's name is a str"):
            call(["orders"])
    with pytest.raises(ConfigError, match="mapping"):
        admin.list_offsets([ORDERS_0])  # type: ignore[arg-type]


def test_offsets_by_position_and_by_time(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    story.write("orders", 0, b"d", timestamp_ms=NOON_MS - 1000)
    admin = story.log.admin

    def offset(timestamp: int) -> int | None:
        found = admin.list_offsets({ORDERS_0: timestamp})[ORDERS_0]
        return None if found is None else found.offset

    assert [offset(-2), offset(-1), offset(-3)] == [0, 4, 2]
    assert [offset(0), offset(NOON_MS + 1), offset(NOON_MS + 3)] == [0, 1, None]
    assert admin.beginning_offsets([ORDERS_0]) == {ORDERS_0: 0}
    assert admin.end_offsets([ORDERS_0, ORDERS_1]) == {ORDERS_0: 4, ORDERS_1: 0}


def test_offsets_by_name(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    story.write("orders", 0, b"d", timestamp_ms=NOON_MS + 1)
    admin = story.log.admin
    found = {spec: admin.list_offsets({ORDERS_0: spec})[ORDERS_0] for spec in OffsetSpec}
    assert found == {
        OffsetSpec.LATEST: (4, -1, 0),
        OffsetSpec.EARLIEST: (0, -1, 0),
        OffsetSpec.MAX_TIMESTAMP: (2, NOON_MS + 2, 0),
        OffsetSpec.EARLIEST_LOCAL: (0, -1, 0),
        OffsetSpec.LATEST_TIERED: None,
        OffsetSpec.EARLIEST_PENDING_UPLOAD: None,
    }
    for wrong in (-7, True, "latest", None, 1.5):
        with pytest.raises(ConfigError, match=r"LATEST \(-1\), EARLIEST \(-2\)"):
            admin.list_offsets({ORDERS_0: wrong})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="read_uncommitted or read_committed"):
        admin.list_offsets({ORDERS_0: -1}, isolation_level="serializable")  # type: ignore[arg-type]
    with pytest.raises(UnknownTopicError):
        admin.list_offsets({TopicPartition("orders", 2): OffsetSpec.LATEST})


def test_offsets_end_where_a_transaction_is_undecided(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    log = story.log.engine().partition("orders", 0)
    log._slots.publish_state(log.slot, log.state()._replace(last_stable_offset=2))
    admin = story.log.admin

    def offset(timestamp: int) -> int | None:
        asked = admin.list_offsets({ORDERS_0: timestamp}, isolation_level="read_committed")
        found = asked[ORDERS_0]
        return None if found is None else found.offset

    assert [offset(OffsetSpec.LATEST), offset(OffsetSpec.EARLIEST)] == [2, 0]
    assert [offset(NOON_MS + 1), offset(NOON_MS + 2)] == [1, None]
    assert offset(OffsetSpec.MAX_TIMESTAMP) is None


def test_what_partitions_take_on_the_disk(story: Story) -> None:
    story.log.alter_topic("orders", internal_segment_bytes=200, index_interval_bytes=0)
    for _ in range(5):
        story.write("orders", 1, b"x" * 100)
    admin = story.log.admin
    found = admin.describe_log_dirs()
    assert list(found) == [story.log.path]
    described = found[story.log.path]
    folder = Path(story.log.path) / "orders-1"
    assert len(list(folder.glob("*.log"))) == 5
    assert described.replica_infos == {
        TopicPartition("flights", 0): ReplicaInfo(0),
        ORDERS_0: ReplicaInfo(0, offset_lag=0, is_future=False),
        ORDERS_1: ReplicaInfo(sum(file.stat().st_size for file in folder.glob("*.log"))),
    }
    usage = shutil.disk_usage(story.log.path)
    assert described.total_bytes == usage.total
    assert 0 < described.usable_bytes <= described.total_bytes


def test_producers_are_described_as_partitions_remember_them(story: Story) -> None:
    admin = story.log.admin
    assert admin.describe_producers([ORDERS_0, ORDERS_1]) == {ORDERS_0: [], ORDERS_1: []}
    story.write("orders", 0, b"plain")
    log = story.log.engine().partition("orders", 0)

    def append(producer_id: int, sequence: int, *, transactional: bool = False) -> int:
        builder = RecordBatchBuilder(
            producer_id=producer_id,
            producer_epoch=3,
            base_sequence=sequence,
            transactional=transactional,
        )
        for number in range(2):
            builder.append(NOON_MS + number, b"key", b"value", ())
        outcome = log.append(builder.build(), now_ms=NOON_MS)
        assert outcome is not None
        return outcome.base_offset

    append(7, 0)
    began = append(5, 0, transactional=True)
    append(7, 2)
    append(5, 2, transactional=True)
    plain = ProducerDescription(7, 3, 3, NOON_MS + 1, None, None)
    undecided = ProducerDescription(5, 3, 3, NOON_MS + 1, None, began)
    assert admin.describe_producers([ORDERS_0])[ORDERS_0] == [undecided, plain]
    marker = EndTransactionMarker(ControlType.COMMIT, 9, 5, 3)
    log.append(build_end_transaction_marker(marker, timestamp=NOON_MS + 5), now_ms=NOON_MS)
    decided = ProducerDescription(5, 3, 3, NOON_MS + 5, 9, None)
    assert admin.describe_producers([ORDERS_0])[ORDERS_0] == [decided, plain]
    with pytest.raises(UnknownTopicError):
        admin.describe_producers([TopicPartition("orders", 2)])


def test_partitions_are_described_as_they_are(story: Story) -> None:
    story.write("orders", 1, b"a", b"b")
    first, second = story.log.admin.describe_partitions("orders")
    assert (first.partition, first.log_end, second.partition, second.log_end) == (0, 0, 1, 2)
    assert second.end_position > 0
    assert second.poisoned == 0


def test_a_directory_is_described(story: Story) -> None:
    found = story.log.admin.describe()
    assert (found.path, found.topics, found.partitions) == (story.log.path, 2, 3)
    assert (found.node_id, len(found.cluster_id), len(found.directory_id)) == (0, 22, 22)
    assert not found.durable


def test_a_healthy_partition_recovers_to_itself(
    open_log: Callable[..., Any], directory: str
) -> None:
    with open_log(directory) as log:
        log.create_topic("flights")
        Story(log).write("flights", 0, b"a")
        log.sync()
        found = log.admin.recover_partition("flights", 0)
        assert (found.log_end, found.poisoned, found.leader_epoch) == (1, 0, 0)


def test_a_partition_whose_sync_failed_is_written_again_once_recovered(
    open_log: Callable[..., Any], directory: str
) -> None:
    with open_log(directory) as log:
        log.create_topic("flights")
        story = Story(log)
        story.write("flights", 0, b"a")
        log.sync()
        story.write("flights", 0, b"b")
        partition = log.engine().partition("flights", 0)
        poisoned = partition.state()._replace(poisoned=5)
        log.engine()._opening.shared.publish_state(partition.slot, poisoned)
        with pytest.raises(PartitionPoisonedError):
            story.write("flights", 0, b"refused")
        consumer = log.consumer("flights", auto_offset_reset="earliest")
        assert [record.value for record in consumer.poll(0)] == [b"a", b"b"]
        found = log.admin.recover_partition("flights", 0)
        assert (found.poisoned, found.log_end, found.synced_end) == (0, 2, 2)
        assert found.leader_epoch > 0
        story.write("flights", 0, b"c")
        assert [record.value for record in consumer.poll(0)] == [b"c"]
        assert [record.value for record in log.read("flights")] == [b"a", b"b", b"c"]
