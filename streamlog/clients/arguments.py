"""What the arguments of `send()` and `send_many()` may be, and what callers are told otherwise.

Both kernels call these only where their own quick check has not already said yes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streamlog.clients.serialization import path_in
from streamlog.errors import (
    InvalidRecordError,
    InvalidTimestampError,
    RecordTooLargeError,
    SendError,
    SerializationError,
    UnknownTopicError,
)
from streamlog.record.byteslike import not_bytes_or_none
from streamlog.record.layout import HEADER_SIZE, MAX_INT64
from streamlog.record.varint import varint_size

if TYPE_CHECKING:
    from streamlog.clients.accumulators import TopicTarget


def raw(value: Any, name: str) -> bytes:
    """The bytes of a bytes-like `value`, copied: the caller may change it after `send()`.

    Raises `TypeError` naming the argument and the type received.
    """
    if isinstance(value, bytes):
        return bytes(value)
    try:
        return memoryview(value).tobytes()
    except TypeError:
        raise _not_bytes(name, value) from None


def byte_size(value: Any, name: str) -> int:
    """The bytes of a bytes-like `value`. Raises `TypeError` naming the argument."""
    try:
        return memoryview(value).nbytes
    except TypeError:
        raise _not_bytes(name, value) from None


def _not_bytes(name: str, value: Any) -> TypeError:
    serializer = "key_serializer" if name.startswith("key") else "value_serializer"
    remedy = f"encode it, or give the producer a {serializer}"
    return TypeError(f"{not_bytes_or_none(name, value)}: {remedy}")


def serialized(
    serializer: Callable[[Any], bytes | None], topic: str, field: str, value: Any
) -> bytes | None:
    """What `serializer` makes of a key or value; None stays None, as in Kafka's clients.

    Raises `SerializationError` chaining what it raised, or naming what it returned.
    """
    if value is None:
        return None
    try:
        result = serializer(value)
    except Exception as error:
        raise SerializationError(
            f"the {field} serializer of topic {topic!r} failed: {error!r}",
            topic=topic,
            field=field,
            path=path_in(error),
        ) from error
    if result is None or isinstance(result, bytes | bytearray | memoryview):
        return result if result is None else bytes(result)
    raise SerializationError(
        f"the {field} serializer of topic {topic!r} must return bytes or None, "
        f"not {type(result).__name__}",
        topic=topic,
        field=field,
    )


def wrong_partition(target: TopicTarget, partition: object) -> Exception:
    """The error for a partition number that is not one, or that the topic does not have."""
    if isinstance(partition, bool) or not isinstance(partition, int):
        return TypeError(f"partition must be int or None, not {type(partition).__name__}")
    count = len(target.queues)
    return UnknownTopicError(
        f"topic {target.topic!r} has no partition {partition}: it has {count}, from 0",
        topic=target.topic,
        partition=partition,
        nearest=None,
    )


def custom_partition(
    partitioner: Callable[..., Any], target: TopicTarget, key: bytes | None, value: bytes | None
) -> int | None:
    """What the user's partitioner says; None leaves the choice to the sticky one.

    Raises `SendError` chaining what it raised, or naming what it returned.
    """
    count = len(target.queues)
    try:
        partition = partitioner(target.topic, key, value, count)
    except Exception as error:
        raise SendError(
            f"the partitioner failed for topic {target.topic!r}: {error!r}", topic=target.topic
        ) from error
    if partition is None:
        return None
    if isinstance(partition, bool) or not isinstance(partition, int):
        raise SendError(
            f"the partitioner must return int or None, not {type(partition).__name__}",
            topic=target.topic,
        )
    if not 0 <= partition < count:
        raise SendError(
            f"the partitioner returned {partition}; topic {target.topic!r} has {count} partitions",
            topic=target.topic,
            partition=partition,
        )
    return int(partition)


def checked_timestamp(target: TopicTarget, timestamp: object, now_ms: int, name: str) -> int:
    """A timestamp within the topic's bounds as they are now (KIP-937); else an error says why."""
    if isinstance(timestamp, bool) or not isinstance(timestamp, int):
        raise TypeError(
            f"{name} must be int (ms since 1970) or None, not {type(timestamp).__name__}"
        )
    if 0 <= timestamp <= MAX_INT64:
        _look_again(target)
        if target.append_time or (
            now_ms - timestamp <= target.before_max_ms and timestamp - now_ms <= target.after_max_ms
        ):
            return timestamp
        reason = f"it is more than message_timestamp_after_max_ms={target.after_max_ms} ahead"
        if timestamp < now_ms:
            reason = f"it is more than message_timestamp_before_max_ms={target.before_max_ms} ago"
    else:
        reason = "ms since 1970 are not negative and fit in 64 bits"
    raise InvalidTimestampError(
        f"{name}={timestamp} is not allowed for topic {target.topic!r}: {reason}",
        topic=target.topic,
        timestamp=timestamp,
        now_ms=now_ms,
    )


def check_key(target: TopicTarget) -> None:
    """Raise `InvalidRecordError` unless the topic, as it is now, takes records without a key."""
    _look_again(target)
    if target.requires_key:
        raise InvalidRecordError(
            f"topic {target.topic!r} is compacted (cleanup_policy): every record needs a key",
            topic=target.topic,
        )


def check_record_size(target: TopicTarget, fixed: int) -> None:
    """Raise `RecordTooLargeError` unless a batch of this record alone is allowed.

    `fixed` is the record's size without its length and its two deltas, which take one byte each
    in a batch of its own. Compressed batches are judged when they are compressed.
    """
    body = fixed + 2
    size = HEADER_SIZE + varint_size(body) + body
    if size <= target.record_limit:
        return
    _look_again(target)
    if size > target.record_limit:
        raise too_large(target.topic, size, target.record_limit)


def _look_again(target: TopicTarget) -> None:
    """Before something is refused: another process may have changed the topic's settings."""
    target.queues[0].accumulator.look_again(target)


def too_large(topic: str, size: int, limit: int) -> RecordTooLargeError:
    """The error for a batch that its topic does not take."""
    return RecordTooLargeError(
        f"{size} bytes in a batch are more than topic {topic!r} takes: max_message_bytes={limit}; "
        "raise it, or send smaller records",
        topic=topic,
        size=size,
        limit=limit,
    )
