"""Typed topics for tasks: what `AsyncStreamLog.topic()` gives. See `streamlog.clients.typed`."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast

V = TypeVar("V")
K = TypeVar("K")
V_contra = TypeVar("V_contra", contravariant=True)
K_contra = TypeVar("K_contra", contravariant=True)

if TYPE_CHECKING:
    from streamlog.clients.accumulators import RecordFuture
    from streamlog.clients.asynchronous.consumer import AsyncConsumer
    from streamlog.clients.asynchronous.log import AsyncStreamLog
    from streamlog.clients.asynchronous.producer import AsyncProducer
    from streamlog.clients.asynchronous.reading import AsyncReading
    from streamlog.clients.futures import SendManyFuture
    from streamlog.clients.typed import TypedRecord, TypedTopic
    from streamlog.types import TopicPartition

    class AsyncTypedRecords(AsyncReading, Generic[V, K]):
        """What is iterated: typed records."""

        def __anext__(self) -> Coroutine[Any, Any, TypedRecord[V, K]]: ...

    class AsyncTypedConsumer(AsyncConsumer, Generic[V, K]):
        """An `AsyncConsumer` whose records' values are `V` or None (a tombstone)."""

        def __aiter__(self) -> AsyncTypedRecords[V, K]: ...
        def __anext__(self) -> Coroutine[Any, Any, TypedRecord[V, K]]: ...
        async def poll(  # type: ignore[override]  # as of `TypedConsumer`
            self, timeout_ms: float | None = None, max_records: int | None = None
        ) -> list[TypedRecord[V, K]]: ...
        async def poll_by_partition(  # type: ignore[override]
            self, timeout_ms: float | None = None, max_records: int | None = None
        ) -> dict[TopicPartition, list[TypedRecord[V, K]]]: ...


class _Send(Protocol[V_contra, K_contra]):
    def __call__(
        self,
        value: V_contra | None = None,
        key: K_contra | None = None,
        headers: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Coroutine[Any, Any, RecordFuture]: ...


class AsyncTypedProducer(Generic[V, K]):
    """`TypedProducer` for tasks: made by `AsyncTypedTopic.producer()`.

    `await send(value, key=None, headers=None, partition=None, timestamp_ms=None)` is
    `AsyncProducer.send` without the topic.
    """

    __slots__ = ("_producer", "_topic", "send")

    def __init__(self, producer: AsyncProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.send = cast("_Send[V, K]", partial(producer.send, topic))

    async def send_many(
        self,
        values: Iterable[V | None],
        keys: Sequence[K | None] | None = None,
        partition: int | None = None,
        timestamps_ms: Sequence[int | None] | None = None,
    ) -> SendManyFuture:
        """As `TypedProducer.send_many`."""
        return await self._producer.send_many(self._topic, values, keys, partition, timestamps_ms)

    async def flush(self) -> None:
        """As `AsyncProducer.flush`."""
        await self._producer.flush()

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # as the twin
        """As `AsyncProducer.close`."""
        await self._producer.close(timeout)

    async def __aenter__(self) -> Self:
        await self._producer.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._producer.__aexit__(kind, error, traceback)


class AsyncTypedTopic(Generic[V, K]):
    """`TypedTopic` for tasks; made by `AsyncStreamLog.topic()`."""

    __slots__ = ("_log", "_topic", "name")

    def __init__(self, log: AsyncStreamLog, topic: TypedTopic[V, K]) -> None:
        self._log = log
        self._topic = topic
        #: The topic's name.
        self.name = topic.name

    def producer(self, **settings: Any) -> AsyncTypedProducer[V, K]:
        """A producer of this topic, with the settings of `StreamLog.producer()`."""
        producer = self._log.producer(**{**self._topic.serializers(), **settings})
        return AsyncTypedProducer(producer, self.name)

    def consumer(self, **settings: Any) -> AsyncTypedConsumer[V, K]:
        """A consumer of all partitions, with the settings of `StreamLog.consumer()`."""
        consumer = self._log.consumer(self.name, **self._topic.deserializers(), **settings)
        return cast("AsyncTypedConsumer[V, K]", consumer)

    def read(
        self,
        partition: int | None = None,
        start: int = 0,
        end: int | None = None,
        *,
        start_time_ms: int | None = None,
        end_time_ms: int | None = None,
    ) -> AsyncTypedRecords[V, K]:
        """As `AsyncStreamLog.read()`: the records that are there now."""
        records = self._log.read(
            self.name,
            partition,
            start,
            end,
            start_time_ms=start_time_ms,
            end_time_ms=end_time_ms,
            **self._topic.deserializers(),
        )
        return cast("AsyncTypedRecords[V, K]", records)

    def __repr__(self) -> str:
        return repr(self._topic).replace("TypedTopic", "AsyncTypedTopic")
