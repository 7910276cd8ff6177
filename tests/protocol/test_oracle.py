"""Every version of every message means the same to kafka-python's codec."""

from __future__ import annotations

import re
from random import Random

import pytest

from streamlog.protocol import message
from tests.protocol import foreign
from tests.protocol.values import internal_versions, make_value, wire_versions

VALUES_PER_VERSION = 4


def _names(versions: list[tuple[str, int]]) -> list[str]:
    return sorted({name for name, _ in versions} - foreign.CANNOT_READ.keys())


def _check(name: str) -> None:
    kind = message(name)
    low, high = kind.valid_versions
    for version in range(low, high + 1):
        rng = Random(f"{name} {version}")
        for _ in range(VALUES_PER_VERSION):
            value = make_value(rng, kind, version)
            theirs = foreign.decode(kind, version, kind.encode(value, version))
            assert theirs == foreign.plain(value, kind, kind.definition.root, version)


@pytest.mark.parametrize("name", _names(internal_versions()))
def test_kafka_python_reads_our_records(name: str) -> None:
    _check(name)


def test_kafka_python_reads_our_requests_and_responses() -> None:
    for name in _names(wire_versions()):
        _check(name)


@pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")
def test_definitions_agree_with_those_that_kafka_python_carries() -> None:
    """Where both have a version, the fields of both have the same types (names changed)."""
    from kafka.protocol.schemas import load_json

    compared = 0
    for name in _names(wire_versions()):
        try:
            carried = load_json(name)
        except FileNotFoundError:
            continue
        compared += 1
        kind = message(name)
        newest = min(int(carried["validVersions"].split("-")[-1]), kind.valid_versions[1])
        ours = [
            ("[]" if field.is_array else "") + ("struct" if field.is_struct else field.type)
            for field in kind.definition.root.fields
            if newest in field.versions
        ]
        theirs = [
            re.sub("[A-Z].*", "struct", field["type"])
            for field in carried["fields"]
            if _covers(field["versions"], newest)
        ]
        assert ours == theirs, name
    assert compared > 80


def _covers(versions: str, version: int) -> bool:
    low, _, high = versions.rstrip("+").partition("-")
    top = 99 if versions.endswith("+") else int(high or low)
    return int(low) <= version <= top
