"""Every API that is offered is answered in every version that is offered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.listener.routing import Routes
from streamlog.protocol import Uuid
from streamlog.protocol.api import API_VERSIONS, api_of, apis
from streamlog.record.kernel import RecordBatch
from tests.wire import requests
from tests.wire.connection import Connection
from tests.wire.group_requests import GROUP_REQUESTS, Scene, set_scene

OFFER = Routes().offer
EVERY = [
    (apis()[key].name, version)
    for key, versions in OFFER.items()
    for version in range(max(versions.low, apis()[key].versions.low), versions.high + 1)
]
VALUES = [b"value %d" % number for number in range(5)]


Fields = Callable[[int, Scene], dict[str, Any]]

#: By API, a request that succeeds where the topic "flights" has records, by version and scene.
REQUESTS: dict[str, Fields] = {
    "ApiVersions": lambda version, _: (
        {"client_software_name": "wire", "client_software_version": "1"} if version >= 3 else {}
    ),
    "Metadata": lambda *_: requests.metadata("flights"),
    "Produce": lambda version, scene: requests.produce(
        scene.topic_id if version >= 13 else "flights", requests.batch(VALUES)
    ),
    "Fetch": lambda version, scene: requests.fetch(
        scene.topic_id if version >= 13 else "flights", 0
    ),
    "ListOffsets": lambda *_: requests.list_offsets("flights", requests.START_MS),
    "OffsetForLeaderEpoch": lambda *_: requests.of_partition(
        "OffsetForLeaderEpoch", "OffsetForLeaderTopic", "OffsetForLeaderPartition", 0, -1, 0
    ),
    "InitProducerId": lambda *_: {"transactional_id": None, "transaction_timeout_ms": 0},
    "CreateTopics": lambda *_: {"topics": [requests.create_topic("other", 2)]},
    "DeleteTopics": lambda version, scene: (
        {"topic_names": ["flights"]}
        if version < 6
        else {
            "topics": [requests.struct("DeleteTopics", "DeleteTopicState", topic_id=scene.topic_id)]
        }
    ),
    "CreatePartitions": lambda *_: {
        "topics": [requests.struct("CreatePartitions", "CreatePartitionsTopic", "flights", 3, None)]
    },
    "DeleteRecords": lambda *_: requests.of_partition(
        "DeleteRecords", "DeleteRecordsTopic", "DeleteRecordsPartition", 0, 2
    ),
    "DescribeConfigs": lambda version, _: requests.describe_configs(
        2, "flights", include_synonyms=True, include_documentation=version >= 3
    ),
    "IncrementalAlterConfigs": lambda *_: requests.alter_config(
        2, "flights", "retention.ms", 0, "1000000"
    ),
    "AlterConfigs": lambda *_: requests.replace_configs("flights", retention_ms="1000000"),
    "DescribeLogDirs": lambda *_: {"topics": None},
    "DescribeProducers": lambda *_: {
        "topics": [requests.struct("DescribeProducers", "TopicRequest", "flights", [0])]
    },
    "DescribeCluster": lambda *_: {},
    "DescribeTopicPartitions": lambda *_: {
        "topics": [requests.struct("DescribeTopicPartitions", "TopicRequest", "flights")]
    },
    "ListConfigResources": lambda version, _: {"resource_types": [2]} if version else {},
    **GROUP_REQUESTS,
}


def codes_in(value: Any) -> list[int]:
    """Every error code in an answer."""
    if isinstance(value, list):
        return [code for each in value for code in codes_in(each)]
    if not hasattr(value, "__struct_fields__"):
        return []
    found = []
    for name in value.__struct_fields__:
        field = getattr(value, name)
        found += [field] if name == "error_code" else codes_in(field)
    return found


@pytest.fixture
def topic_id(log: StreamLog) -> Uuid:
    topic = log.create_topic("flights", 2)
    with log.producer() as producer:
        producer.send_many("flights", VALUES, partition=0).result()
    return Uuid.parse(topic.topic_id)


@pytest.mark.parametrize(("api", "version"), EVERY, ids=str)
def test_it_is_answered(connection: Connection, topic_id: Uuid, api: str, version: int) -> None:
    about_groups = api in GROUP_REQUESTS
    scene = set_scene(connection, topic_id) if about_groups else Scene(topic_id)
    connection.send(api, version, **REQUESTS[api](version, scene))
    answer = connection.receive()
    assert (answer.api.name, answer.version) == (api, version)
    codes = codes_in(answer.body)
    assert not any(codes)
    assert codes


def test_a_version_that_is_not_offered_ends_the_connection(connection: Connection) -> None:
    connection.send("Fetch", 4, **requests.fetch("flights", 0))
    connection.receive()
    connection.socket.sendall(bytes.fromhex("0000000a 0001 0063 00000001 ffff"))
    assert connection.is_closed_by_peer()


def test_api_versions_of_a_later_version_is_answered_in_version_0(connection: Connection) -> None:
    connection.socket.sendall(bytes.fromhex("0000000b 0012 0063 00000007 ffff 00"))
    length = int.from_bytes(connection.socket.recv(4))
    frame = connection.socket.recv(length)
    assert frame[:6] == bytes.fromhex("00000007 0023")
    (versions,) = (OFFER[API_VERSIONS],)
    entry = b"".join(n.to_bytes(2) for n in (API_VERSIONS, versions.low, versions.high))
    assert frame[6:] == (1).to_bytes(4) + entry


def test_what_is_offered_is_what_is_answered(connection: Connection) -> None:
    told = connection.ask("ApiVersions", 0)
    assert {each.api_key for each in told.api_keys} == set(OFFER)
    assert api_of("AddOffsetsToTxn").key not in OFFER


def test_a_fetch_in_the_middle_of_a_batch_returns_the_batch(
    connection: Connection, topic_id: Uuid
) -> None:
    answer = connection.ask("Fetch", 17, **requests.fetch(topic_id, 3))
    (found,) = answer.responses[0].partitions
    assert (found.error_code, found.high_watermark) == (0, 5)
    assert RecordBatch(found.records).base_offset == 0


def test_answers_come_in_the_order_of_the_requests(connection: Connection, topic_id: Uuid) -> None:
    """Also where the first one waits and the next could be answered at once."""
    connection.send("Fetch", 12, **requests.fetch("flights", 5, max_wait_ms=200))
    connection.send("Metadata", 12, **requests.metadata("flights"))
    connection.send("Produce", 9, **requests.produce("flights", requests.batch(VALUES), acks=0))
    connection.send("ListOffsets", 7, **requests.list_offsets("flights", -1))
    assert [connection.receive().api.name for _ in range(3)] == ["Fetch", "Metadata", "ListOffsets"]


def test_a_long_poll_ends_when_there_is_data(
    connection: Connection, log: StreamLog, topic_id: Uuid
) -> None:
    """Long before its time, whoever wrote: the socket's own timeout is shorter than the wait."""
    connection.send("Fetch", 17, **requests.fetch(topic_id, 5, max_wait_ms=3_600_000))
    with log.producer() as producer:
        producer.send("flights", b"late", partition=0).result()
    (found,) = connection.receive().body.responses[0].partitions
    assert [each.value for each in RecordBatch(found.records)] == [b"late"]


