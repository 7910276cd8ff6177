"""Records of the internal topics, in every version: Kafka decodes from ours the values we meant."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlog.protocol import Message, Uuid, message
from streamlog.protocol.coordinator_records import OFFSETS, SHARE, TRANSACTIONS, CoordinatorRecords
from streamlog.protocol.definition import FieldDefinition, StructDefinition
from streamlog.protocol.message import names_by_key
from streamlog.protocol.metadata_frame import encode_metadata
from streamlog.record.kernel import RecordBatchBuilder
from tests.interop.rig.dump import DumpedRecord, DumpTool
from tests.interop.rig.samples import START_MS
from tests.interop.rig.segment import place, write_segment

pytestmark = pytest.mark.interop

# Our definitions are of a later Kafka than the one we ask: a record type that it does not have,
# and tagged fields that it passes over.
NEWER_RECORDS = {"UnregisterControllerRecord"}
NEWER_FIELDS = {"storedDescriptionTopologyEpoch", "failedDescriptionTopologyEpoch"}

METADATA_NAMES = sorted(set(names_by_key("metadata_records", "metadata").values()) - NEWER_RECORDS)


class Sample:
    """A message's value in one version with every field set, and its JSON as Kafka writes it.

    With `defaults` every field has its default instead; a tagged one is then not there at all.
    """

    def __init__(self, kind: Message, version: int, *, defaults: bool = False) -> None:
        self._kind = kind
        self._version = version
        self._defaults = defaults
        self._numbers = itertools.count(1)
        self.value, self.json = self._struct(kind.definition.root, kind.Value)

    def _struct(self, definition: StructDefinition, of: type[Any]) -> tuple[Any, dict[str, Any]]:
        value, as_json = of(), {}
        for field in definition.fields:
            if self._version not in field.versions:
                continue
            if not self._defaults:
                field_value, field_json = self._field(field)
                setattr(value, field.attribute, field_value)
            elif self._version in field.tagged:
                continue
            else:
                field_json = _json_of_default(getattr(value, field.attribute))
            json_name = field.name[0].lower() + field.name[1:]
            if json_name not in NEWER_FIELDS:
                as_json[json_name] = field_json
        return value, as_json

    def _field(self, field: FieldDefinition) -> tuple[Any, Any]:
        if field.is_array:
            pairs = [self._one(field.type) for _ in range(2)]
            return [value for value, _ in pairs], [as_json for _, as_json in pairs]
        return self._one(field.type)

    def _one(self, kind: str) -> tuple[Any, Any]:
        number = next(self._numbers)
        if kind == "bool":
            return True, True
        if kind == "string":
            return f"text-{number}", f"text-{number}"
        if kind == "bytes":
            return b"\xff\0" * number, _base64(b"\xff\0" * number)
        if kind == "uuid":
            raw = bytes([number, *range(15)])
            return Uuid(raw), base64.urlsafe_b64encode(raw).decode().rstrip("=")
        if kind == "float64":
            return number + 0.5, number + 0.5
        if kind in self._kind.structs:
            return self._struct(self._kind.definition.structs[kind], self._kind.structs[kind])
        return number, number


def _json_of_default(value: Any) -> Any:
    if isinstance(value, Uuid):
        return "A" * 22
    return _base64(value) if isinstance(value, bytes) else value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def samples(name: str) -> Iterator[tuple[int, Sample]]:
    """(version, sample) with all fields set and with none, for each version of a message."""
    kind = message(name)
    low, high = kind.valid_versions
    for version in range(low, high + 1):
        yield version, Sample(kind, version)
        yield version, Sample(kind, version, defaults=True)


def decode(
    tool: DumpTool, folder: Path, pairs: list[tuple[bytes | None, bytes | None]], *options: str
) -> list[DumpedRecord]:
    """What the dump tool makes of records with these keys and values."""
    builder = RecordBatchBuilder()
    for key, value in pairs:
        builder.append(START_MS, key, value, ())
    log = write_segment(folder, [place(builder.build(), 0)])
    dump = tool.dump([log], *options)
    assert dump.problems == []
    return dump.files[log].records


def test_kafka_decodes_every_metadata_record_in_every_version(
    dump_tool: DumpTool, tmp_path: Path
) -> None:
    expected: list[dict[str, Any]] = []
    frames: list[tuple[bytes | None, bytes | None]] = []
    for name in METADATA_NAMES:
        for version, sample in samples(name):
            frames.append((None, encode_metadata(sample.value, version)))
            expected.append({"type": _screaming(name), "version": version, "data": sample.json})
    records = decode(
        dump_tool, tmp_path / "__cluster_metadata-0", frames, "--cluster-metadata-decoder"
    )
    assert [json.loads(record.value or "null") for record in records] == expected


@pytest.mark.parametrize(
    ("family", "topic", "option"),
    [
        (OFFSETS, "offsets_records", "--offsets-decoder"),
        (TRANSACTIONS, "transaction_records", "--transaction-log-decoder"),
        (SHARE, "share_records", "--share-group-state-decoder"),
    ],
    ids=["offsets", "transactions", "share"],
)
def test_kafka_decodes_every_coordinator_record_in_every_version(
    family: CoordinatorRecords, topic: str, option: str, dump_tool: DumpTool, tmp_path: Path
) -> None:
    pairs: list[tuple[bytes | None, bytes | None]] = []
    expected: list[tuple[Any, Any]] = []
    values = names_by_key(topic, "coordinator-value")
    for number, name in names_by_key(topic, "coordinator-key").items():
        key = Sample(message(name), 0)
        key_json = {"type": str(number), "data": key.json}
        pairs.append((family.encode_key(key.value), None))
        expected.append((key_json, None))
        for version, sample in samples(values[number]):
            pairs.append((family.encode_key(key.value), family.encode_value(sample.value, version)))
            expected.append((key_json, {"version": str(version), "data": sample.json}))
    records = decode(dump_tool, tmp_path / "__internal-0", pairs, option)
    found = [(json.loads(r.key or "null"), json.loads(r.value or "null")) for r in records]
    assert found == expected


def _screaming(name: str) -> str:
    """TopicRecord as Kafka's enumeration has it: TOPIC_RECORD."""
    return "".join(f"_{c}" if c.isupper() and i else c.upper() for i, c in enumerate(name))
