"""The files beside the batches: indexes, snapshots, checkpoints, properties. One row an entry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from streamlog.errors import CorruptDirectoryError, StreamlogError
from streamlog.storage import names
from streamlog.storage.checkpoints import parse_offset_checkpoint
from streamlog.storage.indexes import (
    OFFSET_ENTRY_SIZE,
    TIME_ENTRY_SIZE,
    OffsetIndex,
    TimeIndex,
)
from streamlog.storage.leader_epochs import parse_leader_epochs
from streamlog.storage.partition_metadata import encode_uuid, parse_partition_metadata
from streamlog.storage.producer_snapshot import decode_snapshot
from streamlog.storage.properties import parse_properties
from streamlog.storage.transaction_index import TRANSACTION_ENTRY

_RENAMED = (names.DELETED, names.CLEANED, names.SWAP)
_OFFSET_CHECKPOINTS = frozenset(
    {names.RECOVERY_POINTS, names.LOG_STARTS, names.HIGH_WATERMARKS, names.CLEANER_OFFSETS}
)

Row = dict[str, Any]


class SmallFile(NamedTuple):
    """How a file is read: `kind` names its rows, `read(data, path)` gives them."""

    kind: str
    read: Callable[[bytes, str], Iterator[Row]]


def plain_name(path: str) -> str:
    """The file's name without what says that it is to be deleted or to take another's place."""
    name = os.path.basename(path)
    for suffix in _RENAMED:
        name = name.removesuffix(suffix)
    return name


def holds_batches(path: str) -> bool:
    """Whether a file consists of record batches, going by its name."""
    return plain_name(path).endswith((names.LOG, names.CHECKPOINT, names.TORN))


def small_file(path: str) -> SmallFile:
    """How to read a file, going by its name.

    Raises `StreamlogError` for one that no part of a log directory is called like.
    """
    name = plain_name(path)
    if name in _OFFSET_CHECKPOINTS:
        return SmallFile("checkpoint_entry", _offset_checkpoint)
    found = _BY_NAME.get(name) or _BY_SUFFIX.get(os.path.splitext(name)[1])
    if found is None:
        raise StreamlogError(
            f"{path} is no file that can be dumped: its name is not that of a segment, an index, "
            "a snapshot, a checkpoint or a properties file of a log directory"
        )
    return found


def _offset_index(data: bytes, path: str) -> Iterator[Row]:
    data = _without_zeros(data, OFFSET_ENTRY_SIZE)
    index = OffsetIndex(data, len(data), _base_offset(path))
    yield from (index.entry(number)._asdict() for number in range(index.count))
    _check_whole(data, OFFSET_ENTRY_SIZE, path)


def _time_index(data: bytes, path: str) -> Iterator[Row]:
    data = _without_zeros(data, TIME_ENTRY_SIZE)
    index = TimeIndex(data, len(data), _base_offset(path))
    yield from (index.entry(number)._asdict() for number in range(index.count))
    _check_whole(data, TIME_ENTRY_SIZE, path)


def _transaction_index(data: bytes, path: str) -> Iterator[Row]:
    whole = len(data) - len(data) % TRANSACTION_ENTRY.size
    for _, producer_id, first, last, stable in TRANSACTION_ENTRY.iter_unpack(data[:whole]):
        yield {
            "producer_id": producer_id,
            "first_offset": first,
            "last_offset": last,
            "last_stable_offset": stable,
        }
    _check_whole(data, TRANSACTION_ENTRY.size, path)


def _producer_snapshot(data: bytes, path: str) -> Iterator[Row]:
    for state in decode_snapshot(data, _base_offset(path), path):
        last = state.batches[-1] if state.batches else None
        yield {
            "producer_id": state.producer_id,
            "epoch": state.epoch,
            "last_sequence": None if last is None else last.last_sequence,
            "first_offset": None if last is None else last.base_offset,
            "last_offset": None if last is None else last.last_offset,
            "timestamp": state.last_timestamp,
            "coordinator_epoch": state.coordinator_epoch,
            "transaction_first_offset": state.transaction_first_offset,
        }


def _offset_checkpoint(data: bytes, path: str) -> Iterator[Row]:
    for (topic, partition), offset in parse_offset_checkpoint(data, path).items():
        yield {"topic": topic, "partition": partition, "offset": offset}


def _leader_epochs(data: bytes, path: str) -> Iterator[Row]:
    yield from (entry._asdict() for entry in parse_leader_epochs(data, path).entries)


def _partition_metadata(data: bytes, path: str) -> Iterator[Row]:
    yield {"topic_id": encode_uuid(parse_partition_metadata(data, path))}


def _properties(data: bytes, path: str) -> Iterator[Row]:
    try:
        pairs = parse_properties(data)
    except ValueError as error:
        raise CorruptDirectoryError(str(error), file=path) from error
    yield from ({"name": name, "value": value} for name, value in pairs.items())


def _json_object(data: bytes, path: str) -> Iterator[Row]:
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptDirectoryError(f"it is no JSON object: {error}", file=path) from error
    yield from ({"name": name, "value": value} for name, value in found.items())


_BY_NAME = {
    names.LEADER_EPOCHS: SmallFile("leader_epoch", _leader_epochs),
    names.PARTITION_METADATA: SmallFile("partition_metadata", _partition_metadata),
    names.META: SmallFile("property", _properties),
    names.STREAMLOG_PROPERTIES: SmallFile("property", _properties),
    names.QUORUM_STATE: SmallFile("property", _json_object),
    names.CLEAN: SmallFile("property", _json_object),
}
_BY_SUFFIX = {
    names.OFFSET_INDEX: SmallFile("offset_index_entry", _offset_index),
    names.TIME_INDEX: SmallFile("time_index_entry", _time_index),
    names.TRANSACTION_INDEX: SmallFile("aborted_transaction", _transaction_index),
    names.SNAPSHOT: SmallFile("producer", _producer_snapshot),
}


def _base_offset(path: str) -> int:
    found = names.parse_segment_name(plain_name(path))
    return 0 if found is None else found.base_offset


def _without_zeros(data: bytes, entry_size: int) -> bytes:
    """Without the zeros that a broker preallocates; the first entry may well be zeros."""
    end = len(data.rstrip(b"\0"))
    if len(data) - end < entry_size:
        return data
    return data[: max(-(-end // entry_size) * entry_size, entry_size if end else 0)]


def _check_whole(data: bytes, entry_size: int, path: str) -> None:
    if len(data) % entry_size:
        raise CorruptDirectoryError(
            f"its size {len(data)} is no multiple of {entry_size}", file=path
        )
