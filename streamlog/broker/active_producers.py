"""The idempotent producers that a partition remembers (Kafka's DescribeProducers)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.storage.failures import cannot_open
from streamlog.storage.producer_state import NO_OFFSET, ProducerState
from streamlog.types import ProducerDescription

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog


def describe_producers(log: PartitionLog) -> list[ProducerDescription]:
    """Every one of them, by id, as of the log's end. `UnknownTopicError` if it was deleted."""
    state = log.state()
    if state.producer_batch_end == 0:
        return []
    try:
        with log.producers.lock:
            return sorted(_describe(producer) for producer in log.producers.catch_up(state))
    except FileNotFoundError as error:
        raise cannot_open(log, error) from error


def _describe(producer: ProducerState) -> ProducerDescription:
    start = producer.transaction_first_offset
    return ProducerDescription(
        producer_id=producer.producer_id,
        producer_epoch=producer.epoch,
        last_sequence=producer.last_sequence,
        last_timestamp=producer.last_timestamp,
        coordinator_epoch=None if producer.coordinator_epoch < 0 else producer.coordinator_epoch,
        current_transaction_start_offset=None if start == NO_OFFSET else start,
    )
