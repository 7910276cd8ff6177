"""A record as a consumer sees it. The compiled twin is in `_record.pyx`."""

from __future__ import annotations

from typing import Any

import msgspec

from streamlog.record.layout import NO_LEADER_EPOCH, NO_TIMESTAMP
from streamlog.record.timestamp_type import TimestampType


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record. Immutable, hashable, picklable between both kernels.

    `key` and `value` are bytes or None, unless a deserializer made them something else. `headers`
    are (str, bytes or None) pairs in the order they were sent. `timestamp` is in ms since 1970,
    -1 for none. `leader_epoch` is -1 when not known.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int = NO_TIMESTAMP
    timestamp_type: TimestampType = TimestampType.CREATE_TIME
    key: Any = None
    value: Any = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    leader_epoch: int = NO_LEADER_EPOCH

    def __reduce__(self) -> tuple[Any, ...]:
        from streamlog.record.kernel import rebuild_record

        return rebuild_record, (
            self.topic,
            self.partition,
            self.offset,
            self.timestamp,
            self.timestamp_type,
            self.key,
            self.value,
            self.headers,
            self.leader_epoch,
        )
