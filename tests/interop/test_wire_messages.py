"""Every version of every request, response and header, as Kafka's own classes see them.

They decode what we encoded, say in JSON what it means, and write the same bytes again.
"""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

import pytest

from streamlog.errors import SchemaError
from streamlog.protocol import Message, message
from streamlog.protocol.api import apis, offered
from streamlog.protocol.error_codes import error_codes
from streamlog.protocol.exchange import Request, encode_request, encode_response
from tests.interop.message_json import as_json
from tests.interop.rig.jars import KafkaJars
from tests.interop.rig.messages import Decoded, KafkaMessages
from tests.protocol.mutation import attempt, mutated, small_message
from tests.protocol.strategies import UNKNOWN_TAGS_FROM, Which
from tests.protocol.values import make_value, wire_versions

pytestmark = pytest.mark.interop

VERSIONS = [*wire_versions(), ("RequestHeader", 1), ("RequestHeader", 2), ("ResponseHeader", 1)]
# Our definitions are of a later Kafka than the one that we ask.
NEWER = {
    ("ApiVersions", 5),
    ("DeleteGroups", 3),
    ("StreamsGroupDescribe", 1),
    ("StreamsGroupHeartbeat", 1),
    ("StreamsGroupTopologyDescriptionUpdate", 0),
    ("TxnOffsetCommit", 6),
    ("UnregisterController", 0),
}
# And of two fields they have the names that they got later.
FORMER_NAMES = {
    "TxnOffsetCommitRequest": {"generationIdOrMemberEpoch": "generationId"},
    "StreamsGroupHeartbeatResponse": {"acceptableRecoveryLagLegacy": "acceptableRecoveryLag"},
}
JUDGED = {"DescribeAcls", "CreateAcls", "DeleteAcls"}  # their classes refuse what means nothing
VALUES_PER_VERSION = 6


def is_newer(which: Which) -> bool:
    name, version = which
    return (name.removesuffix("Request").removesuffix("Response"), version) in NEWER


def expected_json(kind: Message, value: Any, version: int) -> dict[str, Any]:
    former = FORMER_NAMES.get(kind.name, {})
    return {former.get(k, k): v for k, v in as_json(kind, value, version).items()}


@pytest.fixture(scope="module")
def kafka(kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory) -> KafkaMessages:
    return KafkaMessages(kafka_jars, tmp_path_factory.mktemp("classes"))


def samples() -> list[tuple[Message, int, Any]]:
    """Values of every version: one of defaults, others at random, the last with unknown tags."""
    found = []
    for name, version in VERSIONS:
        kind = message(name)
        rng = Random(f"kafka {name} {version}")
        found.append((kind, version, kind.Value()))
        random_values = [make_value(rng, kind, version) for _ in range(VALUES_PER_VERSION)]
        found += [(kind, version, value) for value in random_values]
        if version in kind.definition.flexible:
            value = make_value(rng, kind, version)
            value.unknown_tagged_fields = ((UNKNOWN_TAGS_FROM, b"x"), (1_000_000, b""))
            found.append((kind, version, value))
    return found


def test_kafka_decodes_every_message_in_every_version(kafka: KafkaMessages) -> None:
    sent = samples()
    data = [kind.encode(value, version) for kind, version, value in sent]
    answers = kafka.decode(
        [(kind.name, version, raw) for (kind, version, _), raw in zip(sent, data, strict=True)]
    )
    compared = 0
    for (kind, version, value), raw, answer in zip(sent, data, answers, strict=True):
        if is_newer((kind.name, version)):
            assert answer.is_unknown
            continue
        assert answer == Decoded(expected_json(kind, value, version), raw), (kind.name, version)
        assert kind.decode_whole(answer.data or b"", version) == value
        compared += 1
    assert compared > 4_000


def test_a_wrong_byte_is_noticed(kafka: KafkaMessages) -> None:
    kind = message("HeartbeatRequest")
    value = kind.Value(group_id="g", generation_id=1, member_id="m")
    data = bytearray(kind.encode(value, 4))
    data[5] ^= 3
    (answer,) = kafka.decode([(kind.name, 4, bytes(data))])
    assert answer.json != as_json(kind, value, 4)
    (answer,) = kafka.decode([(kind.name, 4, bytes(data[:-1]))])
    assert answer.error is not None
    (answer,) = kafka.decode([("NoSuchMessage", 0, b"")])
    assert answer.is_unknown


