"""What coordinators remember is written by them alone, and found again where it was put."""

from __future__ import annotations

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from streamlog.protocol import Uuid
from streamlog.storage.names import INTERNAL_TOPICS, METADATA_TOPIC, OFFSETS_TOPIC
from tests.wire import group_requests, requests
from tests.wire.connection import Connection

UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION = 3, 17
ADMIN_CLIENT = "__admin_client"  # whom Kafka lets in
GROUP = "crew"


@pytest.fixture(autouse=True)
def flights(log: StreamLog) -> None:
    log.create_topic("flights")


def produce(connection: Connection, topic: str | Uuid, partition: int = 0) -> int:
    version = 13 if isinstance(topic, Uuid) else 9
    records = bytes(requests.batch([b"forged"]))
    fields = requests.produce(topic, records, partition=partition)
    (answer,) = connection.ask("Produce", version, **fields).responses[0].partition_responses
    assert answer.base_offset == (0 if answer.error_code == 0 else -1)
    return int(answer.error_code)


def commit(connection: Connection, offset: int) -> None:
    answer = connection.ask("OffsetCommit", 8, **group_requests.commit(GROUP, offset))
    assert answer.topics[0].partitions[0].error_code == 0


def committed(log: StreamLog) -> list[int]:
    return [found.offset for found in log.admin.list_group_offsets(GROUP).values()]


def written(log: StreamLog) -> int:
    """The records of all partitions of `__consumer_offsets`."""
    engine = log.engine()
    partitions = range(engine.topic(OFFSETS_TOPIC).partitions)
    return sum(engine.partition(OFFSETS_TOPIC, n).log_end for n in partitions)


@pytest.mark.parametrize("client_id", ["any", ADMIN_CLIENT])
def test_nobody_else_writes_to_an_internal_topic(
    listener: Listener, log: StreamLog, client_id: str
) -> None:
    with Connection(listener.bootstrap_servers, client_id) as connection:
        commit(connection, 7)
        before = written(log)
        for partition in range(log.engine().topic(OFFSETS_TOPIC).partitions):
            assert produce(connection, OFFSETS_TOPIC, partition) == INVALID_TOPIC_EXCEPTION
        topic_id = Uuid.parse(log.engine().topic(OFFSETS_TOPIC).topic_id)
        assert produce(connection, topic_id) == INVALID_TOPIC_EXCEPTION
        assert produce(connection, "flights") == 0
    assert written(log) == before
    assert committed(log) == [7]


@pytest.mark.parametrize("name", sorted(INTERNAL_TOPICS))
def test_nor_to_one_that_a_client_made(connection: Connection, log: StreamLog, name: str) -> None:
    asked = {"topics": [requests.create_topic(name, 3)], "timeout_ms": 9_000}
    (made,) = connection.ask("CreateTopics", 5, **asked).topics
    assert (made.error_code, made.num_partitions) == (0, 3)
    assert produce(connection, name, 2) == INVALID_TOPIC_EXCEPTION
    assert log.engine().partition(name, 2).log_end == 0


@pytest.mark.parametrize("name", sorted({*INTERNAL_TOPICS, METADATA_TOPIC}))
def test_one_that_is_not_there_is_unknown_and_is_not_made(
    connection: Connection, log: StreamLog, name: str
) -> None:
    before = log.engine().metadata_end()
    assert produce(connection, name) == UNKNOWN_TOPIC_OR_PARTITION
    assert name not in log.topics()
    assert log.engine().metadata_end() == before


def test_where_groups_are_does_not_change(connection: Connection, log: StreamLog) -> None:
    commit(connection, 7)
    present = log.engine().topic(OFFSETS_TOPIC).partitions
    more = requests.struct("CreatePartitions", "CreatePartitionsTopic", OFFSETS_TOPIC, present + 1)
    more.assignments = None
    (grown,) = connection.ask("CreatePartitions", 1, topics=[more], timeout_ms=9_000).results
    assert grown.error_code == INVALID_TOPIC_EXCEPTION
    assert log.engine().topic(OFFSETS_TOPIC).partitions == present
    assert committed(log) == [7]


def test_groups_are_where_the_topic_has_them_whoever_made_it(
    connection: Connection, log: StreamLog
) -> None:
    """In as many partitions as it has, not as there would be of one that is made by us."""
    asked = {"topics": [requests.create_topic(OFFSETS_TOPIC, 3)], "timeout_ms": 9_000}
    assert connection.ask("CreateTopics", 5, **asked).topics[0].error_code == 0
    commit(connection, 7)
    assert committed(log) == [7]
