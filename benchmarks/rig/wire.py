"""Messages of Kafka's protocol as they travel every day, with what is usually in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from streamlog.protocol import Message, Uuid, message

_TOPIC_ID = Uuid(bytes(range(1, 17)))
_RECORDS = bytes(16_384)  # one full batch of a producer with the default settings
_PARTITIONS = range(12)


class Sample(NamedTuple):
    """A message's value in a version."""

    what: str
    message: Message
    version: int
    value: Any


def samples() -> Iterator[Sample]:
    for make in (
        _produce,
        _produced,
        _fetch,
        _fetched,
        _metadata,
        _offset_commit,
        _heartbeat,
        _api_versions,
    ):
        yield make()


def _produce() -> Sample:
    kind = message("ProduceRequest")
    partition = kind.structs["PartitionProduceData"](3, _RECORDS)
    topic = kind.structs["TopicProduceData"](name="orders", partition_data=[partition])
    return Sample("one batch", kind, 9, kind.Value(None, -1, 30_000, [topic]))


def _produced() -> Sample:
    kind = message("ProduceResponse")
    partition = kind.structs["PartitionProduceResponse"](3, 0, 123_456, -1, 0)
    topic = kind.structs["TopicProduceResponse"](name="orders", partition_responses=[partition])
    return Sample("one batch", kind, 9, kind.Value(responses=[topic]))


def _fetch() -> Sample:
    kind = message("FetchRequest")
    wanted = kind.structs["FetchPartition"]
    topic = kind.structs["FetchTopic"](
        topic_id=_TOPIC_ID,
        partitions=[
            wanted(partition=i, fetch_offset=i * 1_000, partition_max_bytes=1 << 20)
            for i in _PARTITIONS
        ],
    )
    value = kind.Value(max_wait_ms=500, min_bytes=1, session_epoch=0, topics=[topic])
    return Sample("12 partitions", kind, 13, value)


def _fetched() -> Sample:
    kind = message("FetchResponse")
    found = kind.structs["PartitionData"]
    topic = kind.structs["FetchableTopicResponse"](
        topic_id=_TOPIC_ID,
        partitions=[
            found(
                partition_index=i,
                high_watermark=9_000,
                last_stable_offset=9_000,
                log_start_offset=0,
                aborted_transactions=None,
                records=_RECORDS,
            )
            for i in _PARTITIONS
        ],
    )
    return Sample("12 partitions", kind, 13, kind.Value(responses=[topic]))


def _metadata() -> Sample:
    kind = message("MetadataResponse")
    broker, partition = (
        kind.structs["MetadataResponseBroker"],
        kind.structs["MetadataResponsePartition"],
    )
    topic = kind.structs["MetadataResponseTopic"]
    value = kind.Value(
        brokers=[broker(i, f"broker-{i}.example", 9092) for i in range(3)],
        cluster_id="MkU3OEVBNTcwNTJENDM2Qg",
        controller_id=1,
        topics=[
            topic(
                name=f"topic-{number}",
                topic_id=_TOPIC_ID,
                partitions=[
                    partition(0, i, i % 3, 7, replica_nodes=[0, 1, 2], isr_nodes=[0, 1, 2])
                    for i in _PARTITIONS
                ],
            )
            for number in range(10)
        ],
    )
    return Sample("10 topics of 12 partitions", kind, 12, value)


def _offset_commit() -> Sample:
    kind = message("OffsetCommitRequest")
    partition = kind.structs["OffsetCommitRequestPartition"]
    topic = kind.structs["OffsetCommitRequestTopic"](
        name="orders", partitions=[partition(i, i * 1_000, 7, "") for i in _PARTITIONS]
    )
    value = kind.Value("billing", 5, "consumer-1-4fd1b1e0-7a5b-4b5c", None, topics=[topic])
    return Sample("12 partitions", kind, 8, value)


def _heartbeat() -> Sample:
    kind = message("ConsumerGroupHeartbeatRequest")
    owned = kind.structs["TopicPartitions"](_TOPIC_ID, list(_PARTITIONS))
    value = kind.Value(
        group_id="billing",
        member_id="4fd1b1e0-7a5b-4b5c",
        member_epoch=5,
        rebalance_timeout_ms=-1,
        topic_partitions=[owned],
    )
    return Sample("12 partitions owned", kind, 1, value)


def _api_versions() -> Sample:
    kind = message("ApiVersionsResponse")
    keys = [kind.structs["ApiVersion"](key, 0, 9) for key in range(60)]
    return Sample("60 APIs", kind, 3, kind.Value(api_keys=keys))
