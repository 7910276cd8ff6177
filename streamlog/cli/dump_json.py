"""`dump --json`: one object a line, its `type` first."""

from __future__ import annotations

from typing import Any

from streamlog.cli.decoding import Decoded
from streamlog.cli.output import Output, headers_list, path_text, put_bytes
from streamlog.cli.walking import Damage, FoundBatch
from streamlog.record.kernel import Record


class JsonDump:
    """Writes what is found as JSON."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._topic = ""
        self._partition = -1
        self._file = ""
        self._log_start = 0

    def begin_partition(self, topic: str, partition: int, directory: str, log_start: int) -> None:
        """What follows is this partition's."""
        del directory  # every object names its file
        self._topic, self._partition, self._log_start = topic, partition, log_start

    def begin_file(self, path: str) -> None:
        """What follows is in this file."""
        self._file = path_text(path)

    def batch(self, found: FoundBatch) -> None:
        """A batch."""
        batch = found.batch
        self._write(
            "batch",
            position=found.position,
            size=batch.size,
            base_offset=batch.base_offset,
            last_offset=batch.last_offset,
            count=batch.count,
            codec=found.codec_name,
            timestamp_type=batch.timestamp_type.name,
            base_timestamp=batch.base_timestamp,
            max_timestamp=batch.max_timestamp,
            leader_epoch=batch.leader_epoch,
            producer_id=batch.producer_id,
            producer_epoch=batch.producer_epoch,
            base_sequence=batch.base_sequence,
            is_transactional=batch.is_transactional,
            is_control=batch.is_control,
            has_delete_horizon=batch.has_delete_horizon,
            crc=batch.crc,
            is_deleted=batch.last_offset < self._log_start,
            problem=found.problem or None,
        )

    def record(self, record: Record, decoded: Decoded | None, problem: str) -> None:
        """A record; `decoded` when it is an internal one."""
        fields: dict[str, Any] = {"offset": record.offset, "timestamp": record.timestamp}
        if decoded is not None:
            fields |= {"name": decoded.name, "fields": decoded.fields}
        else:
            fields |= record_fields(record)
        if problem:
            fields["problem"] = problem
        self._write("record", **fields)

    def damage(self, damage: Damage) -> None:
        """Bytes that are no batch."""
        self._write("damage", position=damage.position, end=damage.end, message=damage.message)

    def row(self, kind: str, fields: dict[str, Any]) -> None:
        """An entry of a small file."""
        self._output.json_object({"type": kind, "file": self._file, **fields})

    def note(self, text: str) -> None:
        """What only people want to know."""

    def end_file(self) -> None:
        """Nothing stands between files."""

    def _write(self, kind: str, **fields: Any) -> None:
        where: dict[str, Any] = {"type": kind}
        if self._topic:
            where |= {"topic": self._topic, "partition": self._partition}
        self._output.json_object({**where, "file": self._file, **fields})


def record_fields(record: Record) -> dict[str, Any]:
    """Key, value and headers of a record."""
    fields: dict[str, Any] = {}
    put_bytes(fields, "key", record.key)
    put_bytes(fields, "value", record.value)
    fields["headers"] = headers_list(record.headers)
    return fields
