"""What `produce` does with records: sends them, several chunks in flight, and counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from streamlog.errors import SendError, TopicExistsError, UnknownTopicError

if TYPE_CHECKING:
    from streamlog.cli.incoming import Chunk, Headers
    from streamlog.clients.producer import Producer
    from streamlog.clients.stream_log import StreamLog

_IN_FLIGHT = 8


class Constants(NamedTuple):
    """What every record has."""

    key: bytes | None
    headers: Headers
    timestamp_ms: int | None
    partition: int | None


class Sender:
    """Sends chunks in their order. `written` counts the records that are as durable as asked."""

    def __init__(self, producer: Producer, topic: str, constants: Constants) -> None:
        self._producer = producer
        self._topic = topic
        self._constants = constants
        self._waiting: deque[Callable[[], int]] = deque()  # each waits, then says how many it was
        self.written = 0
        self.interrupted = False

    def send(self, chunk: Chunk) -> None:
        """Send a chunk. Raises `SendError` naming the line of the first record that is refused;
        what is before it is sent.
        """
        if not chunk.values:
            return
        if self._constants.headers or chunk.headers or chunk.partitions:
            self._send_singly(chunk)
        else:
            self._send_together(chunk)
        while len(self._waiting) > _IN_FLIGHT:
            self._settle()

    def finish(self) -> None:
        """Wait until everything is as durable as it should be, and close the producer."""
        try:
            while self._waiting:
                self._settle()
        finally:
            self._producer.close()

    def _settle(self) -> None:
        self.written += self._waiting.popleft()()

    def _send_together(self, chunk: Chunk) -> None:
        constants, count = self._constants, len(chunk.values)
        keys = chunk.keys if constants.key is None else [constants.key] * count
        timestamps = chunk.timestamps
        if constants.timestamp_ms is not None:
            timestamps = [constants.timestamp_ms] * count
        try:
            future = self._producer.send_many(
                self._topic, chunk.values, keys, constants.partition, timestamps
            )
        except SendError as error:
            if error.outcome != "not_written":
                raise
            self._send_singly(chunk)  # raises for the one that is refused, by its line
            return
        self._waiting.append(lambda: sum(batch.count for batch in future.result()))

    def _send_singly(self, chunk: Chunk) -> None:
        constants = self._constants
        futures = []
        try:
            for index, value in enumerate(chunk.values):
                timestamp = constants.timestamp_ms
                if timestamp is None and chunk.timestamps is not None:
                    timestamp = chunk.timestamps[index]
                key = constants.key
                if key is None and chunk.keys is not None:
                    key = chunk.keys[index]
                partition = constants.partition
                if chunk.partitions is not None:
                    partition = chunk.partitions[index]
                headers = constants.headers + (chunk.headers[index] if chunk.headers else [])
                futures.append(
                    self._producer.send(self._topic, value, key, headers, partition, timestamp)
                )
        except (SendError, UnknownTopicError) as error:
            text = f"line {chunk.lines[len(futures)]}: {error}"
            raise type(error)(text, **error.context) from error
        finally:
            self._waiting.append(lambda: sum(future.result() is not None for future in futures))


def prepare_topic(log: StreamLog, topic: str, partitions: int, *, create: bool) -> None:
    """See that the topic is there. Raises `UnknownTopicError` unless it may be created."""
    try:
        log.admin.describe_topics([topic])
    except UnknownTopicError as error:
        if not create:
            error.add_note("(--create makes it)")
            raise
        try:
            log.create_topic(topic, partitions)
        except TopicExistsError:
            if topic not in log.topics():  # it collides with another's name
                raise
