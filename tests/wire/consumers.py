"""Members of groups: three clients' consumers, unchanged, behind the same few verbs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from tests.wire.client import TIMEOUT_S

Result = TypeVar("Result")

HEARTBEAT_MS = 100  # so that members hear soon that others came or went


class Got(NamedTuple):
    """A record as a member gets it."""

    partition: int
    offset: int
    value: bytes


class Wish(NamedTuple):
    """Whose member a consumer is to be, and how."""

    bootstrap: str
    group_id: str
    topic: str
    instance_id: str | None
    session_timeout_ms: int


class GroupConsumer:
    """A consumer of one topic in a group, or of those that match a pattern: it begins with "^".

    It begins at the start, and commits when it is told.

    `initial_delay_ms` is the `group.initial.rebalance.delay.ms` that it needs;
    `survives_new_topics` whether it always goes on when there is one more topic of its pattern.
    """

    name: str
    initial_delay_ms = 0
    survives_new_topics = True

    def __init__(
        self,
        bootstrap: str,
        group_id: str,
        topic: str,
        *,
        instance_id: str | None = None,
        session_timeout_ms: int = 10_000,
    ) -> None:
        self._topic = topic
        self._consumer = self._start(
            Wish(bootstrap, group_id, topic, instance_id, session_timeout_ms)
        )

    def _start(self, wish: Wish) -> Any:
        """The client's consumer; it has subscribed to the topic."""
        raise NotImplementedError

    def poll(self) -> list[Got]:
        """What is there within a short while, perhaps nothing."""
        raise NotImplementedError

    def assignment(self) -> set[int]:
        """All three say it in the same way."""
        return {each.partition for each in self._consumer.assignment()}

    def commit(self, offsets: Mapping[int, tuple[int, str]] | None = None) -> None:
        """Commit offsets with metadata, by partition; without any, what was read."""
        raise NotImplementedError

    def committed(self, partition: int) -> tuple[int, str] | None:
        raise NotImplementedError

    def seek(self, partition: int, offset: int) -> None:
        raise NotImplementedError

    def pause(self, partition: int) -> None:
        raise NotImplementedError

    def resume(self, partition: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Leave, committing nothing; a static member only goes."""
        raise NotImplementedError


class ConfluentConsumer(GroupConsumer):
    name = "confluent-kafka"
    protocol: Mapping[str, object] = {"heartbeat.interval.ms": HEARTBEAT_MS}

    def _start(self, wish: Wish) -> Any:
        from confluent_kafka import Consumer

        settings = {
            "bootstrap.servers": wish.bootstrap,
            "group.id": wish.group_id,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "topic.metadata.refresh.interval.ms": 1000,
            **self.protocol,
        }
        if "group.protocol" not in settings:
            settings["session.timeout.ms"] = wish.session_timeout_ms
        if wish.instance_id is not None:
            settings["group.instance.id"] = wish.instance_id
        consumer = Consumer(settings)
        consumer.subscribe([wish.topic])
        return consumer

    def poll(self) -> list[Got]:
        from confluent_kafka import KafkaError

        found = []
        for each in self._consumer.consume(100, 0.05):
            error = each.error()
            if error is None:
                found.append(Got(each.partition(), each.offset(), each.value()))
            else:
                assert error.code() == KafkaError._PARTITION_EOF or error.retriable(), error
        return found

    def commit(self, offsets: Mapping[int, tuple[int, str]] | None = None) -> None:
        from confluent_kafka import TopicPartition

        if offsets is None:
            self._consumer.commit(asynchronous=False)
            return
        wanted = [
            TopicPartition(self._topic, partition, offset, metadata)
            for partition, (offset, metadata) in offsets.items()
        ]
        for each in self._consumer.commit(offsets=wanted, asynchronous=False):
            assert each.error is None, each.error

    def committed(self, partition: int) -> tuple[int, str] | None:
        from confluent_kafka import TopicPartition

        (found,) = self._consumer.committed([TopicPartition(self._topic, partition)], TIMEOUT_S)
        assert found.error is None
        return (found.offset, found.metadata or "") if found.offset >= 0 else None

    def seek(self, partition: int, offset: int) -> None:
        from confluent_kafka import TopicPartition

        self._consumer.seek(TopicPartition(self._topic, partition, offset))

    def pause(self, partition: int) -> None:
        from confluent_kafka import TopicPartition

        self._consumer.pause([TopicPartition(self._topic, partition)])

    def resume(self, partition: int) -> None:
        from confluent_kafka import TopicPartition

        self._consumer.resume([TopicPartition(self._topic, partition)])

    def close(self) -> None:
        self._consumer.close()


class ConfluentNextConsumer(ConfluentConsumer):
    """In the protocol of KIP-848, whose sessions and heartbeats are the broker's business."""

    name = "confluent-kafka-consumer-protocol"
    protocol: Mapping[str, object] = {"group.protocol": "consumer"}


def settings_of(wish: Wish) -> dict[str, Any]:
    """The settings that kafka-python and aiokafka call by the same names."""
    return {
        "bootstrap_servers": wish.bootstrap,
        "group_id": wish.group_id,
        "group_instance_id": wish.instance_id,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "session_timeout_ms": wish.session_timeout_ms,
        "heartbeat_interval_ms": HEARTBEAT_MS,
        "metadata_max_age_ms": 1000,
    }


def topics_of(wish: Wish) -> dict[str, Any]:
    """What they are to subscribe to, as both want to be told."""
    is_pattern = wish.topic.startswith("^")
    return {"pattern": wish.topic} if is_pattern else {"topics": [wish.topic]}


class KafkaPythonConsumer(GroupConsumer):
    """When a topic's metadata come after the first assignment, which it makes without them then,
    it sometimes (3.0.12) loses a task of its own and waits for ever. Kafka's default is 3,000.

    So it does sometimes when a topic comes: its JoinGroup and SyncGroup were answered, and it sends
    nothing more but stays in its state "rebalancing".
    """

    name = "kafka-python"
    initial_delay_ms = 200
    survives_new_topics = False

    def _start(self, wish: Wish) -> Any:
        from kafka import KafkaConsumer

        consumer = KafkaConsumer(**settings_of(wish))
        consumer.subscribe(**topics_of(wish))
        return consumer

    def poll(self) -> list[Got]:
        batches = self._consumer.poll(50)
        return [
            Got(each.partition, each.offset, each.value)
            for batch in batches.values()
            for each in batch
        ]

    def commit(self, offsets: Mapping[int, tuple[int, str]] | None = None) -> None:
        from kafka import TopicPartition
        from kafka.structs import OffsetAndMetadata

        self._consumer.commit(
            None
            if offsets is None
            else {
                TopicPartition(self._topic, partition): OffsetAndMetadata(offset, metadata, -1)
                for partition, (offset, metadata) in offsets.items()
            }
        )

    def committed(self, partition: int) -> tuple[int, str] | None:
        from kafka import TopicPartition

        found = self._consumer.committed(TopicPartition(self._topic, partition), metadata=True)
        return None if found is None else (found.offset, found.metadata)

    def seek(self, partition: int, offset: int) -> None:
        from kafka import TopicPartition

        self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def pause(self, partition: int) -> None:
        from kafka import TopicPartition

        self._consumer.pause(TopicPartition(self._topic, partition))

    def resume(self, partition: int) -> None:
        from kafka import TopicPartition

        self._consumer.resume(TopicPartition(self._topic, partition))

    def close(self) -> None:
        self._consumer.close(autocommit=False)


class AiokafkaConsumer(GroupConsumer):
    """Its loop runs in a thread, so that it can say that it lives."""

    name = "aiokafka"

    def _start(self, wish: Wish) -> Any:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

        async def start() -> Any:
            from aiokafka import AIOKafkaConsumer

            consumer = AIOKafkaConsumer(**settings_of(wish))
            await consumer.start()
            consumer.subscribe(**topics_of(wish))
            return consumer

        return self._run(start())

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

    def poll(self) -> list[Got]:
        batches = self._run(self._consumer.getmany(timeout_ms=50))
        return [
            Got(each.partition, each.offset, each.value)
            for batch in batches.values()
            for each in batch
        ]

    def commit(self, offsets: Mapping[int, tuple[int, str]] | None = None) -> None:
        from aiokafka import TopicPartition

        wanted = None
        if offsets is not None:
            wanted = {
                TopicPartition(self._topic, partition): said for partition, said in offsets.items()
            }
        self._run(self._consumer.commit(wanted))

    def committed(self, partition: int) -> tuple[int, str] | None:
        """It tells no metadata."""
        from aiokafka import TopicPartition

        found = self._run(self._consumer.committed(TopicPartition(self._topic, partition)))
        return None if found is None else (found, "")

    def seek(self, partition: int, offset: int) -> None:
        from aiokafka import TopicPartition

        self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def pause(self, partition: int) -> None:
        self._run(self._pause(partition))

    async def _pause(self, partition: int) -> None:
        from aiokafka import TopicPartition

        self._consumer.pause(TopicPartition(self._topic, partition))

    def resume(self, partition: int) -> None:
        self._run(self._resume(partition))

    async def _resume(self, partition: int) -> None:
        from aiokafka import TopicPartition

        self._consumer.resume(TopicPartition(self._topic, partition))

    def close(self) -> None:
        self._run(self._consumer.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


CONSUMERS: tuple[type[GroupConsumer], ...] = (
    ConfluentConsumer,
    ConfluentNextConsumer,
    KafkaPythonConsumer,
    AiokafkaConsumer,
)
