"""Every exception that streamlog raises, in one file.

    StreamlogError
    ├── ConfigError                     a setting, argument or name that cannot be honoured
    │   ├── UnknownSettingError         no setting of that name; the nearest is named
    │   ├── InvalidTopicError           a topic name outside Kafka's alphabet or length
    │   └── UnsupportedFeatureError     named, but not offered by this version or platform
    ├── UsageError                      a call at the wrong time or from the wrong place
    │   ├── ClosedError                 the log, producer or consumer is closed
    │   ├── ForkedHandleError           a handle of the parent process used in a forked child
    │   ├── ConcurrentUseError          one consumer used by two threads at once
    │   └── ReadOnlyError               a change asked of a log that is open for reading
    ├── TopicError
    │   ├── UnknownTopicError           no such topic or partition; the nearest name is given
    │   ├── TopicExistsError            it is there already, or collides with one that is
    │   └── PolicyViolationError        the topic's settings do not allow it
    ├── SendError                       a record that was not accepted; carries `outcome`
    │   ├── RecordTooLargeError
    │   ├── InvalidTimestampError
    │   ├── InvalidRecordError          e.g. no key for a compacted topic
    │   ├── SerializationError          a (de)serializer failed; the cause is chained
    │   ├── BufferExhaustedError        no room within `max_block_ms`
    │   ├── OutOfOrderSequenceError     idempotent producer: a gap in the sequence
    │   ├── InvalidProducerEpochError   idempotent producer: an older epoch
    │   └── DeliveryError               failures gathered by flush(), close() or send_many()
    ├── GroupError                      a group that does not allow it, or is not as it has to be
    │   ├── MemberFencedError           the consumer is no member any more: others have its work
    │   ├── UnknownGroupError           no such group
    │   └── GroupNotEmptyError          it has members, and must have none for this
    ├── PositionError
    │   ├── OffsetOutOfRangeError       before the log's start or behind its end
    │   └── LogTruncatedError           a position beyond a log that lost its tail
    ├── StorageError                    the files, or the machine under them
    │   ├── CorruptRecordError          bytes that do not check; nothing was cut
    │   ├── CorruptDirectoryError       metadata or layout that does not make sense
    │   ├── FailedWriteError            (a SendError as well: it carries `outcome`)
    │   │   ├── PartitionPoisonedError  a sync failed; writes are refused until recovered
    │   │   ├── DiskFullError           no space or quota; nothing was written
    │   │   ├── InputOutputError        the operating system reported an I/O error
    │   │   └── LockTimeoutError        another process holds a lock for too long
    │   ├── DirectoryInUseError         held by a Kafka broker or an incompatible opener
    │   ├── NotALogDirectoryError       something else lives there
    │   ├── BackupDestinationError      no place for a backup of this log; nothing was changed
    │   └── UnsupportedFormatError      written by a newer streamlog, or for other bytes
    ├── DecompressionError              a compressed payload that is broken or too large
    ├── SchemaError                     a protocol message that does not fit its definition
    ├── ProtocolError                   bytes of a connection that break Kafka's protocol
    │   ├── NotKafkaError               TLS, HTTP or noise where a frame should begin
    │   ├── FrameTooLargeError          a frame of more bytes than the connection may send
    │   └── UnsupportedVersionError     an API, or a version of it, that is not offered
    └── BrokerError                     an error code in an answer that has no class above

Each carries the values that caused it as attributes, `retriable`, Kafka's error code where
there is one (`code`), and says in its text what to do. A failed send also carries `outcome`:
`"not_written"` (the record is not in the log) or `"unknown"` (after a failed sync nobody can
know).
"""

from __future__ import annotations

from typing import Any, Literal

Outcome = Literal["not_written", "unknown"]


class StreamlogError(Exception):
    """The root. `context` holds the values that caused the error, by name.

    Where it has `code` or `retriable`, as for what a broker answered, these are the error's.
    """

    code: int | None = None
    retriable: bool = False

    def __init__(self, message: str, /, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.context = context
        if "code" in context:
            self.code = context["code"]
        if "retriable" in context:
            self.retriable = context["retriable"]

    def __getattr__(self, name: str) -> Any:
        context = self.__dict__.get("context")
        if context is not None and name in context:
            return context[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.context))


def _rebuild(kind: type[StreamlogError], message: str, context: dict[str, Any]) -> StreamlogError:
    return kind(message, **context)


class ConfigError(StreamlogError, ValueError):
    """A setting, argument or name that cannot be honoured."""

    code = 40


class UnknownSettingError(ConfigError):
    """No setting of that name. `name`, `nearest`."""


class InvalidTopicError(ConfigError):
    """A topic name outside Kafka's alphabet `[a-zA-Z0-9._-]` or longer than 249. `topic`."""

    code = 17


class UnsupportedFeatureError(ConfigError):
    """Known by name, but not offered by this version or platform. `feature`."""


class UsageError(StreamlogError, RuntimeError):
    """A call at the wrong time or from the wrong place."""


class ClosedError(UsageError):
    """The handle is closed."""


class ForkedHandleError(UsageError):
    """A producer, consumer or future of the parent process, used in a forked child."""


class ConcurrentUseError(UsageError):
    """One consumer used by two threads at the same time."""


class ReadOnlyError(UsageError):
    """A change asked of a log that is open for reading only."""

    code = 44


class TopicError(StreamlogError):
    """Something about a topic as a whole. `topic`."""


class UnknownTopicError(TopicError, LookupError):
    """No such topic or partition. `topic`, `partition`, `nearest`."""

    code = 3


