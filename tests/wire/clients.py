"""Three of Kafka's clients, unchanged, behind the same few verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

TIMEOUT_S = 30.0

Result = TypeVar("Result")


class Sent(NamedTuple):
    """A record to send."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 1_700_000_000_000


class Seen(NamedTuple):
    """A record that was read."""

    offset: int
    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


class Client:
    """What a scenario says. Each call makes the client it needs and closes it."""

    name: str

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def produce(
        self,
        topic: str,
        records: Sequence[Sent],
        *,
        codec: str = "none",
        acks: int = -1,
        idempotent: bool = False,
    ) -> list[int]:
        """Send to partition 0, all in flight together; the offsets as acknowledged."""
        raise NotImplementedError

    def read(self, topic: str, offset: int, count: int) -> list[Seen]:
        """So many records of partition 0 from an offset on, by assignment."""
        raise NotImplementedError

    def offset_at(self, topic: str, timestamp_ms: int) -> int | None:
        """The first offset of partition 0 at or after a time, or None."""
        raise NotImplementedError

    def ends(self, topic: str) -> tuple[int, int]:
        """The first offset of partition 0, and the one behind its last."""
        raise NotImplementedError

    def create_topic(self, topic: str, partitions: int, settings: dict[str, str]) -> None:
        raise NotImplementedError

    def delete_topic(self, topic: str) -> None:
        raise NotImplementedError

    def add_partitions(self, topic: str, total: int) -> None:
        raise NotImplementedError

    def describe_configs(self, topic: str) -> dict[str, str]:
        raise NotImplementedError

    def topics(self) -> dict[str, int]:
        """How many partitions each topic has."""
        raise NotImplementedError


class ConfluentClient(Client):
    name = "confluent-kafka"

    def produce(
        self,
        topic: str,
        records: Sequence[Sent],
        *,
        codec: str = "none",
        acks: int = -1,
        idempotent: bool = False,
    ) -> list[int]:
        from confluent_kafka import Producer

        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": codec,
                "acks": acks,
                "enable.idempotence": idempotent,
                "message.max.bytes": 10_000_000,
            }
        )
        failures: list[Any] = []
        offsets: list[int] = []

        def delivered(error: Any, message: Any) -> None:
            failures.extend([error] if error is not None else [])
            offsets.append(message.offset())

        for record in records:
            producer.produce(
                topic,
                record.value,
                record.key,
                partition=0,
                on_delivery=delivered,
                timestamp=record.timestamp_ms,
                headers=list(record.headers),
            )
        assert producer.flush(TIMEOUT_S) == 0
        if failures:
            raise RuntimeError(failures[0].str())
        return offsets

    def _consumer(self) -> Any:
        from confluent_kafka import Consumer

        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "unused",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": 10_000_000,
            }
        )

    def read(self, topic: str, offset: int, count: int) -> list[Seen]:
        from confluent_kafka import TopicPartition

        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(topic, 0, offset)])
            messages: list[Any] = []
            while len(messages) < count:
                found = consumer.consume(count - len(messages), TIMEOUT_S)
                assert found, f"{len(messages)} of {count} records came"
                messages += found
            for each in messages:
                assert each.error() is None, each.error()
            return [
                Seen(
                    each.offset(),
                    each.value(),
                    each.key(),
                    tuple(each.headers() or ()),
                    each.timestamp()[1],
                )
                for each in messages
            ]
        finally:
            consumer.close()

    def offset_at(self, topic: str, timestamp_ms: int) -> int | None:
        from confluent_kafka import TopicPartition

        consumer = self._consumer()
        try:
            wanted = TopicPartition(topic, 0, timestamp_ms)
            (found,) = consumer.offsets_for_times([wanted], TIMEOUT_S)
            assert found.error is None
            return found.offset if found.offset >= 0 else None
        finally:
            consumer.close()

    def ends(self, topic: str) -> tuple[int, int]:
        from confluent_kafka import TopicPartition

        consumer = self._consumer()
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), TIMEOUT_S)
            return low, high
        finally:
            consumer.close()

    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.bootstrap})

    def create_topic(self, topic: str, partitions: int, settings: dict[str, str]) -> None:
        from confluent_kafka.admin import NewTopic

        new = NewTopic(topic, partitions, 1, config=settings)
        admin = self._admin()  # results come as long as it lives
        admin.create_topics([new])[topic].result(TIMEOUT_S)

    def delete_topic(self, topic: str) -> None:
        admin = self._admin()
        admin.delete_topics([topic])[topic].result(TIMEOUT_S)

    def add_partitions(self, topic: str, total: int) -> None:
        from confluent_kafka.admin import NewPartitions

        admin = self._admin()
        admin.create_partitions([NewPartitions(topic, total)])[topic].result(TIMEOUT_S)

    def describe_configs(self, topic: str) -> dict[str, str]:
        from confluent_kafka.admin import ConfigResource

        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        admin = self._admin()
        entries = admin.describe_configs([resource])[resource].result(TIMEOUT_S)
        return {name: entry.value for name, entry in entries.items()}

    def topics(self) -> dict[str, int]:
        admin = self._admin()
        found = admin.list_topics(timeout=TIMEOUT_S).topics
        return {name: len(topic.partitions) for name, topic in found.items()}


