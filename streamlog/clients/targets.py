"""What `send()` must know of a topic, and keeping it true while topics change.

A `TopicTarget` is resolved once and then used for every record. The metadata's version is
compared when a batch is opened and before it is appended; when it moved, the targets are brought
up to date in place: more partitions, other settings. A topic that went, or was created again, gets
another target, and what was queued for the old one fails: it is not for the new topic. What is
sent afterwards is: the old target takes no record more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import InvalidTopicError, UnknownTopicError
from streamlog.record.compression import GZIP, LZ4, NONE, ZSTD, codec_named
from streamlog.record.layout import MAX_INT32

if TYPE_CHECKING:
    from streamlog.clients.accumulators import TopicTarget
    from streamlog.config import ProducerConfig, TopicConfig
    from streamlog.types import TopicDescription


def refuse_internal(description: TopicDescription) -> None:
    """Raise `InvalidTopicError` for a topic that coordinators write, as Kafka does."""
    if description.internal:
        raise InvalidTopicError(
            f"topic {description.name!r} is internal: only coordinators write to it",
            topic=description.name,
        )


def fill_target(target: TopicTarget, config: TopicConfig, producer: ProducerConfig) -> None:
    """Take a topic's settings over into its target; id and queues are the caller's."""
    codec = _codec(config, producer)
    limit = config.max_batch_bytes
    target.config = config
    target.codec = codec
    target.level = _level(config, codec)
    target.batch_limit = min(producer.batch_size, limit)
    target.record_limit = limit if codec == NONE else MAX_INT32
    if target.gone:  # meanwhile
        retire(target)
    target.append_time = config.message_timestamp_type == "LogAppendTime"
    target.before_max_ms = config.message_timestamp_before_max_ms
    target.after_max_ms = config.message_timestamp_after_max_ms
    target.requires_key = config.is_compacted


def retire(target: TopicTarget) -> None:
    """Have the target of a topic that is gone take no more records, as larger than its limit.

    So no record pays for looking: the limit is looked at anyway.
    """
    target.gone = True
    target.record_limit = -1


def gone(topic: str) -> UnknownTopicError:
    """The error of what was queued for a topic that was deleted, or created again."""
    return UnknownTopicError(
        f"topic {topic!r} was deleted before its records were written",
        topic=topic,
        partition=None,
        nearest=None,
    )


def _codec(config: TopicConfig, producer: ProducerConfig) -> int:
    """The topic's codec, or the producer's where the topic leaves it to it."""
    if config.compression_type == "producer":
        return codec_named(producer.compression_type)
    return codec_named(config.compression_type)


def _level(config: TopicConfig, codec: int) -> int | None:
    """The topic's compression level; None is the codec's default."""
    level = {
        GZIP: config.compression_gzip_level,
        LZ4: config.compression_lz4_level,
        ZSTD: config.compression_zstd_level,
    }.get(codec)
    return None if codec == GZIP and level == -1 else level
