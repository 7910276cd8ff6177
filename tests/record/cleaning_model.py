"""Compaction by the letter of Kafka's rules, on lists: what the kernels are held against.

A batch is written here by the plainest reading of the format, so that what should survive is
known byte for byte.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

import crc32c
from hypothesis import strategies as st

from streamlog.record.cleaning_outcome import BatchDecision
from streamlog.record.compression import compress
from tests.record.samples import NOW

KEEP, EXPIRE, EMPTY, DISCARD = BatchDecision
APPEND_TIME, TRANSACTIONAL, CONTROL, HORIZON = 0x08, 0x10, 0x20, 0x40


class ModelRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()


class ModelBatch(NamedTuple):
    """`base_timestamp` is what the records' timestamps are written relative to."""

    base_offset: int
    last_offset: int
    records: tuple[ModelRecord, ...]
    base_timestamp: int
    max_timestamp: int
    attributes: int = 0
    leader_epoch: int = 0
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL)

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def horizon(self) -> int | None:
        return self.base_timestamp if self.attributes & HORIZON else None


def batch(base_offset: int, *records: tuple[object, ...], **header: int) -> ModelBatch:
    """Records as (key, value) or (key, value, timestamp), at consecutive offsets."""
    made = tuple(
        ModelRecord(base_offset + at, *(rest or (NOW + base_offset + at,)), key, value)
        for at, (key, value, *rest) in enumerate(records)
    )
    header.setdefault("last_offset", base_offset + len(made) - 1)
    header.setdefault("base_timestamp", made[0].timestamp if made else -1)
    header.setdefault("max_timestamp", max((record.timestamp for record in made), default=NOW))
    return ModelBatch(base_offset, records=made, **header)


# ------------------------------------------------------------------------- bytes


def varint(value: int) -> bytes:
    zigzag = value * 2 if value >= 0 else -value * 2 - 1
    out = bytearray()
    while zigzag >= 128:
        out.append(zigzag % 128 + 128)
        zigzag //= 128
    out.append(zigzag)
    return bytes(out)


def nullable(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def encode(batches: ModelBatch | Iterable[ModelBatch]) -> bytes:
    if not isinstance(batches, ModelBatch):
        return b"".join(encode(each) for each in batches)
    payload = b"".join(_encode_record(record, batches) for record in batches.records)
    if batches.attributes & 7:
        payload = compress(batches.attributes & 7, payload)
    body = struct.pack(
        ">hiqqqhii",
        batches.attributes,
        batches.last_offset - batches.base_offset,
        batches.base_timestamp,
        batches.max_timestamp,
        batches.producer_id,
        batches.producer_epoch,
        batches.base_sequence,
        len(batches.records),
    )
    body += payload
    front = struct.pack(">qiib", batches.base_offset, 9 + len(body), batches.leader_epoch, 2)
    return front + struct.pack(">I", crc32c.crc32c(body)) + body


def _encode_record(record: ModelRecord, owner: ModelBatch) -> bytes:
    body = b"\0" + varint(record.timestamp - owner.base_timestamp)
    body += varint(record.offset - owner.base_offset)
    body += nullable(record.key) + nullable(record.value) + varint(len(record.headers))
    for key, value in record.headers:
        body += nullable(key) + nullable(value)
    return varint(len(body)) + body


# ------------------------------------------------------------------------- the rules


class ModelMap:
    """The offset map, with all keys in it."""

    def __init__(self, capacity: int = 10**9) -> None:
        self.capacity = capacity
        self.offsets: dict[bytes, int] = {}
        self.latest = -1

    def fill(
        self,
        batches: Iterable[ModelBatch],
        decide: Callable[[ModelBatch], BatchDecision] = lambda _: KEEP,
        from_offset: int = 0,
    ) -> bool:
        """False when it is full."""
        for each in batches:
            decision = decide(each) if each.attributes & (TRANSACTIONAL | CONTROL) else KEEP
            if not each.is_control and decision == KEEP:
                for record in each.records:
                    if record.key is None or record.offset < from_offset:
                        continue
                    if len(self.offsets) == self.capacity:
                        return False
                    self.offsets[record.key] = self.latest = record.offset
            if each.last_offset >= from_offset:
                self.latest = each.last_offset
        return True


def clean(
    batches: Iterable[ModelBatch],
    known: ModelMap,
    now: int,
    retention: int,
    decide: Callable[[ModelBatch], BatchDecision] = lambda _: KEEP,
    retain_empty: Container[int] = (),
) -> list[ModelBatch]:
    """What is left of each batch; the batches that go altogether are not in it."""
    out = []
    for each in batches:
        decision = decide(each) if each.attributes & (TRANSACTIONAL | CONTROL) else KEEP
        left = _clean_batch(each, known, now, retention, decision, retain_empty)
        if left is not None:
            out.append(left)
    return out


def _clean_batch(
    each: ModelBatch,
    known: ModelMap,
    now: int,
    retention: int,
    decision: BatchDecision,
    retain_empty: Container[int],
) -> ModelBatch | None:
    if decision in (EMPTY, DISCARD):
        kept: tuple[ModelRecord, ...] = ()
    elif each.is_control:
        kept = each.records
    else:
        kept = tuple(record for record in each.records if survives(record, each, known, now))
    if not kept:
        if decision != EMPTY and each.last_offset not in retain_empty:
            return None
        flags = each.attributes & (APPEND_TIME | TRANSACTIONAL | CONTROL)
        return each._replace(records=(), base_timestamp=-1, attributes=flags)
    has_tombstone = any(record.value is None for record in kept)
    sets_horizon = (has_tombstone or decision == EXPIRE) and each.horizon is None
    if len(kept) == len(each.records) and not sets_horizon:
        return each
    if each.attributes & APPEND_TIME:
        kept = tuple(record._replace(timestamp=each.max_timestamp) for record in kept)
    base = kept[0].timestamp if each.horizon is None else each.horizon
    attributes = each.attributes & 0x7F
    if sets_horizon:
        base, attributes = now + retention, attributes | HORIZON
    latest = max(-1, *(record.timestamp for record in kept))
    return each._replace(
        records=kept, base_timestamp=base, max_timestamp=latest, attributes=attributes
    )


def survives(record: ModelRecord, owner: ModelBatch, known: ModelMap, now: int) -> bool:
    if record.offset > known.latest:
        return True
    if record.key is None:
        return False
    if record.offset < known.offsets.get(record.key, -1):
        return False
    return record.value is not None or owner.horizon is None or now < owner.horizon


# ------------------------------------------------------------------------- random logs

KEYS = st.one_of(st.none(), st.sampled_from([b"", b"a", b"b", b"c", b"d" * 40, b"e", b"f" * 8]))
VALUES = st.one_of(st.none(), st.binary(max_size=12))
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"", b"h", b"\xff\xfe"]), st.one_of(st.none(), st.binary(max_size=3))
    ),
    max_size=2,
).map(tuple)


