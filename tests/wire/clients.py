"""Three of Kafka's clients, unchanged, behind the same few verbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.wire.aiokafka_client import AiokafkaClient
from tests.wire.client import TIMEOUT_S, Client, Seen, Sent

Result = TypeVar("Result")


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


CLIENTS: tuple[type[Client], ...] = (ConfluentClient, KafkaPythonClient, AiokafkaClient)
