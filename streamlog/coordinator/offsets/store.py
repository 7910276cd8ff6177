"""Committed offsets by their record's key, as bytes that are decoded when somebody asks.

A log holds many more commits than anybody asks for, so that what is not read is not decoded. What
cannot be decoded then is as if it was not there, whatever was committed before it: a log that was
compacted would not have that either.
Offsets that a transaction committed wait, by producer, for its marker (KIP-447).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from streamlog.coordinator.unreadable import pass_over
from streamlog.errors import SchemaError
from streamlog.protocol import message
from streamlog.protocol.coordinator_records import OFFSETS

_LEGACY_TYPE = b"\x00\x00"
_TYPE = b"\x00\x01"


class StoredOffset(NamedTuple):
    """A committed offset: the value's bytes, and where in the log its record is."""

    log_offset: int
    encoded: bytes

    @property
    def value(self) -> Any:
        """The OffsetCommitValue; None, with a warning, where the bytes do not fit."""
        try:
            return OFFSETS.decode_value(_any_key(), self.encoded)
        except SchemaError as error:
            pass_over(self.log_offset, error)
            return None


class OffsetKey(NamedTuple):
    """What an offset was committed for."""

    group: str
    topic: str
    partition: int


@cache
def _any_key() -> Any:
    return message("OffsetCommitKey").Value()


def is_offset_key(encoded: bytes) -> bool:
    return encoded[:2] in (_TYPE, _LEGACY_TYPE)


def encode_key(group: str, topic: str, partition: int) -> bytes:
    """The bytes of an OffsetCommitKey."""
    raw_group, raw_topic = group.encode(), topic.encode()
    return b"".join(
        (
            _group_prefix(raw_group),
            len(raw_topic).to_bytes(2, "big"),
            raw_topic,
            partition.to_bytes(4, "big", signed=True),
        )
    )


def _decode_key(encoded: bytes) -> OffsetKey:
    key = OFFSETS.decode_key(encoded)
    return OffsetKey(key.group, key.topic, key.partition)


def _is_readable(encoded: bytes, log_offset: int) -> bool:
    """Whether a key's bytes fit. They are warned of otherwise."""
    try:
        _decode_key(encoded)
    except SchemaError as error:
        pass_over(log_offset, error)
        return False
    return True


def _group_prefix(raw_group: bytes) -> bytes:
    return _TYPE + len(raw_group).to_bytes(2, "big") + raw_group


def _group_of(encoded: bytes) -> bytes:
    return encoded[: 4 + int.from_bytes(encoded[2:4], "big")]


class OffsetStore:
    """The offsets of all groups. `replay` and `replay_marker` are the only mutators."""

    def __init__(self) -> None:
        self._committed: dict[bytes, StoredOffset] = {}
        self._pending: dict[int, dict[bytes, StoredOffset]] = {}
        self._by_group: dict[bytes, set[bytes]] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OffsetStore):
            return NotImplemented
        return self._committed == other._committed and self._pending == other._pending

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __len__(self) -> int:
        return len(self._committed)

    # ------------------------------------------------------------------------------- reading

    def get(self, group: str, topic: str, partition: int) -> StoredOffset | None:
        return self._committed.get(encode_key(group, topic, partition))

    def has_group(self, group: str) -> bool:
        """Whether the group has a committed offset, or one in a transaction."""
        prefix = _group_prefix(group.encode())
        return prefix in self._index() or self.is_pending_group(group)

    def of_group(self, group: str) -> Iterator[tuple[OffsetKey, StoredOffset]]:
        """The committed offsets of a group, by topic and partition."""
        found = [(_decode_key(key), key) for key in self._keys_of(group)]
        return ((name, self._committed[key]) for name, key in sorted(found))

    def pending_of_group(self, group: str) -> set[OffsetKey]:
        """What open transactions have committed for a group."""
        prefix = _group_prefix(group.encode())
        return {
            _decode_key(key)
            for offsets in self._pending.values()
            for key, offset in offsets.items()
            if _group_of(key) == prefix and _is_readable(key, offset.log_offset)
        }

    def is_pending(self, group: str, topic: str, partition: int) -> bool:
        """Whether an open transaction has committed an offset there."""
        if not self._pending:
            return False
        key = encode_key(group, topic, partition)
        return any(key in offsets for offsets in self._pending.values())

    def is_pending_group(self, group: str) -> bool:
        return bool(self._pending) and bool(self.pending_of_group(group))

    def groups(self) -> list[str]:
        """Every group that has committed offsets."""
        return [prefix[4:].decode() for prefix in self._index()]

    # ------------------------------------------------------------------------------ replaying

    def replay(
        self, key: bytes, value: bytes | None, log_offset: int, producer_id: int = -1
    ) -> None:
        """Take in one record; `producer_id` is its transaction's, -1 outside of any."""
        if key[:2] == _LEGACY_TYPE:
            key = _TYPE + key[2:]
        if value is None:
            self._remove(key)
            self._remove_pending(key)
        elif producer_id == -1:
            self._put(key, StoredOffset(log_offset, value))
        else:
            pending = self._pending.setdefault(producer_id, {})
            pending[key] = StoredOffset(log_offset, value)

    def replay_marker(self, producer_id: int, *, committed: bool) -> None:
        """The end of a producer's transaction.

        A later commit outside of it has the last word: the record further on in the log wins.
        """
        pending = self._pending.pop(producer_id, {})
        for key, offset in pending.items() if committed else ():
            known = self._committed.get(key)
            if known is None or known.log_offset < offset.log_offset:
                self._put(key, offset)

    def _put(self, key: bytes, offset: StoredOffset) -> None:
        self._committed[key] = offset
        if self._by_group is not None:
            self._enter(self._by_group, key, offset)

    def _remove(self, key: bytes) -> None:
        if self._committed.pop(key, None) is None or self._by_group is None:
            return
        keys = self._by_group.get(_group_of(key), set())
        keys.discard(key)
        if not keys:
            self._by_group.pop(_group_of(key), None)

    def _remove_pending(self, key: bytes) -> None:
        for producer_id, offsets in list(self._pending.items()):
            offsets.pop(key, None)
            if not offsets:
                del self._pending[producer_id]

    def _keys_of(self, group: str) -> Iterable[bytes]:
        return self._index().get(_group_prefix(group.encode()), ())

    def _index(self) -> dict[bytes, set[bytes]]:
        """Made at the first question about a group as a whole: a consumer asks none."""
        if self._by_group is None:
            self._by_group = {}
            for key, offset in self._committed.items():
                self._enter(self._by_group, key, offset)
        return self._by_group

    @staticmethod
    def _enter(index: dict[bytes, set[bytes]], key: bytes, offset: StoredOffset) -> None:
        """Have a key found by its group, which it has to name."""
        group = _group_of(key)
        if key not in index.get(group, ()) and _is_readable(key, offset.log_offset):
            index.setdefault(group, set()).add(key)