@st.composite
def model_batches(draw: st.DrawFn, base_offset: int, *, decided: bool = True) -> ModelBatch:
    """One batch of any kind, whose records may have gaps between them."""
    offset, records = base_offset, []
    kind = draw(
        st.sampled_from([0, 0, 0, TRANSACTIONAL, TRANSACTIONAL | CONTROL] if decided else [0])
    )
    for _ in range(draw(st.integers(0, 6))):
        offset += draw(st.sampled_from([0, 0, 0, 1, 5]))
        timestamp = NOW + draw(st.integers(-50, 50)) * 1000
        records.append(ModelRecord(offset, timestamp, draw(KEYS), draw(VALUES), draw(HEADERS)))
        offset += 1
    last_offset = offset + draw(st.sampled_from([0, 0, 3]))
    attributes = kind | draw(st.sampled_from([0, 0, APPEND_TIME]))
    if records:
        attributes |= draw(st.integers(0, 4)) | draw(st.sampled_from([0, 0, HORIZON]))
    timestamps = [record.timestamp for record in records]
    base_timestamp = timestamps[0] if timestamps else -1
    if attributes & HORIZON:
        base_timestamp = NOW + draw(st.sampled_from([-1, 0, 1]))
    has_producer = kind or draw(st.booleans())
    return ModelBatch(
        base_offset,
        last_offset,
        tuple(records),
        base_timestamp,
        max(timestamps, default=NOW),
        attributes,
        draw(st.integers(0, 3)),
        *((draw(st.integers(0, 3)), 1, 7) if has_producer else (-1, -1, -1)),
    )


@st.composite
def model_logs(draw: st.DrawFn, *, decided: bool = True) -> list[ModelBatch]:
    log: list[ModelBatch] = []
    offset = draw(st.sampled_from([0, 0, 7, 2**40]))
    for _ in range(draw(st.integers(0, 12))):
        log.append(draw(model_batches(offset, decided=decided)))
        offset = log[-1].last_offset + 1 + draw(st.sampled_from([0, 0, 2]))
    return log


def random_decisions(
    batches: Sequence[ModelBatch], choices: Sequence[BatchDecision]
) -> dict[int, BatchDecision]:
    """A decision for each batch by its base offset; EXPIRE is for control batches only."""
    found = {}
    for at, each in enumerate(batches):
        choice = choices[at % len(choices)] if choices else KEEP
        found[each.base_offset] = KEEP if choice == EXPIRE and not each.is_control else choice
    return found