def test_apis_are_kafkas(kafka: KafkaMessages) -> None:
    """Names, versions and header versions of every API that this Kafka has."""
    table = [api for api in kafka.table("apis") if api["newest"] >= 0]  # the others are removed
    assert len(table) > 85
    for theirs in table:
        ours = apis()[theirs["key"]]
        assert ours.name == theirs["name"]
        versions = [
            version
            for version in range(ours.versions.low, ours.versions.high + 1)
            if not is_newer((ours.name, version))
        ]
        assert versions == list(range(theirs["oldest"], theirs["newest"] + 1)), ours.name
        headers = [
            [ours.request_header_version(v), ours.response_header_version(v)] for v in versions
        ]
        assert headers == theirs["headers"], ours.name


def test_nothing_unstable_is_offered(kafka: KafkaMessages) -> None:
    for theirs in kafka.table("apis"):
        versions = offered().get(theirs["key"])
        if versions is not None and not is_newer((theirs["name"], versions.high)):
            assert versions.high == theirs["newest_stable"], theirs["name"]


def test_error_codes_are_kafkas(kafka: KafkaMessages) -> None:
    theirs = {tuple(code) for code in kafka.table("errors")}
    ours = {tuple(code[:4]) for code in error_codes().values()}
    assert theirs <= ours
    assert {number for number, *_ in ours - theirs} <= {134, 135, 136}


# What we refuse and Kafka does not, by the reason that we give.
STRICTER = (
    "'utf-8' codec",  # Kafka puts U+FFFD for what is no text: two names could become one
    "its size is not the announced one",  # of a known tagged field, where Kafka does not look
    " bytes announced, ",  # nor here
)
# And the other way round: a tagged field of another version, which is kept as an unknown one.
LAXER = "is not valid for version"


def test_kafka_accepts_what_we_accept(kafka: KafkaMessages) -> None:
    """Of messages that were damaged at random; what both accept means the same to both."""
    work = []
    for name, version in VERSIONS:
        rng = Random(f"damaged {name} {version}")
        data = small_message(message(name), version)
        if not is_newer((name, version)):
            work += [(name, version, mutated(rng, data)) for _ in range(8)]
    both = 0
    for (name, version, data), theirs in zip(work, kafka.decode(work), strict=True):
        ours = attempt(message(name), version, data)
        if isinstance(ours, SchemaError):
            assert theirs.error or any(reason in str(ours) for reason in STRICTER), ours
        elif theirs.error is None or LAXER not in theirs.error:
            again = message(name).encode(ours, version)
            assert again == theirs.data, (name, version, data.hex(), theirs)
            both += 1
    assert len(work) // 5 < both < len(work) // 2


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_kafka_reads_our_frames(kafka: KafkaMessages) -> None:
    """Headers and bodies of every API and version, as its broker and its clients read them."""
    work, expected = [], []
    for api in apis().values():
        for version in range(api.versions.low, api.versions.high + 1):
            if is_newer((api.name, version)) or api.name in JUDGED:
                continue
            rng = Random(f"frames {api.name} {version}")
            body = make_value(rng, api.request, version)
            frame = b"".join(encode_request(api, version, 77, "größe", body))[4:]
            work.append(f"request {text(frame)}")
            client = text("größe".encode())
            expected.append((f"{api.key} {version} 77 {client}", api.request, body, version))
            answer = make_value(rng, api.response, version)
            if api.name == "JoinGroup":  # of which an empty name becomes null on its way
                answer.protocol_name = answer.protocol_name or "range"
            request = Request(api, version, 77, "größe", body)
            response = b"".join(encode_response(request, answer))[4:]
            work.append(f"response {text(frame)} {text(response)}")
            expected.append(("77", api.response, answer, version))
    for line, (start, kind, value, version) in zip(kafka.ask(work), expected, strict=True):
        assert line.startswith(f"ok {start} "), (kind.name, version, line)
        found = json.loads(line[len(f"ok {start} ") :])
        assert found == expected_json(kind, value, version), (kind.name, version)
