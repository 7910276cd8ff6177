"""Requests and responses in their frames, against bytes worked out by hand and by others."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from streamlog.errors import ProtocolError, SchemaError, UnsupportedVersionError
from streamlog.protocol import message
from streamlog.protocol.api import (
    API_VERSIONS,
    Api,
    api_of,
    apis,
    offered,
    offered_versions,
    refusal,
)
from streamlog.protocol.exchange import (
    Request,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from streamlog.protocol.in_flight import InFlightRequests
from streamlog.protocol.primitives import Buffer
from tests.protocol.values import make_value

EVERYTHING = {api.key: api.versions for api in apis().values()}


def packed(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def joined(buffers: list[Buffer]) -> bytes:
    return b"".join(bytes(buffer) for buffer in buffers)


def frame_of(buffers: list[Buffer]) -> bytes:
    """The frame without its length, which is right."""
    whole = joined(buffers)
    assert int.from_bytes(whole[:4], "big") == len(whole) - 4
    return whole[4:]


def value(name: str, /, **fields: Any) -> Any:
    return message(name).Value(**fields)


API_VERSION = message("ApiVersionsResponse").structs["ApiVersion"]


@pytest.mark.parametrize(
    ("api", "version", "correlation_id", "body", "data"),
    [
        (
            "ApiVersions",
            3,
            1,
            value("ApiVersionsRequest", client_software_name="demo", client_software_version="1.0"),
            "00000018 0012 0003 00000001 0003 636964 00 05 64656d6f 04 312e30 00",
        ),
        (
            "Metadata",
            1,
            2,
            value("MetadataRequest", topics=None),
            "00000011 0003 0001 00000002 0003 636964 ffffffff",
        ),
        (
            "SaslHandshake",
            1,
            5,
            value("SaslHandshakeRequest", mechanism="PLAIN"),
            "00000014 0011 0001 00000005 0003 636964 0005 504c41494e",
        ),
    ],
)
def test_requests(api: str, version: int, correlation_id: int, body: Any, data: str) -> None:
    kind = api_of(api)
    assert joined(encode_request(kind, version, correlation_id, "cid", body)) == packed(data)
    request = decode_request(packed(data)[4:], EVERYTHING)
    assert request == Request(kind, version, correlation_id, "cid", body)


def test_a_response() -> None:
    """Of ApiVersions: its header has no tagged fields though its body is flexible."""
    body = value("ApiVersionsResponse", api_keys=[API_VERSION(18, 0, 4), API_VERSION(3, 0, 13)])
    request = Request(api_of("ApiVersions"), 3, 1, None, value("ApiVersionsRequest"))
    data = packed("0000001a 00000001 0000 03 0012 0000 0004 00 0003 0000 000d 00 00000000 00")
    assert joined(encode_response(request, body)) == data
    response = decode_response(data[4:], request.api, 3)
    assert (response.correlation_id, response.version, response.body) == (1, 3, body)


def test_an_api_versions_request_of_a_later_kafka_is_answered_in_version_0() -> None:
    """Its body is not looked at; its header is (KIP-511)."""
    later = packed("0012 007f 00000001 0003 636964 00") + b"a body of the future"
    request = decode_request(later)
    assert request == Request(api_of("ApiVersions"), 127, 1, "cid", None)
    assert request.response_version == 0
    low, high = offered()[API_VERSIONS].low, offered()[API_VERSIONS].high
    body = refusal(offered())
    data = packed(f"00000010 00000001 0023 00000001 0012 {low:04x} {high:04x}")
    assert joined(encode_response(request, body)) == data
    response = decode_response(data[4:], request.api, request.version)
    assert (response.version, response.body) == (0, body)


def test_an_api_versions_request_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(SchemaError, match="ApiVersionsRequest version 3"):
        decode_request(packed("0012 0003 00000001 0003 636964 00 05 64656d6f"))
    with pytest.raises(SchemaError, match="RequestHeader version 2"):
        decode_request(packed("0012 007f 00000001 0003 6369"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("0000 0002 00000001 ffff", "Produce is answered in versions 3 to 13, not 2"),
        ("0000 000e 00000001 ffff", "Produce is answered in versions 3 to 13, not 14"),
        ("0001 ffff 00000001 ffff", "Fetch is answered in versions 4 to 18, not -1"),
        ("0016 0006 00000001 ffff 00", "InitProducerId is answered in versions 0 to 5, not 6"),
        ("0034 0000 00000001 ffff 00", r"an API of key 52 \(Vote\) is not offered"),
        ("0004 0000 00000001 ffff", "an API of key 4 is not offered"),
        ("ffff 0000 00000001 ffff", "an API of key -1 is not offered"),
    ],
)
def test_what_is_not_offered_is_refused(data: str, text: str) -> None:
    with pytest.raises(UnsupportedVersionError, match=text) as caught:
        decode_request(packed(data))
    assert caught.value.code == 35
    assert caught.value.api_key == int.from_bytes(packed(data)[:2], "big", signed=True)


def test_an_offer_may_be_narrowed() -> None:
    """Before authentication there is less."""
    heartbeat = frame_of(
        encode_request(api_of("Heartbeat"), 4, 1, None, value("HeartbeatRequest", group_id="g"))
    )
    assert decode_request(heartbeat).body.group_id == "g"
    with pytest.raises(UnsupportedVersionError):
        decode_request(heartbeat, {API_VERSIONS: offered()[API_VERSIONS]})


@pytest.mark.parametrize("length", range(4))
def test_a_frame_without_a_header_is_no_request(length: int) -> None:
    with pytest.raises(ProtocolError, match=f"a frame of {length} bytes is no request"):
        decode_request(bytes(length))


def test_bytes_behind_a_request_are_passed_over() -> None:
    """As by Kafka, whose clients have been sending some unnoticed."""
    body = value("HeartbeatRequest")
    data = frame_of(encode_request(api_of("Heartbeat"), 0, 1, None, body))
    assert decode_request(data + b"\0").body == body


def test_tagged_fields_of_a_header_are_passed_over() -> None:
    data = packed("000c 0004 00000007 ffff 01 05 02 6162 02 67 00000001 02 6d 00 00")
    request = decode_request(data)
    assert request.client_id is None
    assert (request.correlation_id, request.body.member_id) == (7, "m")


def test_every_api_in_every_version_survives_the_wire() -> None:
    for api in apis().values():
        for version in range(api.versions.low, api.versions.high + 1):
            rng = Random(f"exchange {api.name} {version}")
            body = make_value(rng, api.request, version)
            answer = make_value(rng, api.response, version)
            if api.key == API_VERSIONS:
                answer.error_code = 0
            frame = frame_of(encode_request(api, version, 2**31 - 1, "größe", body))
            request = decode_request(frame, EVERYTHING)
            assert request == Request(api, version, 2**31 - 1, "größe", body)
            frame = frame_of(encode_response(request, answer))
            response = decode_response(frame, api, version)
            assert (response.correlation_id, response.body) == (2**31 - 1, answer)


def produce(records: Any, acks: int = 1) -> Any:
    kind = message("ProduceRequest")
    partition = kind.structs["PartitionProduceData"](0, records)
    return kind.Value(
        None, acks, 1000, [kind.structs["TopicProduceData"]("t", partition_data=[partition])]
    )


def fetched(*records: Any) -> Any:
    kind = message("FetchResponse")
    parts = [
        kind.structs["PartitionData"](partition_index=i, records=r) for i, r in enumerate(records)
    ]
    return kind.Value(responses=[kind.structs["FetchableTopicResponse"](partitions=parts)])


@pytest.mark.parametrize("version", [11, 13])
def test_records_are_sent_from_where_they_are(version: int) -> None:
    """Large ones are a buffer of the answer, the caller's own memory; small ones are copied."""
    log = bytes(range(256)) * 4096
    large, small = memoryview(log)[4_096:100_000], memoryview(log)[:100]
    request = Request(api_of("Fetch"), version, 9, None, value("FetchRequest"))
    body = fetched(large, small, None, large[:5_000])
    buffers = encode_response(request, body)
    sent = [buffer for buffer in buffers if isinstance(buffer, memoryview) and buffer.obj is log]
    assert [buffer.nbytes for buffer in sent] == [large.nbytes, 5_000]
    assert len(buffers) == (4 if version == 11 else 5)  # behind the last records a section of tags
    assert decode_response(frame_of(buffers), request.api, version).body == body
    copied = request.api.response.encode(body, version)
    assert frame_of(buffers).endswith(copied)


