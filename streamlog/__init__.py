"""Apache Kafka's core as a library: `import streamlog`, open a directory, and there are topics,
partitions, producers and consumers, with no server to run.

    import streamlog

    with streamlog.open("events") as log:
        log.create_topic("orders", partitions=3)
        with log.producer() as producer:
            producer.send("orders", b'{"id": 42}', key=b"42")
        for record in log.read("orders"):
            print(record.offset, record.key, record.value)

Parts: `open()` and the classes that it leads to (`StreamLog`, `Producer`, `Consumer`, `Admin`),
`open_async()` and their twins for asyncio (`AsyncStreamLog`, ...), the small values that calls
take and return, what is read (`Record`, `PartitionBatch`), and `streamlog.errors`, every exception
there is. `streamlog.kernel` says which loops over records run: "compiled" or "pure".

Rules: the directory is a Kafka log directory, byte for byte. Names are Kafka's, manners are
Python's. Everything is loaded when it is first named.

What it is not: a server, or a cluster of its own making.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError(
        "streamlog does not run on Windows: it needs locks that the kernel frees when a process "
        "dies, and files that can be replaced while they are mapped; use WSL or a container"
    )

if TYPE_CHECKING:
    from streamlog import errors
    from streamlog.clients.accumulators import RecordFuture
    from streamlog.clients.admin import Admin, DirectoryDescription
    from streamlog.clients.asynchronous.admin import AsyncAdmin
    from streamlog.clients.asynchronous.consumer import AsyncConsumer
    from streamlog.clients.asynchronous.log import AsyncStreamLog, open_async
    from streamlog.clients.asynchronous.producer import AsyncProducer
    from streamlog.clients.asynchronous.typed import AsyncTypedProducer, AsyncTypedTopic
    from streamlog.clients.consumer import Consumer
    from streamlog.clients.producer import Producer
    from streamlog.clients.properties import from_properties
    from streamlog.clients.record_streams import PartitionBatch
    from streamlog.clients.stream_log import StreamLog
    from streamlog.clients.stream_log import open_log as open  # noqa: A004  # as gzip.open is
    from streamlog.clients.typed import TypedProducer, TypedTopic
    from streamlog.config.alterations import AlterConfigOp
    from streamlog.config.config_entry import ConfigEntry, ConfigSource, ConfigSynonym, ConfigType
    from streamlog.errors import StreamlogError
    from streamlog.record.kernel import KERNEL as kernel  # noqa: N811  # a constant, used as a word
    from streamlog.record.kernel import Record, RecordBatch, TimestampType
    from streamlog.types import (
        AppendedBatch,
        BackupReport,
        GroupDescription,
        GroupListing,
        GroupMember,
        GroupOffset,
        LogDirDescription,
        NewTopic,
        OffsetAndMetadata,
        OffsetAndTimestamp,
        OffsetReset,
        OffsetSpec,
        PartitionCompaction,
        PartitionDescription,
        ProducerDescription,
        RecordMetadata,
        ReplicaInfo,
        TopicDescription,
        TopicPartition,
    )

__version__ = "0.1.0"

# Where each name is found when it is first used, and what it is called there.
_LATE = {
    "open": ("streamlog.clients.stream_log", "open_log"),
    "kernel": ("streamlog.record.kernel", "KERNEL"),
    "errors": ("streamlog.errors", None),
    "StreamlogError": ("streamlog.errors", "StreamlogError"),
    "StreamLog": ("streamlog.clients.stream_log", "StreamLog"),
    "Producer": ("streamlog.clients.producer", "Producer"),
    "Consumer": ("streamlog.clients.consumer", "Consumer"),
    "Admin": ("streamlog.clients.admin", "Admin"),
    "DirectoryDescription": ("streamlog.clients.admin", "DirectoryDescription"),
    "TypedTopic": ("streamlog.clients.typed", "TypedTopic"),
    "TypedProducer": ("streamlog.clients.typed", "TypedProducer"),
    "open_async": ("streamlog.clients.asynchronous.log", "open_async"),
    "AsyncStreamLog": ("streamlog.clients.asynchronous.log", "AsyncStreamLog"),
    "AsyncProducer": ("streamlog.clients.asynchronous.producer", "AsyncProducer"),
    "AsyncConsumer": ("streamlog.clients.asynchronous.consumer", "AsyncConsumer"),
    "AsyncAdmin": ("streamlog.clients.asynchronous.admin", "AsyncAdmin"),
    "AsyncTypedTopic": ("streamlog.clients.asynchronous.typed", "AsyncTypedTopic"),
    "AsyncTypedProducer": ("streamlog.clients.asynchronous.typed", "AsyncTypedProducer"),
    "from_properties": ("streamlog.clients.properties", "from_properties"),
    "NewTopic": ("streamlog.types", "NewTopic"),
    "AlterConfigOp": ("streamlog.config.alterations", "AlterConfigOp"),
    "ConfigEntry": ("streamlog.config.config_entry", "ConfigEntry"),
    "ConfigSource": ("streamlog.config.config_entry", "ConfigSource"),
    "ConfigSynonym": ("streamlog.config.config_entry", "ConfigSynonym"),
    "ConfigType": ("streamlog.config.config_entry", "ConfigType"),
    "RecordFuture": ("streamlog.clients.accumulators", "RecordFuture"),
    "PartitionBatch": ("streamlog.clients.record_streams", "PartitionBatch"),
    "Record": ("streamlog.record.kernel", "Record"),
    "RecordBatch": ("streamlog.record.kernel", "RecordBatch"),
    "TimestampType": ("streamlog.record.timestamp_type", "TimestampType"),
    "RecordMetadata": ("streamlog.types", "RecordMetadata"),
    "AppendedBatch": ("streamlog.types", "AppendedBatch"),
    "TopicPartition": ("streamlog.types", "TopicPartition"),
    "OffsetAndTimestamp": ("streamlog.types", "OffsetAndTimestamp"),
    "OffsetAndMetadata": ("streamlog.types", "OffsetAndMetadata"),
    "GroupListing": ("streamlog.types", "GroupListing"),
    "GroupMember": ("streamlog.types", "GroupMember"),
    "GroupOffset": ("streamlog.types", "GroupOffset"),
    "GroupDescription": ("streamlog.types", "GroupDescription"),
    "OffsetReset": ("streamlog.types", "OffsetReset"),
    "OffsetSpec": ("streamlog.types", "OffsetSpec"),
    "BackupReport": ("streamlog.types", "BackupReport"),
    "LogDirDescription": ("streamlog.types", "LogDirDescription"),
    "ReplicaInfo": ("streamlog.types", "ReplicaInfo"),
    "PartitionCompaction": ("streamlog.types", "PartitionCompaction"),
    "ProducerDescription": ("streamlog.types", "ProducerDescription"),
    "TopicDescription": ("streamlog.types", "TopicDescription"),
    "PartitionDescription": ("streamlog.types", "PartitionDescription"),
}

__all__ = [
    "open",
    "StreamLog",
    "Producer",
    "Consumer",
    "Admin",
    "TypedTopic",
    "TypedProducer",
    "open_async",
    "AsyncStreamLog",
    "AsyncProducer",
    "AsyncConsumer",
    "AsyncAdmin",
    "AsyncTypedTopic",
    "AsyncTypedProducer",
    "Record",
    "RecordBatch",
    "PartitionBatch",
    "RecordFuture",
    "RecordMetadata",
    "AppendedBatch",
    "TopicPartition",
    "OffsetAndTimestamp",
    "OffsetAndMetadata",
    "GroupListing",
    "GroupMember",
    "GroupOffset",
    "GroupDescription",
    "OffsetReset",
    "OffsetSpec",
    "TimestampType",
    "TopicDescription",
    "PartitionDescription",
    "DirectoryDescription",
    "BackupReport",
    "LogDirDescription",
    "ReplicaInfo",
    "PartitionCompaction",
    "ProducerDescription",
    "NewTopic",
    "from_properties",
    "AlterConfigOp",
    "ConfigEntry",
    "ConfigSource",
    "ConfigSynonym",
    "ConfigType",
    "StreamlogError",
    "errors",
    "kernel",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _LATE[name]
    found = import_module(module)
    value = found if attribute is None else getattr(found, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
