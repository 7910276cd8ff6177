"""An idempotent producer whose id, epoch and sequence the test decides, on a broker's wire.

Clients take a new id at every start; whether a broker remembers a producer that wrote before its
start can only be asked as that producer.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from streamlog.protocol import message
from streamlog.record.kernel import RecordBatchBuilder
from tests.interop.rig import client
from tests.interop.test_wire_broker import Connection

#: A broker forgets a producer whose last batch is a day old, by its own timestamp.
NOW_MS = int(time.time() * 1000)
NO_ERROR = 0
COORDINATOR_LOAD_IN_PROGRESS = 14
OUT_OF_ORDER_SEQUENCE = 45


class ProducerIdentity(NamedTuple):
    """Who an idempotent producer is."""

    producer_id: int
    epoch: int


def new_identity(bootstrap: str) -> ProducerIdentity:
    """An identity of the broker's giving, which may have to fetch a block of them first."""
    connection = Connection(bootstrap)
    deadline = time.monotonic() + client.DEADLINE_S
    try:
        while True:
            answer = connection.ask("InitProducerId", 4, transactional_id=None)
            if answer.error_code != COORDINATOR_LOAD_IN_PROGRESS or time.monotonic() > deadline:
                break
        assert answer.error_code == NO_ERROR
        return ProducerIdentity(answer.producer_id, answer.producer_epoch)
    finally:
        connection.close()


def numbered_batch(
    producer: ProducerIdentity, sequence: int, values: list[bytes], *, codec: int = 0
) -> bytearray:
    """A batch of that producer, which continues with `sequence`."""
    builder = RecordBatchBuilder(
        codec=codec,
        producer_id=producer.producer_id,
        producer_epoch=producer.epoch,
        base_sequence=sequence,
    )
    for number, value in enumerate(values):
        builder.append(NOW_MS + sequence + number, b"key", value, ())
    return builder.build()


def produce(bootstrap: str, topic: str, batch: bytearray, partition: int = 0) -> tuple[int, int]:
    """Send one batch as it is; the error code and the offset that the broker answers."""
    connection = Connection(bootstrap)
    try:
        structs: Any = message("ProduceRequest").structs
        data = structs["PartitionProduceData"](partition, bytes(batch))
        answer = connection.ask(
            "Produce",
            9,
            acks=-1,
            timeout_ms=9_000,
            topic_data=[structs["TopicProduceData"](name=topic, partition_data=[data])],
        )
        (written,) = answer.responses[0].partition_responses
        return written.error_code, written.base_offset
    finally:
        connection.close()
