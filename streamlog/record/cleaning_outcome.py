"""What cleaning is told of a batch, and what it found. Shared by both kernels."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TypeAlias

import msgspec

from streamlog.errors import ConfigError
from streamlog.record.batch import RecordBatch

ENTRY_SIZE = 24
"""Bytes of an offset map's entry: 16 of hash, 8 of offset, as in Kafka's."""

MAX_SLOTS = 2**32 - 1


class BatchDecision(IntEnum):
    """What becomes of a transactional or control batch, whatever its records are.

    KEEP      its records are looked at one by one; those of a control batch all stay
    EXPIRE    of a control batch: it stays until its delete horizon, which is set if it has none
    EMPTY     its records go, its header stays
    DISCARD   it goes
    """

    KEEP = 0
    EXPIRE = 1
    EMPTY = 2
    DISCARD = 3


Decide: TypeAlias = Callable[[RecordBatch], BatchDecision]
"""Asked once for each transactional or control batch, in the order of the log."""


class FillOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far an offset map got in a buffer.

    `consumed` is where the first batch begins that was not taken in whole; `needed` is that
    batch's size when the buffer ends before it does, and else 0. `next_offset` is the lowest
    offset that may come next. `is_full`: the map had no room for another key.
    """

    consumed: int
    needed: int
    next_offset: int
    is_full: bool


class CleaningOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What survived of a buffer's batches: whole batches in `output`.

    `consumed`, `needed` and `next_offset` are as in `FillOutcome`. `records_read` counts those of
    discarded batches too; `tombstones_dropped` are those whose delete horizon had passed, and
    `keyless_dropped` the records that a compacted topic should not have.
    """

    output: bytearray
    consumed: int
    needed: int
    next_offset: int
    batches_read: int
    batches_kept: int
    records_read: int
    records_kept: int
    tombstones_kept: int
    tombstones_dropped: int
    keyless_dropped: int


def map_capacity(memory_bytes: int, load_factor: float) -> tuple[int, int]:
    """(slots, keys that it takes) of an offset map. Raises `ConfigError` when that is no key."""
    slots = min(memory_bytes // ENTRY_SIZE, MAX_SLOTS)
    if not 0 < load_factor < 1:
        raise ConfigError(
            f"the load factor must be above 0 and below 1, not {load_factor}", value=load_factor
        )
    capacity = int(slots * load_factor)
    if capacity < 1:
        raise ConfigError(
            f"an offset map of {memory_bytes} bytes has no room for a key; it takes "
            f"{ENTRY_SIZE} bytes for each, and more",
            value=memory_bytes,
        )
    return slots, capacity
