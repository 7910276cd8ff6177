"""`dump` for people: a heading for each partition and file, a line for each batch and record."""

from __future__ import annotations

from typing import Any

from streamlog.cli.decoding import Decoded
from streamlog.cli.output import (
    Output,
    encode_json,
    escape,
    path_text,
    printable,
    size_text,
    time_text,
)
from streamlog.cli.walking import Damage, FoundBatch
from streamlog.record.kernel import Record, RecordBatch

_ROW = "{:<23}  {:>7}  {:>10}  {:>9}  {:<6}  {:<24}  {:>5}  {}"
_HEADINGS = _ROW.format(
    "OFFSETS", "RECORDS", "POSITION", "BYTES", "CODEC", "LATEST TIMESTAMP", "EPOCH", "REMARKS"
)


class TextDump:
    """Writes what is found as aligned lines."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._columns: list[str] = []
        self._rows: list[list[Any]] = []
        self._begun = False
        self._headed = False
        self._log_start = 0

    def begin_partition(self, topic: str, partition: int, directory: str, log_start: int) -> None:
        """A heading."""
        if self._begun:
            self._output.line()
        self._begun = True
        self._log_start = log_start
        self._output.line(f"{topic}, partition {partition}  ({path_text(directory)})")
        if log_start:
            self.note(f"the log starts at {log_start}: records before it are deleted")

    def begin_file(self, path: str) -> None:
        """A heading; that of the columns comes with the first batch."""
        self._output.line(path_text(path))
        self._columns, self._rows, self._headed = [], [], False

    def batch(self, found: FoundBatch) -> None:
        """A line, under the columns' headings."""
        if not self._headed:
            self._output.line(f"  {_HEADINGS}")
            self._headed = True
        batch = found.batch
        remarks = ", ".join(_remarks(batch, self._log_start))
        if found.problem:
            remarks = f"DAMAGED: {found.problem}" + (f"; {remarks}" if remarks else "")
        row = _ROW.format(
            f"{batch.base_offset}..{batch.last_offset}",
            batch.count,
            found.position,
            batch.size,
            found.codec_name,
            time_text(batch.max_timestamp),
            batch.leader_epoch,
            remarks,
        )
        self._output.line(f"  {row.rstrip()}")

    def record(self, record: Record, decoded: Decoded | None, problem: str) -> None:
        """A line below its batch's."""
        if decoded is not None:
            said = f"{decoded.name} {escape(encode_json(decoded.fields).decode())}"
        else:
            said = f"{printable(record.key)} = {printable(record.value)}"
            if record.headers:
                headers = (f"{escape(name)}: {printable(data)}" for name, data in record.headers)
                said += f"  [{', '.join(headers)}]"
        if problem:
            said += f"  DAMAGED: {problem}"
        self._output.line(f"    {record.offset:>8}  {time_text(record.timestamp)}  {said}")

    def damage(self, damage: Damage) -> None:
        """A line where a batch should be."""
        size = size_text(damage.end - damage.position)
        self._output.line(f"  DAMAGED: at byte {damage.position}, {size}: {damage.message}")

    def row(self, kind: str, fields: dict[str, Any]) -> None:
        """A row of the table that ends the file."""
        del kind
        self._columns = list(fields)
        self._rows.append([_cell(name, value) for name, value in fields.items()])

    def note(self, text: str) -> None:
        """A line in brackets."""
        self._output.line(f"  ({text})")

    def end_file(self) -> None:
        """Write the table of its rows."""
        if self._rows:
            headings = [f"  {name.replace('_', ' ').upper()}" for name in self._columns]
            rows = [[f"  {row[0]}", *row[1:]] for row in self._rows]
            self._output.table([headings[0], *(name.strip() for name in headings[1:])], rows)
        self._rows = []


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return "-"
    return time_text(value) if name == "timestamp" else value


def _remarks(batch: RecordBatch, log_start: int) -> list[str]:
    remarks = []
    if batch.base_offset < log_start:
        remarks.append("deleted" if batch.last_offset < log_start else "deleted in part")
    if batch.producer_id >= 0:
        remarks.append(
            f"producer {batch.producer_id} epoch {batch.producer_epoch} "
            f"sequence {batch.base_sequence}"
        )
    if batch.is_transactional:
        remarks.append("transactional")
    if batch.is_control:
        remarks.append("control")
    if batch.timestamp_type:
        remarks.append("stamped by the log")
    if batch.has_delete_horizon:
        remarks.append(f"delete horizon {time_text(batch.base_timestamp)}")
    return remarks
