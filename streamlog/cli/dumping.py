"""What `dump` does: finds the files, walks over them, and hands what it finds to a writer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from streamlog.broker.live_states import LiveStates
from streamlog.cli.decoding import Decoded, decode
from streamlog.cli.small_files import holds_batches, plain_name, small_file
from streamlog.cli.walking import Damage, FoundBatch, walk
from streamlog.config import nearest
from streamlog.errors import (
    CorruptDirectoryError,
    CorruptRecordError,
    DecompressionError,
    NotALogDirectoryError,
    SchemaError,
    UnknownTopicError,
    UnsupportedFormatError,
)
from streamlog.record.kernel import Record
from streamlog.storage import names
from streamlog.storage.checkpoints import read_offset_checkpoint
from streamlog.storage.filesystem import OS_FILESYSTEM

_TORN_AT = re.compile(r"^\d{20}\.\d+(-\d+)?\.torn$")


class Writer(Protocol):
    """Where the dump goes: `TextDump` or `JsonDump`."""

    def begin_partition(
        self, topic: str, partition: int, directory: str, log_start: int
    ) -> None: ...
    def begin_file(self, path: str) -> None: ...
    def batch(self, found: FoundBatch) -> None: ...
    def record(self, record: Record, decoded: Decoded | None, problem: str) -> None: ...
    def damage(self, damage: Damage) -> None: ...
    def row(self, kind: str, fields: dict[str, Any]) -> None: ...
    def note(self, text: str) -> None: ...
    def end_file(self) -> None: ...


class Wanted(NamedTuple):
    """Which part is dumped. `records` None: of the metadata log, where nothing else is dumped."""

    records: bool | None
    from_offset: int
    to_offset: int | None
    limit: int | None


class Dump:
    """One dump. `damaged` counts the places that could not be read."""

    def __init__(self, writer: Writer, wanted: Wanted) -> None:
        self._writer = writer
        self._wanted = wanted
        self._left = wanted.limit
        self.damaged = 0

    # ---------------------------------------------------------------- what is dumped

    def directory(self, path: str, wanted_topic: str | None) -> None:
        """Partitions of a log directory: all, those of a topic, or one (`topic-partition`).

        Raises `NotALogDirectoryError`, `UnknownTopicError`.
        """
        own_name = names.parse_partition_directory(os.path.basename(os.path.abspath(path)))
        listing = OS_FILESYSTEM.listdir(path)
        if own_name is not None and wanted_topic is None and names.META not in listing:
            self._partition(os.path.dirname(os.path.abspath(path)), *own_name, alone=True)
            return
        found = sorted(
            key for name in listing if (key := names.parse_partition_directory(name)) is not None
        )
        if not found and names.META not in listing:
            raise NotALogDirectoryError(
                f"{path} is not a log directory: it has no {names.META} and no partitions"
            )
        chosen = found if wanted_topic is None else _choose(found, wanted_topic)
        for topic, partition in chosen:
            if self._left == 0:
                return
            self._partition(path, topic, partition, alone=wanted_topic is not None)

    def file(self, path: str) -> None:
        """One file. Raises `StreamlogError` for one that is no part of a log directory."""
        folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
        partition = names.parse_partition_directory(folder)
        if not holds_batches(path):
            self._small_file(path)
            return
        if plain_name(path).endswith(names.CHECKPOINT):
            partition = names.PartitionName(names.METADATA_TOPIC, 0)
        topic, number = partition or names.PartitionName("", -1)
        segment = names.parse_segment_name(plain_name(path))
        base = 0 if segment is None or _TORN_AT.match(plain_name(path)) else segment.base_offset
        limit = None
        if segment is not None and segment.suffix == names.LOG and partition is not None:
            log_directory = os.path.dirname(os.path.dirname(os.path.abspath(path)))
            state = LiveStates(OS_FILESYSTEM, log_directory).get(partition)
            if state is not None and state.base_offset == segment.base_offset:
                limit = state.end_position
        self._batches(path, topic, number, base_offset=base, limit=limit, alone=True)

    def _partition(self, path: str, topic: str, partition: int, *, alone: bool) -> None:
        directory = f"{path}/{names.partition_directory_name(topic, partition)}"
        states = LiveStates(OS_FILESYSTEM, path)
        state = states.get((topic, partition))
        listing = OS_FILESYSTEM.listdir(directory)
        log_start = _recorded_start(path, topic, partition) if state is None else state.log_start
        self._writer.begin_partition(topic, partition, directory, log_start)
        whole = self._wanted.from_offset == 0 and self._wanted.to_offset is None
        if topic == names.METADATA_TOPIC and whole:
            for name in listing:
                if name.endswith(names.CHECKPOINT):
                    self._batches(
                        f"{directory}/{name}", topic, partition, base_offset=0, limit=None,
                        alone=alone,
                    )  # fmt: skip
        segments = _segments(listing, self._wanted.from_offset)
        if not segments:
            self._writer.note("no segments")
        for base_offset in segments:
            limit = None
            if state is not None and base_offset >= state.base_offset:
                if base_offset > state.base_offset:
                    break  # a roll that nobody published yet
                limit = state.end_position
            if self._left == 0 or self._is_behind(base_offset):
                return
            segment = f"{directory}/{names.segment_name(base_offset, names.LOG)}"
            try:
                self._batches(
                    segment, topic, partition, base_offset=base_offset, limit=limit, alone=alone
                )
            except FileNotFoundError:
                now = states.get((topic, partition))
                if now is None or now.log_start <= base_offset:
                    raise
                self._writer.note(f"removed meanwhile: the log starts at {now.log_start} now")
                self._writer.end_file()

    # ---------------------------------------------------------------- files

    def _batches(
        self,
        path: str,
        topic: str,
        partition: int,
        *,
        base_offset: int,
        limit: int | None,
        alone: bool,
    ) -> None:
        with_records = self._wanted.records
        if with_records is None:
            with_records = alone and topic == names.METADATA_TOPIC
        self._writer.begin_file(path)
        empty = True
        for found in walk(
            OS_FILESYSTEM,
            path,
            limit=limit,
            base_offset=base_offset,
            from_offset=self._wanted.from_offset,
        ):
            empty = False
            if isinstance(found, Damage):
                self.damaged += 1
                self._writer.damage(found)
                continue
            if self._left == 0 or self._is_behind(found.batch.base_offset):
                break
            self.damaged += bool(found.problem)
            self._writer.batch(found)
            if with_records:
                self._records(found, topic, partition)
            else:
                self._count()
        if empty:
            self._writer.note("empty")
        self._writer.end_file()

    def _records(self, found: FoundBatch, topic: str, partition: int) -> None:
        for record, problem in self._readable(found, topic, partition):
            if self._left == 0 or self._is_behind(record.offset):
                return
            decoded, reason = None, ""
            try:
                decoded = decode(topic, record, is_control=found.batch.is_control)
            except SchemaError as error:
                reason = str(error)
                self.damaged += not found.problem
            self._writer.record(record, decoded, reason or problem)
            self._count()

    def _readable(
        self, found: FoundBatch, topic: str, partition: int
    ) -> Iterator[tuple[Record, str]]:
        """The records of a batch as far as they decode; of one that does not check, too."""
        try:
            records = found.batch.records(topic, partition, self._wanted.from_offset)
            for record in records:
                yield record, "its batch does not check" if found.problem else ""
        except (CorruptRecordError, DecompressionError, UnsupportedFormatError) as error:
            self.damaged += not found.problem
            end = found.position + found.batch.size
            self._writer.damage(Damage(found.position, end, str(error)))

    def _small_file(self, path: str) -> None:
        reader = small_file(path)
        data = OS_FILESYSTEM.read_file(path)
        self._writer.begin_file(path)
        empty = True
        try:
            for row in reader.read(data, path):
                empty = False
                if self._left == 0:
                    break
                self._writer.row(reader.kind, row)
                self._count()
        except CorruptDirectoryError as error:
            empty = False
            self.damaged += 1
            self._writer.damage(Damage(0, len(data), str(error)))
        if empty:
            self._writer.note("empty")
        self._writer.end_file()

    def _is_behind(self, offset: int) -> bool:
        return self._wanted.to_offset is not None and offset >= self._wanted.to_offset

    def _count(self) -> None:
        if self._left is not None:
            self._left -= 1


def _recorded_start(path: str, topic: str, partition: int) -> int:
    """Where a log begins that nobody has open, as its directory's checkpoint says."""
    try:
        starts = read_offset_checkpoint(OS_FILESYSTEM, f"{path}/{names.LOG_STARTS}")
    except CorruptDirectoryError:
        return 0  # `verify` says so
    return starts.get((topic, partition), 0)


def _segments(listing: list[str], from_offset: int) -> list[int]:
    """The base offsets of the segments, from the one that holds `from_offset` on."""
    bases = [
        parsed.base_offset
        for name in listing
        if (parsed := names.parse_segment_name(name)) is not None and parsed.suffix == names.LOG
    ]
    before = [base for base in bases if base <= from_offset]
    return bases[max(len(before) - 1, 0) :]


def _choose(found: list[names.PartitionName], wanted: str) -> list[names.PartitionName]:
    """The partitions of the topic of that name, else the partition of that name."""
    of_topic = [key for key in found if key.topic == wanted]
    chosen = of_topic or [key for key in found if f"{key.topic}-{key.partition}" == wanted]
    if not chosen:
        near = nearest(wanted, {key.topic for key in found})
        hint = f"; did you mean {near!r}?" if near else ""
        raise UnknownTopicError(
            f"there is no topic or partition {wanted!r}{hint}", topic=wanted, nearest=near
        )
    return chosen
