"""The loops over records: compiled where they were built, else their pure twins.

`STREAMLOG_KERNEL=pure` or `compiled` in the environment decides instead. `KERNEL` says which
one runs. Everything that works on records imports these names from here.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import ConfigError
from streamlog.record.timestamp_type import TimestampType


def _choose() -> str:
    wanted = os.environ.get("STREAMLOG_KERNEL", "")
    if wanted not in ("", "pure", "compiled"):
        raise ConfigError(
            f"STREAMLOG_KERNEL must be 'pure' or 'compiled', not {wanted!r}", value=wanted
        )
    if wanted:
        return wanted
    from importlib.util import find_spec

    return "compiled" if find_spec("streamlog.record._records") is not None else "pure"


KERNEL: Final = _choose()

if TYPE_CHECKING or KERNEL == "pure":
    from streamlog.record.batch import RecordBatch
    from streamlog.record.builder import RecordBatchBuilder
    from streamlog.record.bulk import encode_many
    from streamlog.record.cleaning import clean_batches
    from streamlog.record.iterator import RecordIterator
    from streamlog.record.murmur2 import murmur2, partition_for_key, partition_many
    from streamlog.record.offset_map import OffsetMap
    from streamlog.record.record import Record
    from streamlog.record.scan import count_good_batches, scan_segment
    from streamlog.record.survey import survey_records
else:
    # By name, since an extension may not be there: whoever reads the imports of the package
    # without running it (types, import contracts) sees the twins, which have the same names.
    _records = import_module("streamlog.record._records")
    _bulk = import_module("streamlog.record._bulk")
    _scan = import_module("streamlog.record._scan")
    Record = import_module("streamlog.record._record").Record
    RecordBatch = _records.RecordBatch
    RecordIterator = _records.RecordIterator
    RecordBatchBuilder = import_module("streamlog.record._builder").RecordBatchBuilder
    encode_many = _bulk.encode_many
    murmur2 = _bulk.murmur2
    partition_for_key = _bulk.partition_for_key
    partition_many = _bulk.partition_many
    scan_segment = _scan.scan_segment
    count_good_batches = _scan.count_good_batches
    survey_records = import_module("streamlog.record._survey").survey_records
    OffsetMap = import_module("streamlog.record._offset_map").OffsetMap
    clean_batches = import_module("streamlog.record._cleaning").clean_batches

__all__ = [
    "KERNEL",
    "OffsetMap",
    "Record",
    "RecordBatch",
    "RecordBatchBuilder",
    "RecordIterator",
    "TimestampType",
    "clean_batches",
    "count_good_batches",
    "encode_many",
    "murmur2",
    "partition_for_key",
    "partition_many",
    "rebuild_record",
    "scan_segment",
    "survey_records",
]


def rebuild_record(
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    timestamp_type: TimestampType,
    key: Any,
    value: Any,
    headers: tuple[tuple[str, bytes | None], ...],
    leader_epoch: int,
) -> Record:
    """What a pickled record calls, so that either kernel opens the other's pickles."""
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        timestamp_type=timestamp_type,
        key=key,
        value=value,
        headers=headers,
        leader_epoch=leader_epoch,
    )
