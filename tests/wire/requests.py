"""Requests as messages, for any version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamlog.protocol import Uuid, message
from streamlog.record.kernel import RecordBatchBuilder

START_MS = 1_700_000_000_000


def struct(request: str, name: str, /, *values: Any, **fields: Any) -> Any:
    """A structure of a request."""
    return message(f"{request}Request").structs[name](*values, **fields)


def batch(
    values: Sequence[bytes | None], *, key: bytes | None = b"key", codec: int = 0, **fields: Any
) -> bytearray:
    """A record batch, a second between its records."""
    builder = RecordBatchBuilder(codec=codec, **fields)
    for place, value in enumerate(values):
        builder.append(START_MS + 1000 * place, key, value, ())
    return builder.build()


def produce(
    topic: str | Uuid, records: bytes | None, *, partition: int = 0, acks: int = -1
) -> dict[str, Any]:
    """The fields of a Produce request."""
    data = struct("Produce", "PartitionProduceData", partition, records)
    by = {"topic_id": topic} if isinstance(topic, Uuid) else {"name": topic}
    topic_data = struct("Produce", "TopicProduceData", partition_data=[data], **by)
    return {"acks": acks, "timeout_ms": 9_000, "topic_data": [topic_data]}


def fetch(
    topic: str | Uuid,
    offset: int,
    *,
    partition: int = 0,
    max_wait_ms: int = 0,
    partition_max_bytes: int = 1 << 20,
    min_bytes: int = 1,
    **fields: Any,
) -> dict[str, Any]:
    """The fields of a Fetch request for one partition; `fields` are of the request."""
    epochs = {name: fields.pop(name) for name in list(fields) if name.endswith("_epoch_of")}
    wanted = struct(
        "Fetch",
        "FetchPartition",
        partition=partition,
        fetch_offset=offset,
        partition_max_bytes=partition_max_bytes,
        **{name.removesuffix("_of"): value for name, value in epochs.items()},
    )
    by = {"topic_id": topic} if isinstance(topic, Uuid) else {"topic": topic}
    topics = [struct("Fetch", "FetchTopic", partitions=[wanted], **by)]
    return {"max_wait_ms": max_wait_ms, "min_bytes": min_bytes, "topics": topics, **fields}


def list_offsets(topic: str, timestamp: int, partition: int = 0) -> dict[str, Any]:
    """The fields of a ListOffsets request for one partition."""
    wanted = struct(
        "ListOffsets", "ListOffsetsPartition", partition_index=partition, timestamp=timestamp
    )
    return {"topics": [struct("ListOffsets", "ListOffsetsTopic", topic, [wanted])]}


def metadata(*names: str, **fields: Any) -> dict[str, Any]:
    """The fields of a Metadata request for topics by name."""
    topics = [struct("Metadata", "MetadataRequestTopic", name=name) for name in names]
    return {"topics": topics, **fields}


def create_topic(name: str, partitions: int = 1, replicas: int = 1, **configs: str) -> Any:
    """A topic of a CreateTopics request."""
    settings = [
        struct("CreateTopics", "CreatableTopicConfig", key.replace("_", "."), value)
        for key, value in configs.items()
    ]
    return struct(
        "CreateTopics",
        "CreatableTopic",
        name=name,
        num_partitions=partitions,
        replication_factor=replicas,
        configs=settings,
    )


def describe_configs(kind: int, name: str, **fields: Any) -> dict[str, Any]:
    """The fields of a DescribeConfigs request for one resource, all keys."""
    resource = struct(
        "DescribeConfigs",
        "DescribeConfigsResource",
        resource_type=kind,
        resource_name=name,
        configuration_keys=None,
    )
    return {"resources": [resource], **fields}


def alter_config(
    kind: int, name: str, setting: str, operation: int, value: str | None, **fields: Any
) -> dict[str, Any]:
    """The fields of an IncrementalAlterConfigs request for one setting."""
    api = "IncrementalAlterConfigs"
    change = struct(api, "AlterableConfig", setting, operation, value)
    return {"resources": [struct(api, "AlterConfigsResource", kind, name, [change])], **fields}


def of_partition(api: str, topic: str, partition: str, *values: int) -> dict[str, Any]:
    """The fields of a request for one partition of "flights", of structures with these names."""
    return {"topics": [struct(api, topic, "flights", [struct(api, partition, *values)])]}


def replace_configs(name: str, **settings: str) -> dict[str, Any]:
    """The fields of an AlterConfigs request for a topic."""
    api = "AlterConfigs"
    configs = [
        struct(api, "AlterableConfig", key.replace("_", "."), value)
        for key, value in settings.items()
    ]
    return {"resources": [struct(api, "AlterConfigsResource", 2, name, configs)]}
