"""A client of a few lines speaks to a real broker: frames, headers and bodies as they travel."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from streamlog.protocol import Uuid, message
from streamlog.protocol.api import API_VERSIONS, api_of, apis, offered, refusal
from streamlog.protocol.definition import VersionRange
from streamlog.protocol.exchange import Response
from streamlog.protocol.frame_reader import FrameReader
from streamlog.protocol.in_flight import InFlightRequests
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.samples import START_MS

pytestmark = pytest.mark.interop

NO_ERROR = 0


class Connection:
    """Sends a request and waits for its response."""

    def __init__(self, bootstrap: str) -> None:
        host, _, port = bootstrap.partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._frames = FrameReader()
        self._requests = InFlightRequests("größe")

    def close(self) -> None:
        self._socket.close()

    def send(self, api: str, version: int, body: Any) -> None:
        buffers = self._requests.send(api_of(api), version, body)
        sent = self._socket.sendmsg(buffers)
        assert sent == sum(memoryview(buffer).nbytes for buffer in buffers)

    def receive(self) -> Response:
        while (frame := self._frames.next_frame()) is None:
            received = self._socket.recv_into(self._frames.get_buffer())
            assert received, "the broker closed the connection"
            self._frames.buffer_updated(received)
        return self._requests.receive(frame)

    def ask(self, api: str, version: int, **fields: Any) -> Any:
        self.send(api, version, message(f"{api}Request").Value(**fields))
        return self.receive().body


@pytest.fixture
def connection(broker: Broker) -> Iterator[Connection]:
    connection = Connection(broker.bootstrap)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def topic(broker: Broker) -> str:
    client.create_topics(broker.bootstrap, {"wire": 2})
    return "wire"


def test_what_the_broker_offers(connection: Connection) -> None:
    """Every version of the request; the broker's versions are those that we know of it."""
    kind = message("ApiVersionsRequest")
    for version in range(5):
        given = {"client_software_name": "wire", "client_software_version": "1"}
        connection.send("ApiVersions", version, kind.Value(**given if version > 2 else {}))
        answer = connection.receive()
        assert (answer.version, answer.body.error_code) == (version, NO_ERROR)
        for entry in answer.body.api_keys:
            known = apis()[entry.api_key].versions
            assert known.high >= entry.max_version
            assert known.low <= entry.min_version or entry.api_key == 0
    listed = {entry.api_key for entry in answer.body.api_keys}
    assert set(offered()) <= listed


def test_a_later_version_of_api_versions_is_answered_in_version_0(connection: Connection) -> None:
    """Version 5 is later than this broker: what it says is what we say to such a client."""
    connection.send("ApiVersions", 5, message("ApiVersionsRequest").Value(client_software_name="a"))
    answer = connection.receive()
    assert (answer.version, answer.body) == (0, refusal({API_VERSIONS: VersionRange(0, 4)}))
    assert connection.ask("ApiVersions", 0).error_code == NO_ERROR


def test_metadata_in_every_version(connection: Connection, topic: str) -> None:
    named = message("MetadataRequest").structs["MetadataRequestTopic"](name=topic)
    for version in range(14):
        answer = connection.ask("Metadata", version, topics=[named])
        (found,) = answer.topics
        assert (found.error_code, found.name, len(found.partitions)) == (NO_ERROR, topic, 2)
        assert [broker.node_id for broker in answer.brokers] == [1]
        assert (found.topic_id != Uuid.ZERO) == (version >= 10)


def test_records_go_there_and_come_back(connection: Connection, topic: str) -> None:
    """Produce and Fetch in every version, by name and by id; acks=0 is not answered."""
    named = message("MetadataRequest").structs["MetadataRequestTopic"](name=topic)
    topic_id = connection.ask("Metadata", 12, topics=[named]).topics[0].topic_id
    connection.send("Produce", 3, produce(topic, topic_id, 3, acks=0))
    for offset, version in enumerate(range(3, 14), start=1):
        connection.send("Produce", version, produce(topic, topic_id, version, acks=-1))
        (written,) = connection.receive().body.responses[0].partition_responses
        assert (written.error_code, written.base_offset) == (NO_ERROR, offset)
    for version in range(4, 19):
        offset = min(version - 2, 11)
        asked = fetch_topic(topic, topic_id, version, offset)
        answer = connection.ask("Fetch", version, max_wait_ms=100, min_bytes=1, topics=[asked])
        (found,) = answer.responses[0].partitions
        assert (found.error_code, found.high_watermark) == (NO_ERROR, 12)
        first = RecordBatch(found.records, 0)
        assert first.base_offset == offset
        assert next(iter(first)).value == value_of(offset + 2)


def value_of(version: int) -> bytes:
    return b"from version %d " % version + bytes(6_000)


def produce(topic: str, topic_id: Uuid, version: int, *, acks: int) -> Any:
    builder = RecordBatchBuilder()
    builder.append(START_MS, b"key", value_of(version), ())
    structs = message("ProduceRequest").structs
    partition = structs["PartitionProduceData"](0, bytes(builder.build()))
    by = {"name": topic} if version < 13 else {"topic_id": topic_id}
    data = structs["TopicProduceData"](partition_data=[partition], **by)
    return message("ProduceRequest").Value(acks=acks, timeout_ms=9_000, topic_data=[data])


def fetch_topic(topic: str, topic_id: Uuid, version: int, offset: int) -> Any:
    structs = message("FetchRequest").structs
    wanted = structs["FetchPartition"](
        partition=0, fetch_offset=offset, partition_max_bytes=1 << 20
    )
    by = {"topic": topic} if version < 13 else {"topic_id": topic_id}
    return structs["FetchTopic"](partitions=[wanted], **by)


def test_errors_are_codes(connection: Connection) -> None:
    body = {"group_id": "nobody", "generation_id": 1, "member_id": "m"}
    for version in range(5):
        answer = connection.ask("Heartbeat", version, **body)
        # Not the coordinator before there is an offsets topic, then no such member.
        assert answer.error_code in (16, 25)
    named = message("MetadataRequest").structs["MetadataRequestTopic"](name="not there")
    answer = connection.ask("Metadata", 12, topics=[named], allow_auto_topic_creation=False)
    assert answer.topics[0].error_code == 17
