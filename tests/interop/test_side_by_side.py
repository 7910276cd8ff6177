"""The same requests, valid and wrong, to a real broker and to a listener: the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import streamlog
from streamlog.protocol import Uuid
from tests.interop.rig.broker import Broker
from tests.wire import requests
from tests.wire.connection import Connection

pytestmark = pytest.mark.interop

Fields = dict[str, Any]
Step = tuple[str, int, Callable[[Uuid], Fields]]

VALUES = [b"value %d" % number for number in range(5)]
TOPIC = "side-by-side"
INTERNAL = "__share_group_state"  # of all of them the one that no other test uses
STATIC, DEFAULT = 4, 5
LOADING = 14
PATIENCE_S = 4.0

#: Told differently by any two brokers: times, texts, addresses, and what is drawn at random.
IGNORED = {
    "throttle_time_ms", "error_message", "batch_index_error_message", "cluster_id", "host", "port",
    "producer_id", "last_timestamp", "documentation", "log_dir", "total_bytes", "usable_bytes",
    "unknown_tagged_fields", "finalized_features_epoch", "api_keys", "supported_features",
    "finalized_features", "zk_migration_ready",
}  # fmt: skip
#: Node 0 here, node 1 there.
NODES = {"leader_id", "node_id", "controller_id", "broker_id", "replica_nodes", "isr_nodes"}
DRAWN = {"topic_id", "session_id", "member_id", "leader"}


#: Settings that the broker at hand is too old to have.
NEWER = {"errors.deadletterqueue.group.enable", "remote.copy.lag.bytes", "remote.copy.lag.ms"}

#: Where the answers differ on purpose.
KNOWN = {
    "only validate.topics[0].topic_id": "no id is drawn for a topic that is not made",
    "metadata of neither": "neither a name nor an id is an invalid request, not an unknown error",
    "grow internal": "whose number of partitions says where each group is: it is kept",
    "produce nothing": "records that are null leave Kafka without an answer: they are refused",
}


def plain(value: Any, name: str = "") -> Any:
    """An answer as what can be compared."""
    if name in NODES:
        return "unknown" if value == -1 else "node"
    if name in DRAWN:
        return value not in (Uuid.ZERO, 0, "")
    if name == "configs":
        value = [each for each in value or () if each.name not in NEWER]
        for each in value:  # the broker at hand has it from its file, so that it keeps samples
            if each.name == "retention.ms" and each.config_source == STATIC:
                each.config_source = DEFAULT
    if isinstance(value, list):
        parts = [plain(each) for each in value]
        named = all(isinstance(each, dict) and "name" in each for each in parts)
        return sorted(parts, key=lambda each: str(each["name"])) if named else parts
    if hasattr(value, "__struct_fields__"):
        names = [each for each in value.__struct_fields__ if each not in IGNORED]
        return {each: plain(getattr(value, each), each) for each in names}
    return bytes(value) if isinstance(value, memoryview) else value


def produced(records: bytes | bytearray | None, **more: Any) -> Callable[[Uuid], Fields]:
    data = None if records is None else bytes(records)
    return lambda _: requests.produce(TOPIC, data, **more)


def produced_to(topic: str) -> Callable[[Uuid], Fields]:
    return lambda _: requests.produce(topic, bytes(requests.batch(VALUES)))


def damaged(batch: bytearray, at: int) -> bytes:
    batch[at] ^= 0xFF
    return bytes(batch)


def sequenced(sequence: int, epoch: int = 0) -> bytearray:
    return requests.batch(
        [b"x"] * 2, producer_id=4711, producer_epoch=epoch, base_sequence=sequence
    )


def created(*topics: Any, **more: Any) -> Callable[[Uuid], Fields]:
    return lambda _: {"topics": list(topics), "timeout_ms": 30_000, **more}


def grown(name: str, total: int) -> Callable[[Uuid], Fields]:
    topic = requests.struct("CreatePartitions", "CreatePartitionsTopic", name, total, None)
    return lambda _: {"topics": [topic], "timeout_ms": 30_000}


def listed(timestamp: int, **more: Any) -> Callable[[Uuid], Fields]:
    return lambda _: requests.list_offsets(TOPIC, timestamp, **more)


def ended(epoch: int, current: int = -1) -> Callable[[Uuid], Fields]:
    return lambda _: {
        "topics": [
            requests.struct(
                "OffsetForLeaderEpoch",
                "OffsetForLeaderTopic",
                TOPIC,
                [
                    requests.struct(
                        "OffsetForLeaderEpoch", "OffsetForLeaderPartition", 0, current, epoch
                    )
                ],
            )
        ]
    }


def removed(offset: int, topic: str = TOPIC) -> Callable[[Uuid], Fields]:
    wanted = requests.struct("DeleteRecords", "DeleteRecordsPartition", 0, offset)
    topics = [requests.struct("DeleteRecords", "DeleteRecordsTopic", topic, [wanted])]
    return lambda _: {"topics": topics, "timeout_ms": 30_000}


def altered(
    setting: str, operation: int, value: str | None, topic: str = TOPIC
) -> Callable[[Uuid], Fields]:
    return lambda _: requests.alter_config(2, topic, setting, operation, value)


def described(kind: int, name: str) -> Callable[[Uuid], Fields]:
    return lambda _: requests.describe_configs(kind, name)


def initialized(transactional_id: str | None) -> Callable[[Uuid], Fields]:
    return lambda _: {"transactional_id": transactional_id, "transaction_timeout_ms": 1}


def identified(other: Uuid | None = None) -> Callable[[Uuid], Fields]:
    def fields(topic_id: Uuid) -> Fields:
        wanted = topic_id if other is None else other
        topic = requests.struct("Metadata", "MetadataRequestTopic", topic_id=wanted, name=None)
        return {"topics": [topic]}

    return fields


def fetched(offset: int, **more: Any) -> Callable[[Uuid], Fields]:
    return lambda _: requests.fetch(TOPIC, offset, **more)


STEPS: dict[str, Step] = {
    "create": ("CreateTopics", 7, created(requests.create_topic(TOPIC, 2))),
    "create again": ("CreateTopics", 7, created(requests.create_topic(TOPIC, 2))),
    "create nothing": ("CreateTopics", 5, created(requests.create_topic("none", 0))),
    "create badly named": ("CreateTopics", 5, created(requests.create_topic("not a name"))),
    "create colliding": ("CreateTopics", 5, created(requests.create_topic("a.b"))),
    "create collided": ("CreateTopics", 5, created(requests.create_topic("a_b"))),
    "create twice": (
        "CreateTopics",
        5,
        created(requests.create_topic("twice"), requests.create_topic("twice")),
    ),
    "create mixed": (
        "CreateTopics",
        4,
        created(requests.create_topic("mixed"), requests.create_topic("mixed three", 3)),
    ),
    "create with three replicas": ("CreateTopics", 4, created(requests.create_topic("r", 1, 3))),
    "create with a bad setting": (
        "CreateTopics",
        4,
        created(requests.create_topic("s", retention_ms="soon")),
    ),
    "create with an unknown setting": (
        "CreateTopics",
        4,
        created(requests.create_topic("s", retention="1")),
    ),
    "create the metadata log": (
        "CreateTopics",
        4,
        created(requests.create_topic("__cluster_metadata")),
    ),
    "produce where an internal topic is not": ("Produce", 9, produced_to(INTERNAL)),
    "create internal": ("CreateTopics", 4, created(requests.create_topic(INTERNAL, 3))),
    "only validate": (
        "CreateTopics",
        7,
        created(requests.create_topic("v", -1, -1), validate_only=True),
    ),
    "metadata": ("Metadata", 12, lambda _: requests.metadata(TOPIC)),
    "metadata by id": ("Metadata", 12, identified()),
    "metadata by id too early": ("Metadata", 11, identified()),
    "metadata of no name": ("Metadata", 11, identified(Uuid.ZERO)),
    "metadata of neither": ("Metadata", 12, identified(Uuid.ZERO)),
    "metadata of none": ("Metadata", 9, lambda _: {"topics": []}),
    "metadata of nobody": (
        "Metadata",
        9,
        lambda _: requests.metadata("nobody", "no body", allow_auto_topic_creation=False),
    ),
    "produce": ("Produce", 9, produced(requests.batch(VALUES))),
    "produce zstd": ("Produce", 9, produced(requests.batch(VALUES, codec=4))),
    "produce zstd too early": ("Produce", 6, produced(requests.batch(VALUES, codec=4))),
    "produce nothing": ("Produce", 9, produced(None)),
    "produce no bytes": ("Produce", 9, produced(b"")),
    "produce two batches": (
        "Produce",
        9,
        produced(requests.batch(VALUES) + requests.batch(VALUES)),
    ),
    "produce a wrong CRC": ("Produce", 9, produced(damaged(requests.batch(VALUES), 70))),
    "produce a wrong count": ("Produce", 9, produced(damaged(requests.batch(VALUES), 60))),
    "produce with acks=2": ("Produce", 9, produced(requests.batch(VALUES), acks=2)),
    "produce to partition 9": ("Produce", 9, produced(requests.batch(VALUES), partition=9)),
    "produce to an internal topic": ("Produce", 9, produced_to(INTERNAL)),
    "produce to the metadata log": ("Produce", 9, produced_to("__cluster_metadata")),
    "produce to an unknown id": (
        "Produce",
        13,
        lambda _: requests.produce(Uuid(b"0123456789abcdef"), bytes(requests.batch(VALUES))),
    ),
    "produce in sequence": ("Produce", 9, produced(sequenced(0))),
    "produce the same again": ("Produce", 9, produced(sequenced(0))),
    "produce out of sequence": ("Produce", 9, produced(sequenced(7))),
    "produce in the next epoch": ("Produce", 9, produced(sequenced(0, 1))),
    "produce in an old epoch": ("Produce", 9, produced(sequenced(2))),
    "describe producers": (
        "DescribeProducers",
        0,
        lambda _: {"topics": [requests.struct("DescribeProducers", "TopicRequest", TOPIC, [0, 7])]},
    ),
    "fetch": ("Fetch", 12, fetched(0)),
    "fetch in the middle": ("Fetch", 12, fetched(3)),
    "fetch read committed": ("Fetch", 12, fetched(0, isolation_level=1)),
    "fetch at the end": ("Fetch", 12, fetched(14)),
    "fetch behind the end": ("Fetch", 12, fetched(99)),
    "fetch below the start": ("Fetch", 12, fetched(-5)),
    "fetch a byte": ("Fetch", 12, fetched(0, partition_max_bytes=1)),
    "fetch zstd too early": ("Fetch", 9, fetched(5)),
    "fetch in a later epoch": ("Fetch", 12, fetched(0, current_leader_epoch_of=9)),
    "fetch partition 9": ("Fetch", 12, fetched(0, partition=9)),
    "fetch an unknown session": ("Fetch", 12, lambda _: {"session_id": 77, "session_epoch": 1}),
    "latest": ("ListOffsets", 7, listed(-1)),
    "earliest": ("ListOffsets", 7, listed(-2)),
    "largest time": ("ListOffsets", 7, listed(-3)),
    "earliest local": ("ListOffsets", 8, listed(-4)),
    "largest time too early": ("ListOffsets", 6, listed(-3)),
    "latest tiered": ("ListOffsets", 9, listed(-5)),
    "no such time": ("ListOffsets", 9, listed(-9)),
    "by time": ("ListOffsets", 7, listed(requests.START_MS + 1)),
    "before everything": ("ListOffsets", 7, listed(0)),
    "after everything": ("ListOffsets", 7, listed(requests.START_MS * 2)),
    "offsets of partition 9": ("ListOffsets", 7, listed(-1, partition=9)),
    "the end of epoch 0": ("OffsetForLeaderEpoch", 4, ended(0)),
    "the end of epoch 9": ("OffsetForLeaderEpoch", 4, ended(9)),
    "the end in a later epoch": ("OffsetForLeaderEpoch", 4, ended(0, 9)),
    "delete records": ("DeleteRecords", 2, removed(3)),
    "delete too many records": ("DeleteRecords", 2, removed(99)),
    "delete records of nobody": ("DeleteRecords", 2, removed(0, "nobody")),
    "delete all records": ("DeleteRecords", 2, removed(-1)),
    "grow": ("CreatePartitions", 3, grown(TOPIC, 4)),
    "shrink": ("CreatePartitions", 3, grown(TOPIC, 1)),
    "stay": ("CreatePartitions", 3, grown(TOPIC, 4)),
    "grow internal": ("CreatePartitions", 3, grown(INTERNAL, 4)),
    "grow nobody": ("CreatePartitions", 3, grown("nobody", 4)),
    "page of partitions": (
        "DescribeTopicPartitions",
        0,
        lambda _: {
            "topics": [requests.struct("DescribeTopicPartitions", "TopicRequest", TOPIC)],
            "response_partition_limit": 3,
        },
    ),
    "set": ("IncrementalAlterConfigs", 1, altered("retention.ms", 0, "9")),
    "set badly": ("IncrementalAlterConfigs", 1, altered("retention.ms", 0, "x")),
    "set nothing": ("IncrementalAlterConfigs", 1, altered("retention.ms", 0, None)),
    "append to no list": ("IncrementalAlterConfigs", 1, altered("retention.ms", 2, "9")),
    "append": ("IncrementalAlterConfigs", 1, altered("cleanup.policy", 2, "compact")),
    "set of nobody": ("IncrementalAlterConfigs", 1, altered("retention.ms", 0, "9", "nobody")),
    "set internal": (
        "IncrementalAlterConfigs",
        1,
        altered("cleanup.policy", 0, "delete", INTERNAL),
    ),
    "keyless": ("Produce", 9, produced(requests.batch([b"a", b"b"], key=None))),
    "replace": ("AlterConfigs", 2, lambda _: requests.replace_configs(TOPIC, segment_ms="100000")),
    "describe settings": (
        "DescribeConfigs",
        4,
        lambda _: requests.describe_configs(2, TOPIC, include_synonyms=False),
    ),
    "describe settings of nobody": ("DescribeConfigs", 4, described(2, "nobody")),
    "describe settings of another node": ("DescribeConfigs", 4, described(4, "99")),
    "cluster": ("DescribeCluster", 1, lambda _: {}),
    "controllers": ("DescribeCluster", 1, lambda _: {"endpoint_type": 2}),
    "config resources": ("ListConfigResources", 0, lambda _: {}),
    "producer id": ("InitProducerId", 4, initialized(None)),
    "empty transactional id": ("InitProducerId", 4, initialized("")),
    "wrong software name": ("ApiVersions", 3, lambda _: {"client_software_name": "-"}),
    "delete by both": (
        "DeleteTopics",
        6,
        lambda topic_id: {
            "topics": [requests.struct("DeleteTopics", "DeleteTopicState", TOPIC, topic_id)],
            "timeout_ms": 30_000,
        },
    ),
    "delete internal": (
        "DeleteTopics",
        5,
        lambda _: {"topic_names": [INTERNAL], "timeout_ms": 30_000},
    ),
    "delete": ("DeleteTopics", 5, lambda _: {"topic_names": [TOPIC], "timeout_ms": 30_000}),
    "delete again": ("DeleteTopics", 5, lambda _: {"topic_names": [TOPIC], "timeout_ms": 30_000}),
}  # fmt: skip


def wait_until_compacted(connection: Connection) -> None:
    """A broker applies a setting after its answer: what follows is to find it applied."""
    for _ in range(2000):
        wanted = requests.describe_configs(2, TOPIC)
        (told,) = connection.ask("DescribeConfigs", 4, **wanted).results
        if any(each.name == "cleanup.policy" and "compact" in each.value for each in told.configs):
            return
    raise AssertionError("the topic's policy was not applied")


def answers(bootstrap: str) -> Iterator[tuple[str, Any]]:
    topic_id = Uuid.ZERO
    connection = Connection(bootstrap)
    for name, (api, version, fields) in STEPS.items():
        connection.socket.settimeout(PATIENCE_S)
        try:
            answer = connection.ask(api, version, **fields(topic_id))
        except (ConnectionResetError, TimeoutError) as error:
            yield name, type(error).__name__
            connection.close()
            connection = Connection(bootstrap)
            continue
        while getattr(answer, "error_code", 0) == LOADING:  # its first block of producer ids
            answer = connection.ask(api, version, **fields(topic_id))
        if name == "append":
            wait_until_compacted(connection)
        if name == "create":
            topic_id = answer.topics[0].topic_id
        yield name, plain(answer)
    connection.close()


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in theirs:
            yield from differences(theirs[name], ours[name], f"{path}.{name}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for place, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(one, other, f"{path}[{place}]")
    elif theirs != ours:
        yield f"{path}: Kafka {theirs!r}, here {ours!r}"


def test_the_answers_are_the_same(broker: Broker) -> None:
    theirs = dict(answers(broker.bootstrap))
    with streamlog.open(":memory:") as log, log.listen(log_retention_ms=-1) as listener:
        ours = dict(answers(listener.bootstrap_servers))
    found = [
        f"{name}{difference}"
        for name in STEPS
        for difference in differences(theirs[name], ours[name])
    ]
    assert "\n".join(each for each in found if not each.startswith(tuple(KNOWN))) == ""
    assert {known for known in KNOWN if not any(each.startswith(known) for each in found)} == set()
