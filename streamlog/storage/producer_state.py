"""What a partition remembers of idempotent producers, and the rules it holds them to.

For each producer id: its epoch, its last five batches, and the transaction it has open here
(facts 3.4). A batch sent again is recognised and answered with its original offset; a gap or
an older epoch is refused. The state at offset N depends only on the batches below N, so it is
rebuilt by replaying them, from a snapshot on.

`check` decides and changes nothing; `apply` is the only mutator, for appends and replay alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from streamlog.errors import InvalidProducerEpochError, OutOfOrderSequenceError
from streamlog.record.layout import MAX_INT32, increment_sequence
from streamlog.record.scan_outcome import ProducerBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streamlog.record.kernel import RecordBatch

RETAINED_BATCHES: Final = 5
NO_EPOCH: Final = -1
NO_SEQUENCE: Final = -1
NO_OFFSET: Final = -1


class RetainedBatch(NamedTuple):
    """One of the last batches of a producer: enough to recognise it when it comes again."""

    base_sequence: int
    last_sequence: int
    base_offset: int
    last_offset: int
    timestamp: int


class Duplicate(NamedTuple):
    """The batch is in the log already, from `base_offset` on, since `timestamp`."""

    base_offset: int
    last_offset: int
    timestamp: int


class ProducerState(msgspec.Struct):
    """One producer id. `batches` is oldest first, at most five, all of `epoch`."""

    producer_id: int
    epoch: int = NO_EPOCH
    batches: tuple[RetainedBatch, ...] = ()
    last_timestamp: int = -1
    coordinator_epoch: int = -1
    transaction_first_offset: int = NO_OFFSET

    @property
    def last_sequence(self) -> int:
        """Of the last batch, -1 when there is none of this epoch."""
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    @property
    def last_offset(self) -> int:
        """Of the last batch, -1 when there is none of this epoch."""
        return self.batches[-1].last_offset if self.batches else NO_OFFSET


class ProducerStateTable:
    """The producers of one partition, as of `end_offset`: every batch below it was applied."""

    __slots__ = ("_producers", "end_offset")

    def __init__(self, producers: Iterable[ProducerState] = (), end_offset: int = 0) -> None:
        self._producers = {producer.producer_id: producer for producer in producers}
        self.end_offset = end_offset

    def __len__(self) -> int:
        return len(self._producers)

    def __iter__(self) -> Iterator[ProducerState]:
        return iter(self._producers.values())

    def get(self, producer_id: int) -> ProducerState | None:
        """The state of one producer, None when it never wrote here or has expired."""
        return self._producers.get(producer_id)

    @property
    def first_open_offset(self) -> int | None:
        """The first offset of the earliest open transaction, None when none is open."""
        open_offsets = [
            producer.transaction_first_offset
            for producer in self._producers.values()
            if producer.transaction_first_offset != NO_OFFSET
        ]
        return min(open_offsets, default=None)

    def check(self, batch: ProducerBatch) -> Duplicate | None:
        """Whether a producer may append `batch`: None to go on, `Duplicate` to answer with.

        Raises `InvalidProducerEpochError` for an older epoch and `OutOfOrderSequenceError` for
        a gap. Several batches of one append are checked one after the other, each applied (to
        a copy) before the next is checked.
        """
        state = self._producers.get(batch.producer_id)
        if state is None:
            return None
        if batch.producer_epoch == state.epoch:
            for known in state.batches:
                if (known.base_sequence, known.last_sequence) == (
                    batch.base_sequence,
                    batch.last_sequence,
                ):
                    return Duplicate(known.base_offset, known.last_offset, known.timestamp)
        if batch.producer_epoch < state.epoch:
            raise _older_epoch(batch, state)
        self._check_sequence(batch, state)
        return None

    def _check_sequence(self, batch: ProducerBatch, state: ProducerState) -> None:
        if batch.producer_epoch != state.epoch:
            expected = 0 if state.epoch != NO_EPOCH else batch.base_sequence
        elif state.batches:
            expected = increment_sequence(state.last_sequence, 1)
        else:
            # Only a marker was seen of this epoch: the producer starts again from 0.
            expected = 0
        if batch.base_sequence != expected:
            raise OutOfOrderSequenceError(
                f"producer {batch.producer_id} (epoch {batch.producer_epoch}) sent sequence "
                f"{batch.base_sequence} where {expected} comes next; a batch before it is missing",
                producer_id=batch.producer_id,
                producer_epoch=batch.producer_epoch,
                sequence=batch.base_sequence,
                expected=expected,
            )

    def apply(self, batch: ProducerBatch, coordinator_epoch: int = -1) -> None:
        """Note a batch that is in the log. Batches come in the order of their offsets.

        `coordinator_epoch` is that of a transaction marker, from its record.
        """
        self.end_offset = max(self.end_offset, batch.last_offset + 1)
        if batch.producer_id < 0:
            return
        state = self._producers.get(batch.producer_id)
        if state is None:
            state = self._producers[batch.producer_id] = ProducerState(batch.producer_id)
        if batch.producer_epoch != state.epoch:
            state.epoch = batch.producer_epoch
            state.batches = ()
        state.last_timestamp = batch.max_timestamp
        if batch.is_control:
            state.transaction_first_offset = NO_OFFSET
            state.coordinator_epoch = max(state.coordinator_epoch, coordinator_epoch)
            return
        if batch.is_transactional and state.transaction_first_offset == NO_OFFSET:
            state.transaction_first_offset = batch.base_offset
        state.batches = (
            *state.batches[-(RETAINED_BATCHES - 1) :],
            RetainedBatch(
                batch.base_sequence,
                batch.last_sequence,
                batch.base_offset,
                batch.last_offset,
                batch.max_timestamp,
            ),
        )

    def copy(self) -> ProducerStateTable:
        """An independent table: what an append tries its batches on before it writes them."""
        return ProducerStateTable(
            (msgspec.structs.replace(state) for state in self._producers.values()),
            self.end_offset,
        )

    def copy_of(self, producer_ids: Iterable[int]) -> ProducerStateTable:
        """Like `copy`, with these producers only: cheap when there are many."""
        return ProducerStateTable(
            (
                msgspec.structs.replace(state)
                for producer_id in set(producer_ids)
                if (state := self._producers.get(producer_id)) is not None
            ),
            self.end_offset,
        )

    def expire(self, now_ms: int, idle_ms: int) -> int:
        """Forget producers idle for `idle_ms` without an open transaction; how many.

        Kafka's `producer.id.expiration.ms`.
        """
        expired = [
            state.producer_id
            for state in self._producers.values()
            if state.transaction_first_offset == NO_OFFSET
            and now_ms - state.last_timestamp >= idle_ms
        ]
        for producer_id in expired:
            del self._producers[producer_id]
        return len(expired)


def producer_batch_of(batch: RecordBatch, base_offset: int) -> ProducerBatch:
    """What the rules need of a batch that has, or is about to get, `base_offset`."""
    return ProducerBatch(
        producer_id=batch.producer_id,
        producer_epoch=batch.producer_epoch,
        base_sequence=batch.base_sequence,
        last_sequence=batch.last_sequence,
        base_offset=base_offset,
        last_offset=base_offset + (batch.last_offset - batch.base_offset),
        max_timestamp=batch.max_timestamp,
        is_transactional=batch.is_transactional,
        is_control=batch.is_control,
        position=batch.position,
    )


def decrement_sequence(sequence: int, delta: int) -> int:
    """The sequence number `delta` before `sequence`; it wraps below 0. -1 stays -1."""
    if sequence < 0:
        return sequence
    return (sequence - delta) & MAX_INT32


def _older_epoch(batch: ProducerBatch, state: ProducerState) -> InvalidProducerEpochError:
    return InvalidProducerEpochError(
        f"producer {batch.producer_id} wrote with epoch {batch.producer_epoch}, but epoch "
        f"{state.epoch} has been used since; this producer was replaced by a newer one",
        producer_id=batch.producer_id,
        producer_epoch=batch.producer_epoch,
        current_epoch=state.epoch,
    )