class KafkaPythonClient(Client):
    name = "kafka-python"

    def produce(
        self,
        topic: str,
        records: Sequence[Sent],
        *,
        codec: str = "none",
        acks: int = -1,
        idempotent: bool = False,
    ) -> list[int]:
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            acks=acks,
            enable_idempotence=idempotent,
            max_request_size=10_000_000,
        )
        try:
            futures = [
                producer.send(
                    topic,
                    record.value,
                    record.key,
                    list(record.headers),
                    partition=0,
                    timestamp_ms=record.timestamp_ms,
                )
                for record in records
            ]
            return [future.get(TIMEOUT_S).offset for future in futures]
        finally:
            producer.close(TIMEOUT_S)

    def _consumer(self) -> Any:
        from kafka import KafkaConsumer

        return KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            consumer_timeout_ms=int(TIMEOUT_S * 1000),
        )

    def read(self, topic: str, offset: int, count: int) -> list[Seen]:
        from kafka import TopicPartition

        consumer = self._consumer()
        try:
            place = TopicPartition(topic, 0)
            consumer.assign([place])
            consumer.seek(place, offset)
            records = [next(consumer) for _ in range(count)]
            return [
                Seen(each.offset, each.value, each.key, tuple(each.headers), each.timestamp)
                for each in records
            ]
        finally:
            consumer.close()

    def offset_at(self, topic: str, timestamp_ms: int) -> int | None:
        from kafka import TopicPartition

        consumer = self._consumer()
        try:
            place = TopicPartition(topic, 0)
            found = consumer.offsets_for_times({place: timestamp_ms})[place]
            return None if found is None else found.offset
        finally:
            consumer.close()

    def ends(self, topic: str) -> tuple[int, int]:
        from kafka import TopicPartition

        consumer = self._consumer()
        try:
            place = TopicPartition(topic, 0)
            return consumer.beginning_offsets([place])[place], consumer.end_offsets([place])[place]
        finally:
            consumer.close()

    def _with_admin(self, use: Callable[[Any], Result]) -> Result:
        from kafka.admin import KafkaAdminClient

        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            return use(admin)
        finally:
            admin.close()

    def create_topic(self, topic: str, partitions: int, settings: dict[str, str]) -> None:
        from kafka.admin import NewTopic

        new = NewTopic(topic, partitions, 1, topic_configs=settings)
        self._with_admin(lambda admin: admin.create_topics([new]))

    def delete_topic(self, topic: str) -> None:
        self._with_admin(lambda admin: admin.delete_topics([topic]))

    def add_partitions(self, topic: str, total: int) -> None:
        from kafka.admin import NewPartitions

        self._with_admin(lambda admin: admin.create_partitions({topic: NewPartitions(total)}))

    def describe_configs(self, topic: str) -> dict[str, str]:
        from kafka.admin import ConfigResource, ConfigResourceType

        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = self._with_admin(
            lambda admin: admin.describe_configs([resource], config_filter="all")
        )
        return {name: entry["value"] for name, entry in found["topic"][topic].items()}

    def topics(self) -> dict[str, int]:
        found = self._with_admin(lambda admin: admin.describe_topics())
        return {each["name"]: len(each["partitions"]) for each in found}


