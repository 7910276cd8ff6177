"""What brokers that were written anew are known to have got wrong, and no client's test shows."""

from __future__ import annotations

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from streamlog.record.kernel import RecordBatch
from streamlog.types import TopicPartition
from tests.wire import requests
from tests.wire.connection import Connection
from tests.wire.requests import START_MS

LATEST, EARLIEST, LARGEST = -1, -2, -3
INVALID_TOPIC, INVALID_PARTITIONS, EXISTS, UNKNOWN_TOPIC = 17, 37, 36, 3
INVALID_REQUEST, UNSUPPORTED_VERSION = 42, 35


@pytest.fixture
def flights(connection: Connection, log: StreamLog) -> None:
    """Two batches of three records, the second older than the first, and two records deleted."""
    log.create_topic("flights")
    for start in (START_MS, START_MS - 60_000):
        with log.producer() as producer:
            times = [start + 1000 * place for place in range(3)]
            producer.send_many("flights", [b"v"] * 3, timestamps_ms=times).result()
    log.admin.delete_records({TopicPartition("flights", 0): 1})


@pytest.mark.usefixtures("flights")
@pytest.mark.parametrize("offset", [1, 2, 3, 4, 5])
def test_a_fetch_gets_the_batch_that_holds_its_offset(connection: Connection, offset: int) -> None:
    (topic,) = connection.ask("Fetch", 12, **requests.fetch("flights", offset)).responses
    batch = RecordBatch(topic.partitions[0].records)
    assert batch.base_offset == offset // 3 * 3
    assert topic.partitions[0].log_start_offset == 1


@pytest.mark.usefixtures("flights")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (EARLIEST, (1, -1)),
        (LATEST, (6, -1)),
        (LARGEST, (2, START_MS + 2000)),
        (START_MS + 1001, (2, START_MS + 2000)),
        (START_MS - 60_000, (1, START_MS + 1000)),  # the first that is not older, by offset
        (0, (1, START_MS + 1000)),
        (START_MS + 2001, (-1, -1)),
    ],
)
def test_offsets_by_time(connection: Connection, asked: int, found: tuple[int, int]) -> None:
    (topic,) = connection.ask("ListOffsets", 7, **requests.list_offsets("flights", asked)).topics
    (told,) = topic.partitions
    assert (told.error_code, told.offset, told.timestamp) == (0, *found)


@pytest.mark.usefixtures("flights")
def test_partitions_are_created_topic_by_topic(connection: Connection, log: StreamLog) -> None:
    """Each is named in the answer, the one that could not grow as well."""
    wanted = [
        requests.struct("CreatePartitions", "CreatePartitionsTopic", name, total, None)
        for name, total in (("flights", 3), ("trains", 3))
    ]
    told = connection.ask("CreatePartitions", 3, topics=wanted, timeout_ms=30_000)
    codes = {each.name: each.error_code for each in told.results}
    assert codes == {"flights": 0, "trains": UNKNOWN_TOPIC}
    again = connection.ask("CreatePartitions", 3, topics=wanted[:1], timeout_ms=30_000)
    assert [(each.name, each.error_code) for each in again.results] == [
        ("flights", INVALID_PARTITIONS)
    ]
    assert log.topics()["flights"].partitions == 3


@pytest.mark.usefixtures("flights")
def test_topics_are_created_one_by_one(connection: Connection, log: StreamLog) -> None:
    """What is wrong about one is no reason against the others."""
    wanted = [
        requests.create_topic("new"),
        requests.create_topic("flights"),
        requests.create_topic("no name"),
        requests.create_topic("none", 0),
        requests.create_topic("newer", 2),
    ]
    told = connection.ask("CreateTopics", 7, topics=wanted, timeout_ms=30_000)
    assert {each.name: each.error_code for each in told.topics} == {
        "new": 0,
        "flights": EXISTS,
        "no name": INVALID_TOPIC,
        "none": INVALID_PARTITIONS,
        "newer": 0,
    }
    assert set(log.topics()) == {"flights", "new", "newer"}


@pytest.mark.parametrize(
    ("transactional_id", "timeout_ms", "code"),
    [(None, 0, 0), (None, -1, 0), ("", 1000, INVALID_REQUEST), ("t", 1000, UNSUPPORTED_VERSION)],
)
def test_producer_ids(
    connection: Connection, transactional_id: str | None, timeout_ms: int, code: int
) -> None:
    """The timeout is a transaction's; without one it is not looked at, as in Kafka."""
    asked = {"transactional_id": transactional_id, "transaction_timeout_ms": timeout_ms}
    told = connection.ask("InitProducerId", 4, **asked)
    assert told.error_code == code
    assert (told.producer_id >= 0, told.producer_epoch) == ((True, 0) if code == 0 else (False, -1))


def test_what_is_advertised_is_an_ipv4_address(connection: Connection, listener: Listener) -> None:
    told = connection.ask("Metadata", 12, topics=[])
    coordinator = connection.ask("FindCoordinator", 3, key="crew")
    addresses = [(each.host, each.port) for each in (*told.brokers, coordinator)]
    host, _, port = listener.bootstrap_servers.partition(":")
    assert addresses == [("127.0.0.1", int(port))] * 2
    assert host == "127.0.0.1"
