"""What one fetch hands to a `RecordStream`, and the errors that are met while it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from streamlog.clients.serialization import path_in
from streamlog.errors import CorruptRecordError, DecompressionError, SerializationError

if TYPE_CHECKING:
    from streamlog.record.kernel import Record

#: The end of a fetch that has none.
NO_END = 2**63 - 1

Deserializer = Callable[[bytes], Any]


class Fetch(NamedTuple):
    """Whole record batches of one partition, as they lie in the file.

    The records wanted are those from `position` up to, not including, `end`. `view` starts with
    the batch that holds `position`; `file` and `file_position` say where it was read.
    """

    view: memoryview
    topic: str
    partition: int
    position: int
    end: int = NO_END
    file: str | None = None
    file_position: int = 0


class FetchSource(Protocol):
    """Where a `RecordStream` gets its next data from. It must not hold the stream."""

    def next_fetch(self, reached: int, /) -> Fetch | None:
        """The next data, waiting for it where the source waits; None ends the iteration.

        `reached` is the offset behind what was handed out of the fetch before.
        """


def located(
    error: CorruptRecordError | DecompressionError, fetch: Fetch, at: int, offset: int
) -> CorruptRecordError | DecompressionError:
    """The same error, naming topic, partition, file, position in it and offset.

    `at` is the position of the batch in the fetch, `offset` the consumer's.
    """
    position = fetch.file_position + at
    where = f" in {fetch.file} at byte {position}" if fetch.file else ""
    context = error.context | {
        "topic": fetch.topic,
        "partition": fetch.partition,
        "file": fetch.file,
        "position": position,
        "offset": offset,
    }
    reason = context.get("reason", error.message)
    return type(error)(
        f"{fetch.topic}-{fetch.partition}, offset {offset}{where}: {reason}; "
        "seek past it to go on, `streamlog verify` shows what else is damaged",
        **context,
    )


def deserialize(
    record: Record, key_deserializer: Deserializer | None, value_deserializer: Deserializer | None
) -> Record:
    """The record with its key and value turned into objects; None stays None.

    Raises `SerializationError` naming topic, partition, offset and field, the cause chained.
    """
    key, value = record.key, record.value
    if key_deserializer is not None and key is not None:
        key = _deserialize(record, "key", key_deserializer, key)
    if value_deserializer is not None and value is not None:
        value = _deserialize(record, "value", value_deserializer, value)
    return type(record)(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        timestamp_type=record.timestamp_type,
        key=key,
        value=value,
        headers=record.headers,
        leader_epoch=record.leader_epoch,
    )


def _deserialize(record: Record, field: str, deserializer: Deserializer, data: bytes) -> Any:
    try:
        return deserializer(data)
    # Whatever somebody else's function raises, the record that it was about has to be named.
    except Exception as error:
        raise SerializationError(
            f"the {field} of {record.topic}-{record.partition} at offset {record.offset} could not "
            f"be deserialized: {error!r}; seek to {record.offset + 1} to pass over it",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            field=field,
            path=path_in(error),
        ) from error