def test_a_long_poll_waits_for_enough(
    connection: Connection, log: StreamLog, topic_id: Uuid
) -> None:
    wanted = requests.fetch(topic_id, 5, max_wait_ms=3_600_000, min_bytes=1_000)
    connection.send("Fetch", 17, **wanted)
    with log.producer(linger_ms=0) as producer:
        producer.send("flights", bytes(100), partition=0).result()
        producer.send("flights", bytes(1_000), partition=0).result()
    (found,) = connection.receive().body.responses[0].partitions
    assert len(found.records) > 1_000


def test_a_long_poll_ends_when_its_topic_does(
    connection: Connection, log: StreamLog, topic_id: Uuid
) -> None:
    connection.send("Fetch", 17, **requests.fetch(topic_id, 5, max_wait_ms=3_600_000))
    log.delete_topic("flights")
    (found,) = connection.receive().body.responses[0].partitions
    assert found.error_code == 100


def test_fetch_sessions_tell_what_is_new(
    connection: Connection, log: StreamLog, topic_id: Uuid
) -> None:
    first = connection.ask("Fetch", 17, **requests.fetch(topic_id, 0, session_epoch=0))
    session = {"session_id": first.session_id, "max_wait_ms": 0, "min_bytes": 1}
    assert first.session_id > 0
    again = connection.ask(
        "Fetch", 17, **requests.fetch(topic_id, 5, **session | {"session_epoch": 1})
    )
    assert again.responses == []
    with log.producer() as producer:
        producer.send("flights", b"late", partition=0).result()
    news = connection.ask("Fetch", 17, **session, session_epoch=2)
    assert RecordBatch(news.responses[0].partitions[0].records).base_offset == 5
    wrong = connection.ask("Fetch", 17, **session, session_epoch=2)
    assert (wrong.error_code, wrong.session_id) == (71, 0)
    unknown = connection.ask("Fetch", 17, session_id=1, session_epoch=1)
    assert unknown.error_code == 70
    mixed = connection.ask("Fetch", 12, **session, session_epoch=3)
    assert mixed.error_code == 106
