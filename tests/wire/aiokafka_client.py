"""aiokafka behind the verbs of `Client`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from tests.wire.client import TIMEOUT_S, Client, Seen, Sent, raise_first

Result = TypeVar("Result")


def with_admin(bootstrap: str, use: Callable[[Any], Awaitable[Result]]) -> Result:
    """What `use` makes of a client for administration."""

    async def run() -> Result:
        from aiokafka.admin import AIOKafkaAdminClient

        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            return await asyncio.wait_for(use(admin), TIMEOUT_S)
        finally:
            await admin.close()

    return asyncio.run(run())


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
        return with_admin(self.bootstrap, use)

    def create_topic(self, topic: str, partitions: int, settings: dict[str, str]) -> None:
        async def use(admin: Any) -> None:
            from aiokafka.admin import NewTopic

            answer = await admin.create_topics(
                [NewTopic(topic, partitions, 1, topic_configs=settings)]
            )
            raise_first(answer.topic_errors)

        self._with_admin(use)

    def delete_topic(self, topic: str) -> None:
        async def use(admin: Any) -> None:
            raise_first((await admin.delete_topics([topic])).topic_error_codes)

        self._with_admin(use)

    def add_partitions(self, topic: str, total: int) -> None:
        async def use(admin: Any) -> None:
            from aiokafka.admin import NewPartitions

            raise_first((await admin.create_partitions({topic: NewPartitions(total)})).topic_errors)

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