class AiokafkaClient(Client):
    name = "aiokafka"

    def produce(
        self,
        topic: str,
        records: Sequence[Sent],
        *,
        codec: str = "none",
        acks: int = -1,
        idempotent: bool = False,
    ) -> list[int]:
        async def run() -> list[int]:
            from aiokafka import AIOKafkaProducer

            producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap,
                compression_type=None if codec == "none" else codec,
                acks="all" if acks == -1 else acks,
                enable_idempotence=idempotent,
                max_request_size=10_000_000,
            )
            await producer.start()
            try:
                futures = [
                    await producer.send(
                        topic,
                        record.value,
                        record.key,
                        partition=0,
                        timestamp_ms=record.timestamp_ms,
                        headers=list(record.headers),
                    )
                    for record in records
                ]
                done = await asyncio.wait_for(asyncio.gather(*futures), TIMEOUT_S)
                return [-1 if each is None else each.offset for each in done]
            finally:
                await producer.stop()

        return asyncio.run(run())

    def _with_consumer(self, use: Callable[[Any], Awaitable[Result]]) -> Result:
        async def run() -> Result:
            from aiokafka import AIOKafkaConsumer

            consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
            await consumer.start()
            try:
                return await asyncio.wait_for(use(consumer), TIMEOUT_S)
            finally:
                await consumer.stop()

        return asyncio.run(run())

    def read(self, topic: str, offset: int, count: int) -> list[Seen]:
        async def use(consumer: Any) -> list[Seen]:
            from aiokafka import TopicPartition

            place = TopicPartition(topic, 0)
            consumer.assign([place])
            consumer.seek(place, offset)
            records = [await consumer.getone() for _ in range(count)]
            return [
                Seen(each.offset, each.value, each.key, tuple(each.headers), each.timestamp)
                for each in records
            ]

        return self._with_consumer(use)

    def offset_at(self, topic: str, timestamp_ms: int) -> int | None:
        async def use(consumer: Any) -> int | None:
            from aiokafka import TopicPartition

            place = TopicPartition(topic, 0)
            found = (await consumer.offsets_for_times({place: timestamp_ms}))[place]
            return None if found is None else found.offset

        return self._with_consumer(use)

    def ends(self, topic: str) -> tuple[int, int]:
        async def use(consumer: Any) -> tuple[int, int]:
            from aiokafka import TopicPartition

            place = TopicPartition(topic, 0)
            low = await consumer.beginning_offsets([place])
            high = await consumer.end_offsets([place])
            return low[place], high[place]

        return self._with_consumer(use)

    def _with_admin(self, use: Callable[[Any], Awaitable[Result]]) -> Result:
        async def run() -> Result:
            from aiokafka.admin import AIOKafkaAdminClient

            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                return await asyncio.wait_for(use(admin), TIMEOUT_S)
            finally:
                await admin.close()

        return asyncio.run(run())

    def create_topic(self, topic: str, partitions: int, settings: dict[str, str]) -> None:
        async def use(admin: Any) -> None:
            from aiokafka.admin import NewTopic

            answer = await admin.create_topics(
                [NewTopic(topic, partitions, 1, topic_configs=settings)]
            )
            _raise_first(answer.topic_errors)

        self._with_admin(use)

    def delete_topic(self, topic: str) -> None:
        async def use(admin: Any) -> None:
            _raise_first((await admin.delete_topics([topic])).topic_error_codes)

        self._with_admin(use)

    def add_partitions(self, topic: str, total: int) -> None:
        async def use(admin: Any) -> None:
            from aiokafka.admin import NewPartitions

            _raise_first(
                (await admin.create_partitions({topic: NewPartitions(total)})).topic_errors
            )

        self._with_admin(use)

    def describe_configs(self, topic: str) -> dict[str, str]:
        async def use(admin: Any) -> dict[str, str]:
            from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            (answer,) = await admin.describe_configs([resource])
            return {entry[0]: entry[1] for entry in answer.resources[0][4]}

        return self._with_admin(use)

    def topics(self) -> dict[str, int]:
        async def use(admin: Any) -> dict[str, int]:
            found = await admin.describe_topics()
            return {each["topic"]: len(each["partitions"]) for each in found}

        return self._with_admin(use)


def _raise_first(errors: Sequence[Any]) -> None:
    for error in errors:
        if error[1] != 0:
            raise RuntimeError(f"error code {error[1]}")


CLIENTS: tuple[type[Client], ...] = (ConfluentClient, KafkaPythonClient, AiokafkaClient)
