"""Records of the internal topics, in every version: Kafka decodes from ours the values we meant."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from streamlog.protocol import Message, Uuid, message
from streamlog.protocol.coordinator_records import OFFSETS, SHARE, TRANSACTIONS, CoordinatorRecords
from streamlog.protocol.layout import FieldLayout, StructLayout, lay_out
from streamlog.protocol.message import names_by_key
from streamlog.protocol.metadata_frame import encode_metadata
from streamlog.record.kernel import RecordBatchBuilder
from tests.interop.message_json import as_json
from tests.interop.rig.dump import DumpedRecord, DumpTool
from tests.interop.rig.samples import START_MS
from tests.interop.rig.segment import place, write_segment

pytestmark = pytest.mark.interop

# Our definitions are of a later Kafka than the one we ask: a record type that it does not have,
# and tagged fields that it passes over.
NEWER_RECORDS = {"UnregisterControllerRecord"}
NEWER_FIELDS = {"storedDescriptionTopologyEpoch", "failedDescriptionTopologyEpoch"}

METADATA_NAMES = sorted(set(names_by_key("metadata_records", "metadata").values()) - NEWER_RECORDS)


def filled(kind: Message, version: int) -> Any:
    """A value in which every field is set, each with a number of its own."""
    numbers = itertools.count(1)

    def struct(layout: StructLayout, made: type[Any]) -> Any:
        fields = [field for field in layout.members if not field.is_absent]
        return made(**{field.attribute: content(field) for field in fields})

    def content(field: FieldLayout) -> Any:
        if field.is_array:
            return [content(field.element) for _ in range(2)]
        number = next(numbers)
        if field.struct is not None:
            return struct(field.struct, kind.structs[field.type])
        return {
            "bool": True,
            "string": f"text-{number}",
            "bytes": b"\xff\0" * number,
            "uuid": Uuid(bytes([number % 256, *range(15)])),
            "float64": number + 0.5,
        }.get(field.type, number)

    return struct(lay_out(kind.definition, version), kind.Value)


class Sample(NamedTuple):
    """A message's value in one version, and its JSON as this Kafka writes it."""

    value: Any
    json: dict[str, Any]


def sampled(kind: Message, version: int, value: Any) -> Sample:
    found = as_json(kind, value, version)
    return Sample(value, {k: v for k, v in found.items() if k not in NEWER_FIELDS})


def samples(name: str) -> Iterator[tuple[int, Sample]]:
    """(version, sample) with all fields set and with none, for each version of a message."""
    kind = message(name)
    low, high = kind.valid_versions
    for version in range(low, high + 1):
        yield version, sampled(kind, version, filled(kind, version))
        yield version, sampled(kind, version, kind.Value())


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
        key = sampled(message(name), 0, filled(message(name), 0))
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