class TopicExistsError(TopicError):
    """A topic of that name, or one that collides with it (`.` against `_`), exists."""

    code = 36


class PolicyViolationError(TopicError):
    """The topic's settings do not allow it: deleting records of a compacted topic. `partition`."""

    code = 44


class SendError(StreamlogError):
    """A record that was not accepted. `outcome` says whether it may be in the log."""

    def __init__(
        self, message: str, /, *, outcome: Outcome = "not_written", **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.outcome: Outcome = outcome
        self.context["outcome"] = outcome


class RecordTooLargeError(SendError):
    """Larger than `max_message_bytes`, or than a whole segment. `size`, `limit`."""

    code = 10


class InvalidTimestampError(SendError):
    """Outside `message_timestamp_before_max_ms` / `message_timestamp_after_max_ms`."""

    code = 32


class InvalidRecordError(SendError):
    """The record breaks a rule of its topic. `topic`, `partition`."""

    code = 87


class SerializationError(SendError):
    """A serializer or deserializer failed; the cause is chained. `topic`, `field`.

    `path` is where in the key or value, if its type said so (`$.amount`).
    """


class BufferExhaustedError(SendError):
    """No room in `buffer_memory` within `max_block_ms`."""

    retriable = True


class OutOfOrderSequenceError(SendError):
    """An idempotent producer's batch does not follow its last one. `producer_id`."""

    code = 45


class InvalidProducerEpochError(SendError):
    """A batch with an older epoch than its producer id already used. `producer_id`."""

    code = 47


class DeliveryError(SendError):
    """Records that could not be delivered. `failures`: the errors, one a batch."""


class GroupError(StreamlogError):
    """What the coordinator of a group refuses. `group_id`, `code`, `code_name`."""


class MemberFencedError(GroupError):
    """The consumer is no member of its group any more: it did not poll for `max_poll_interval_ms`,
    or was removed. What it was assigned is others' now, and nothing was committed. Its next poll
    joins again. `group_id`, `member_id`.
    """

    code = 25


class UnknownGroupError(GroupError, LookupError):
    """No such group. `group_id`."""

    code = 69


class GroupNotEmptyError(GroupError):
    """The group has members, and must have none for this. `group_id`."""

    code = 68


class PositionError(StreamlogError):
    """A position that the partition does not have. `topic`, `partition`, `offset`."""


class OffsetOutOfRangeError(PositionError):
    """Before the log's start or behind its end. `offset`, `log_start`, `log_end`."""

    code = 1


class LogTruncatedError(PositionError):
    """The log lost its tail in a crash, and this position was in it. `offset`, `log_end`."""

    code = 1


class StorageError(StreamlogError, OSError):
    """The files, or the machine under them."""

    code = 56

    def __init__(self, message: str, /, **context: Any) -> None:
        StreamlogError.__init__(self, message, **context)
        if "errno" in context:
            self.errno = context["errno"]

    def __str__(self) -> str:
        return self.message


class CorruptRecordError(StorageError):
    """Bytes that do not check. `topic`, `partition`, `file`, `position`, `offset`."""

    code = 2


class CorruptDirectoryError(StorageError):
    """Metadata or a layout that does not make sense. `file`."""


class FailedWriteError(StorageError, SendError):
    """A send that the files, or the machine under them, did not take. `outcome`."""

    def __init__(
        self, message: str, /, *, outcome: Outcome = "not_written", **context: Any
    ) -> None:
        StorageError.__init__(self, message, **context)
        self.outcome: Outcome = outcome
        self.context["outcome"] = outcome


class PartitionPoisonedError(FailedWriteError):
    """A sync of this partition failed: what was unsynced may be lost; writes are refused.

    `outcome` is "unknown" for the records whose sync failed and "not_written" for those
    refused afterwards. Recover with `admin.recover_partition(topic, partition)`.
    """


class DiskFullError(FailedWriteError):
    """No space or quota left; nothing was written. `path`."""

    retriable = True


class InputOutputError(FailedWriteError):
    """The operating system reported an I/O error. `path`, `errno`, `outcome`."""


class LockTimeoutError(FailedWriteError):
    """Another process holds a lock for longer than `lock_timeout_ms`. `pid`, `path`."""

    code = 7
    retriable = True


class DirectoryInUseError(StorageError):
    """A Kafka broker, or an opener that excludes this one, holds the directory. `pid`."""


class NotALogDirectoryError(StorageError):
    """Something that is not a log directory lives at that path. `path`."""


class BackupDestinationError(StorageError):
    """No place for a backup of this log: what is there is something else. `path`."""


class UnsupportedFormatError(StorageError):
    """Written by a newer format than this version knows. `found`, `known`."""


class DecompressionError(StreamlogError):
    """A compressed payload that is broken, or larger than allowed. `codec`, `limit`."""

    code = 2


class SchemaError(StreamlogError, ValueError):
    """A message that does not fit its definition. `message_name`, `field`, `version`."""

    code = 42


class ProtocolError(StreamlogError):
    """Bytes of a connection that break Kafka's protocol: the connection is of no more use."""

    code = 42


class NotKafkaError(ProtocolError):
    """Something else speaks where a frame should begin. `found` says what it looks like."""


class FrameTooLargeError(ProtocolError):
    """A frame of more bytes than the connection may send at this time. `size`, `limit`."""


class UnsupportedVersionError(ProtocolError):
    """An API, or a version of it, that is not offered. `api_key`, `version`."""

    code = 35


class BrokerError(StreamlogError):
    """An error in a broker's answer that no class above stands for. `code`, `code_name`."""