def test_records_of_a_request_are_its_frame() -> None:
    frame = memoryview(
        bytearray(frame_of(encode_request(api_of("Produce"), 9, 1, "c", produce(b"batch"))))
    )
    records = decode_request(frame).body.topic_data[0].partition_data[0].records
    records[:1] = b"B"
    assert b"Batch" in bytes(frame)


def test_produce_without_acks_has_no_response() -> None:
    for acks, expected in ((0, False), (1, True), (-1, True)):
        frame = frame_of(encode_request(api_of("Produce"), 9, 1, "c", produce(b"", acks)))
        assert decode_request(frame).expects_response is expected
    assert decode_request(packed("0012 0000 00000001 ffff")).expects_response


def test_an_answer_that_does_not_fit_its_version_is_refused() -> None:
    request = Request(api_of("Fetch"), 4, 1, None, value("FetchRequest"))
    with pytest.raises(SchemaError, match="cannot express") as caught:
        encode_response(request, value("FetchResponse", session_id=5))
    assert caught.value.field == "SessionId"


class TestInFlight:
    """A client's own side."""

    def answer(self, request_buffers: list[Buffer]) -> bytes:
        request = decode_request(frame_of(request_buffers), EVERYTHING)
        return frame_of(encode_response(request, request.api.response.Value()))

    def test_responses_belong_to_requests_in_their_order(self) -> None:
        requests = InFlightRequests("c")
        heartbeat = requests.send(api_of("Heartbeat"), 4, value("HeartbeatRequest"))
        metadata = requests.send(api_of("Metadata"), 12, value("MetadataRequest"))
        assert len(requests) == 2
        first = requests.receive(self.answer(heartbeat))
        assert (first.api.name, first.correlation_id) == ("Heartbeat", 0)
        assert requests.receive(self.answer(metadata)).correlation_id == 1
        assert len(requests) == 0

    def test_a_response_to_another_request_is_an_error(self) -> None:
        requests = InFlightRequests()
        requests.send(api_of("Heartbeat"), 4, value("HeartbeatRequest"))
        second = requests.send(api_of("Heartbeat"), 4, value("HeartbeatRequest"))
        with pytest.raises(ProtocolError, match="the response to request 1 came where that to 0"):
            requests.receive(self.answer(second))

    def test_a_response_without_a_request_is_an_error(self) -> None:
        requests = InFlightRequests()
        requests.send(api_of("Produce"), 9, produce(b"", acks=0))
        with pytest.raises(ProtocolError, match="without a request"):
            requests.receive(bytes(8))

    def test_a_request_that_does_not_fit_takes_no_number(self) -> None:
        requests = InFlightRequests()
        with pytest.raises(SchemaError):
            requests.send(api_of("Heartbeat"), 4, value("HeartbeatRequest", generation_id=2**40))
        sent = requests.send(api_of("Heartbeat"), 4, value("HeartbeatRequest"))
        assert requests.receive(self.answer(sent)).correlation_id == 0

    def test_numbers_start_again_behind_the_last(self) -> None:
        requests = InFlightRequests()
        requests._next_correlation_id = 2**31 - 1
        for expected in (2**31 - 1, 0):
            sent = requests.send(api_of("Heartbeat"), 4, value("HeartbeatRequest"))
            assert requests.receive(self.answer(sent)).correlation_id == expected


def test_what_is_offered_as_an_answer() -> None:
    listed = {
        entry.api_key: (entry.min_version, entry.max_version)
        for entry in offered_versions(offered())
    }
    assert listed[API_VERSIONS] == (0, 5)
    assert listed[0] == (0, 13)
    assert list(listed) == sorted(listed)


def header_versions(api: Api) -> list[tuple[int, int]]:
    low, high = api.versions.low, api.versions.high
    return [
        (api.request_header_version(v), api.response_header_version(v))
        for v in range(low, high + 1)
    ]


def test_header_versions() -> None:
    assert header_versions(api_of("Heartbeat")) == [(1, 0)] * 4 + [(2, 1)]
    assert header_versions(api_of("ApiVersions")) == [(1, 0)] * 3 + [(2, 0)] * 3
    assert header_versions(api_of("SaslHandshake")) == [(1, 0)] * 2
    assert header_versions(api_of("OffsetDelete")) == [(1, 0)]
