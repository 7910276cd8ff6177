"""Every version of every message is the same to kafka-python, byte for byte."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from streamlog.protocol import message
from tests.protocol import foreign
from tests.protocol.strategies import Which, values_of
from tests.protocol.values import internal_versions, make_value, wire_versions

VALUES_PER_VERSION = 4


def readable(versions: list[Which]) -> list[Which]:
    return [which for which in versions if which[0] not in foreign.CANNOT_READ]


def check(which: Which, value: Any, codec: foreign.Codec) -> None:
    """kafka-python reads the value that we wrote, and writes for it the bytes that we did."""
    name, version = which
    data = message(name).encode(value, version)
    assert codec.decode(data) == value, which
    assert codec.encode(value) == data, which


def check_version(which: Which, codec: foreign.Codec) -> None:
    name, version = which
    rng = Random(f"{name} {version}")
    for _ in range(VALUES_PER_VERSION):
        check(which, make_value(rng, message(name), version), codec)


@pytest.mark.parametrize("name", sorted({name for name, _ in readable(internal_versions())}))
def test_records_agree_with_kafka_python(name: str) -> None:
    low, high = message(name).valid_versions
    for version in range(low, high + 1):
        check_version((name, version), foreign.codec(message(name), version))


def test_requests_and_responses_agree_with_kafka_python() -> None:
    for name, version in readable(wire_versions()):
        check_version((name, version), foreign.codec(message(name), version))


def test_requests_and_responses_agree_with_the_definitions_that_kafka_python_carries() -> None:
    """Another copy of Kafka's definitions: an error in taking over ours would be seen here."""
    compared = set()
    for name, version in wire_versions():
        carried = foreign.carried_codec(message(name), version)
        if carried is not None:
            check_version((name, version), carried)
            compared.add(name)
    assert len(compared) > 80


@settings(max_examples=300)
@given(values_of(readable(internal_versions() + wire_versions())))
def test_any_value_agrees_with_kafka_python(found: tuple[Which, Any]) -> None:
    (name, version), value = found
    check((name, version), value, foreign.codec(message(name), version))
