"""Who set the timestamp of a record."""

from __future__ import annotations

from enum import IntEnum


class TimestampType(IntEnum):
    """Attribute bit 3 of a batch (Kafka's `message.timestamp.type`)."""

    CREATE_TIME = 0
    """The producer set it: when the event happened."""

    LOG_APPEND_TIME = 1
    """The log set it when it appended; all records of a batch share it."""
