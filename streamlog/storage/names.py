"""The grammar of a log directory's names (facts 1.1 and 1.2).

A segment's files share a stem: its base offset, zero-padded to 20 digits. A partition's
folder is `<topic>-<partition>`; the number is what follows the last dash. Everything else
that has a fixed name is a constant here.
"""

from __future__ import annotations

from typing import NamedTuple

from streamlog.errors import InvalidTopicError

# Top level, Kafka's own.
LOCK = ".lock"
META = "meta.properties"
CLEAN = ".kafka_cleanshutdown"
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
LOG_STARTS = "log-start-offset-checkpoint"
HIGH_WATERMARKS = "replication-offset-checkpoint"
CLEANER_OFFSETS = "cleaner-offset-checkpoint"
BOOTSTRAP = "bootstrap.checkpoint"

# Top level, streamlog's; Kafka ignores plain files there.
STREAMLOG_PROPERTIES = "streamlog.properties"
STREAMLOG_LOCKS = "streamlog.locks"
STREAMLOG_SHARED = "streamlog.shared"
STREAMLOG_BACKUP = "streamlog.backup"
STREAMLOG_MEMBERS = "streamlog.members"

# Inside a partition's folder.
LEADER_EPOCHS = "leader-epoch-checkpoint"
PARTITION_METADATA = "partition.metadata"
QUORUM_STATE = "quorum-state"

LOG = ".log"
OFFSET_INDEX = ".index"
TIME_INDEX = ".timeindex"
TRANSACTION_INDEX = ".txnindex"
SNAPSHOT = ".snapshot"
CHECKPOINT = ".checkpoint"
DELETED = ".deleted"
CLEANED = ".cleaned"
SWAP = ".swap"
TORN = ".torn"

# A segment without its `.log` has none of these; they are caches of it.
INDEX_SUFFIXES = (OFFSET_INDEX, TIME_INDEX, TRANSACTION_INDEX)
SEGMENT_SUFFIXES = (LOG, *INDEX_SUFFIXES)
# A folder with one of these endings is no longer, or not yet, a partition.
FOLDER_SUFFIXES = ("-delete", "-future", "-stray")

METADATA_TOPIC = "__cluster_metadata"
OFFSETS_TOPIC = "__consumer_offsets"
INTERNAL_TOPICS = frozenset({OFFSETS_TOPIC, "__transaction_state", "__share_group_state"})

MAX_TOPIC_LENGTH = 249
_STEM_DIGITS = 20
_TOPIC_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class SegmentName(NamedTuple):
    """A file name taken apart: `00000000000000000042.log` is `(42, ".log")`."""

    base_offset: int
    suffix: str


class PartitionName(NamedTuple):
    """A partition's folder name taken apart."""

    topic: str
    partition: int


def segment_name(base_offset: int, suffix: str) -> str:
    """The name of a segment's file, or of a snapshot at that offset."""
    return f"{base_offset:020d}{suffix}"


def parse_segment_name(name: str) -> SegmentName | None:
    """Take a file name apart; None when it does not begin with 20 digits and a dot."""
    stem = name[:_STEM_DIGITS]
    if name[_STEM_DIGITS : _STEM_DIGITS + 1] != "." or len(stem) != _STEM_DIGITS:
        return None
    if not (stem.isascii() and stem.isdigit()):
        return None
    return SegmentName(int(stem), name[_STEM_DIGITS:])


def torn_name(base_offset: int, position: int, attempt: int = 0) -> str:
    """The file that keeps what was cut from a segment at `position`.

    `attempt` tells apart what several crashes tore off at one place.
    """
    middle = f".{position}" if attempt == 0 else f".{position}-{attempt}"
    return segment_name(base_offset, f"{middle}{TORN}")


def partition_directory_name(topic: str, partition: int) -> str:
    """The folder of a partition, relative to the log directory."""
    return f"{topic}-{partition}"


def parse_partition_directory(name: str) -> PartitionName | None:
    """Take a folder name apart; None for what is not a live partition's folder."""
    topic, dash, number = name.rpartition("-")
    if not dash or not (number.isascii() and number.isdigit()):
        return None
    if str(int(number)) != number or int(number) > 0x7FFFFFFF or topic_problem(topic):
        return None
    return PartitionName(topic, int(number))


def topic_problem(name: str) -> str | None:
    """Why `name` cannot name a topic, or None when it can."""
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "is '.' or '..'"
    if len(name) > MAX_TOPIC_LENGTH:
        return f"is longer than {MAX_TOPIC_LENGTH} characters"
    if not _TOPIC_ALPHABET.issuperset(name):
        return "has characters outside a-z A-Z 0-9 . _ -"
    return None


def validate_topic_name(name: str) -> None:
    """Raise `InvalidTopicError` unless Kafka would accept `name` for a topic."""
    if not isinstance(name, str):
        raise InvalidTopicError(
            f"a topic name is a str, not {type(name).__name__}: {name!r}", topic=name
        )
    problem = topic_problem(name)
    if problem is not None:
        raise InvalidTopicError(f"topic name {name[:300]!r} {problem}", topic=name)


def metric_name(topic: str) -> str:
    """What Kafka's metrics call a topic; it refuses a second one of that name."""
    return topic.replace(".", "_")
