"""Every version of every request and response is the same to kio, byte for byte."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings

from streamlog.protocol import message
from tests.protocol.kio_codec import KioCodec, entity_class
from tests.protocol.strategies import Which, values_of
from tests.protocol.values import make_value, wire_versions

# Our definitions are of a later Kafka than kio's classes.
NEWER = {
    ("ApiVersions", 5),
    ("DeleteGroups", 3),
    ("StreamsGroupDescribe", 1),
    ("StreamsGroupHeartbeat", 1),
    ("StreamsGroupTopologyDescriptionUpdate", 0),
    ("TxnOffsetCommit", 6),
    ("UnregisterController", 0),
}
VERSIONS = [
    (name, version)
    for name, version in wire_versions()
    if (name.removesuffix("Request").removesuffix("Response"), version) not in NEWER
]
VALUES_PER_VERSION = 4


def check(which: Which, value: Any) -> None:
    """kio reads the value that we wrote, and writes for it the bytes that we did."""
    name, version = which
    kind = message(name)
    codec = KioCodec(kind, version)
    codec.restrict(value)
    data = kind.encode(value, version)
    assert codec.decode(data) == value, which
    assert codec.encode(value) == data, which


def test_every_version_agrees_with_kio() -> None:
    for name, version in VERSIONS:
        rng = Random(f"kio {name} {version}")
        for _ in range(VALUES_PER_VERSION):
            check((name, version), make_value(rng, message(name), version))


@settings(max_examples=400)
@given(values_of(VERSIONS))
def test_any_value_agrees_with_kio(found: tuple[Which, Any]) -> None:
    check(*found)


def test_kio_lacks_no_other_versions() -> None:
    assert [which for which in VERSIONS if entity_class(message(which[0]), which[1]) is None] == []
