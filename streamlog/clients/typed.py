"""Typed topics: records whose values, and keys if wished, are Python objects of one type.

`StreamLog.topic()` gives a `TypedTopic`, which gives producers and consumers that know the type.
They are the ordinary ones with serializers: what is written is JSON or MessagePack, as everybody
else's clients read and write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast

V = TypeVar("V")
K = TypeVar("K")
V_contra = TypeVar("V_contra", contravariant=True)
K_contra = TypeVar("K_contra", contravariant=True)

if TYPE_CHECKING:
    from streamlog.clients.accumulators import RecordFuture
    from streamlog.clients.consumer import Consumer
    from streamlog.clients.futures import SendManyFuture
    from streamlog.clients.producer import Producer
    from streamlog.clients.stream_log import StreamLog
    from streamlog.clients.type_codecs import TypeCodec
    from streamlog.record.kernel import Record
    from streamlog.types import TopicPartition

    class TypedRecord(Record, Generic[V, K], frozen=True):
        """A `Record` whose `value` is a `V` or None, and whose `key` is a `K` or None."""

        key: K | None
        value: V | None

    class TypedConsumer(Consumer, Generic[V, K]):
        """A `Consumer` whose records' values are `V` or None (a tombstone)."""

        def __iter__(self) -> Iterator[TypedRecord[V, K]]: ...
        def __next__(self) -> TypedRecord[V, K]: ...
        # Lists and dicts are invariant; but nobody puts another kind of record into one.
        def poll(  # type: ignore[override]
            self, timeout_ms: float | None = None, max_records: int | None = None
        ) -> list[TypedRecord[V, K]]: ...
        def poll_by_partition(  # type: ignore[override]
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
    ) -> RecordFuture: ...


class TypedProducer(Generic[V, K]):
    """Writes values of one type to one topic; made by `TypedTopic.producer()`. Thread-safe.

    `send(value, key=None, headers=None, partition=None, timestamp_ms=None)` is `Producer.send`
    without the topic. A value of another type, or one whose fields are not what the type says,
    raises `SerializationError` and is not written. None is a tombstone.
    """

    __slots__ = ("_producer", "_topic", "send")

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.send = cast("_Send[V, K]", partial(producer.send, topic))

    def send_many(
        self,
        values: Iterable[V | None],
        keys: Sequence[K | None] | None = None,
        partition: int | None = None,
        timestamps_ms: Sequence[int | None] | None = None,
    ) -> SendManyFuture:
        """As `Producer.send_many`; an error names the position (`values[3]`)."""
        return self._producer.send_many(self._topic, values, keys, partition, timestamps_ms)

    def flush(self) -> None:
        """As `Producer.flush`."""
        self._producer.flush()

    def close(self, timeout: float | None = None) -> None:
        """As `Producer.close`."""
        self._producer.close(timeout)

    def __enter__(self) -> Self:
        self._producer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._producer.__exit__(kind, error, traceback)


class TypedTopic(Generic[V, K]):
    """A topic whose values are objects of one type; made by `StreamLog.topic()`.

    Records that cannot be read as the type raise `SerializationError` naming topic, partition,
    offset, `field` ("key" or "value") and, where the data is well-formed, the `path` inside it
    (`$.amount`); the position stays before that record.
    """

    __slots__ = ("_keys", "_log", "_values", "name")

    def __init__(self, log: StreamLog, name: str, values: TypeCodec[V], keys: TypeCodec[K]) -> None:
        self._log = log
        self._values = values
        self._keys = keys
        #: The topic's name.
        self.name = name

    def producer(self, **settings: Any) -> TypedProducer[V, K]:
        """A producer of this topic, with the settings of `StreamLog.producer()`."""
        producer = self._log.producer(**{**self.serializers(), **settings})
        return TypedProducer(producer, self.name)

    def consumer(self, **settings: Any) -> TypedConsumer[V, K]:
        """A consumer of all partitions, with the settings of `StreamLog.consumer()`."""
        consumer = self._log.consumer(self.name, **self.deserializers(), **settings)
        return cast("TypedConsumer[V, K]", consumer)

    def read(
        self,
        partition: int | None = None,
        start: int = 0,
        end: int | None = None,
        *,
        start_time_ms: int | None = None,
        end_time_ms: int | None = None,
    ) -> Iterator[TypedRecord[V, K]]:
        """As `StreamLog.read()`: the records that are there now."""
        records = self._log.read(
            self.name,
            partition,
            start,
            end,
            start_time_ms=start_time_ms,
            end_time_ms=end_time_ms,
            **self.deserializers(),
        )
        return cast("Iterator[TypedRecord[V, K]]", records)

    def serializers(self) -> dict[str, Any]:
        """The settings of a producer that knows the type."""
        return {"value_serializer": self._values.encode, "key_serializer": self._keys.encode}

    def deserializers(self) -> dict[str, Any]:
        """The settings of a consumer that knows the type."""
        return {
            "value_deserializer": self._values.decode,
            "key_deserializer": self._keys.decode,
        }

    def __repr__(self) -> str:
        return f"<TypedTopic {self.name} of {self._values}>"
