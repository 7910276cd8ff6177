"""A program that does a bit of everything, and says what was promised to it: what is swept.

As a child's role, or `python -m tests.faults.program PATH REPORTS` under strace. It ends at the
first error; what it says goes into the ledger of `tests.multiprocess`. A new operation is one
more line in `_work`.
"""

from __future__ import annotations

import ctypes  # noqa: F401  # loaded before anything is struck
import os
import sys
from contextlib import suppress
from typing import Any

import streamlog
import streamlog.broker.backup
from streamlog.errors import StreamlogError
from tests.multiprocess.roles import send_keyed
from tests.multiprocess.topic_changes import topic_name, topic_value
from tests.multiprocess.values import (
    ACKNOWLEDGED,
    COMPACTED_TOPIC,
    CREATED,
    CREATING,
    DELETED,
    DELETING,
    ENDED,
    PLACES,
    SENDING,
    SYNCED,
    TOPIC,
    TRIMMED,
    TRIMMING,
    Report,
    say,
    value_of,
)

WRITER = 1


def backup_of(path: str) -> str:
    """Where the program puts its backups of the log at `path`."""
    return f"{path}.backup"


class Program:
    """Sends the values of one writer, and tells of each before and after."""

    def __init__(self, pipe: int, path: str) -> None:
        self._pipe = pipe
        self._path = path
        self._numbers = [0] * len(PLACES)

    def run(self) -> None:
        """All of it; a typed error ends it early."""
        with suppress(StreamlogError):
            self._work()

    def _work(self) -> None:
        with self._open() as log:
            for topic in sorted({place.topic for place in PLACES}):
                log.create_topic(topic, partitions=3, internal_segment_bytes=1500)
            self._create(log, 0)
            self._send(log, 0, 9, acks="all")
            self._send(log, 1, 4, acks=1)
            log.sync()
            self._delete(log, 0)
            settings = {"cleanup_policy": "compact", "internal_segment_bytes": 2000}
            log.create_topic(COMPACTED_TOPIC, **settings)
            self._compact(log, range(12))
        with self._open() as log:
            self._create(log, 1)
            self._send(log, 0, 5, acks=1)
            self._send(log, 4, 3, acks="all", enable_idempotence=True)
            self._send(log, 1, 8, acks=1, compression_type="zstd")
            self._compact(log, range(12, 19))
            # In places of their own: what is deleted is not looked at any more.
            self._send(log, 2, 6, acks=1)
            self._trim(log, 2, 3)
            self._send(log, 3, 9, acks=1)
            self._retain(log, 3)
            log.create_partitions("planes", 4)
            # Last, and by threads: strace counts the calls of each, and not those before.
            log.backup(backup_of(self._path))
            self._send(log, 0, 1, acks=1)
            log.backup(backup_of(self._path))

    def _open(self) -> streamlog.StreamLog:
        """Without a thread that does what the program does: its calls would be others each time."""
        return streamlog.open(self._path, housekeeping=False)

    def _send(self, log: streamlog.StreamLog, place: int, count: int, **settings: Any) -> None:
        topic, partition = PLACES[place]
        kind = SYNCED if settings["acks"] == "all" else ACKNOWLEDGED
        with log.producer(linger_ms=60_000, **settings) as producer:
            for _ in range(count):
                number = self._numbers[place]
                self._numbers[place] += 1
                say(self._pipe, Report(SENDING, place, number, 1))
                value = value_of(WRITER, place, number)
                offset = producer.send(topic, value, partition=partition).result().offset
                say(self._pipe, Report(kind, place, number, 1, offset))

    def _create(self, log: streamlog.StreamLog, number: int) -> None:
        say(self._pipe, Report(TOPIC, number, CREATING))
        log.create_topic(topic_name(number), internal_segment_bytes=1000)
        with log.producer(acks="all") as producer:
            producer.send(topic_name(number), topic_value(number)).result()
        say(self._pipe, Report(TOPIC, number, CREATED))

    def _delete(self, log: streamlog.StreamLog, number: int) -> None:
        say(self._pipe, Report(TOPIC, number, DELETING))
        log.delete_topic(topic_name(number))
        say(self._pipe, Report(TOPIC, number, DELETED))

    def _compact(self, log: streamlog.StreamLog, numbers: range) -> None:
        send_keyed(self._pipe, log, WRITER, numbers)
        log.admin.compact(COMPACTED_TOPIC)

    def _trim(self, log: streamlog.StreamLog, place: int, offset: int) -> None:
        say(self._pipe, Report(TRIMMING, place, offset=offset))
        log.admin.delete_records({PLACES[place]: offset})
        say(self._pipe, Report(TRIMMED, place, offset=offset))

    def _retain(self, log: streamlog.StreamLog, place: int) -> None:
        """Change settings, and have what they do not keep deleted; change them back."""
        topic = PLACES[place].topic
        say(self._pipe, Report(TRIMMING, place, offset=self._numbers[place]))
        log.admin.alter_configs({topic: {"retention_bytes": 1}})
        begin = log.admin.apply_retention(topic)[PLACES[place]]
        say(self._pipe, Report(TRIMMED, place, offset=begin))
        log.admin.alter_configs({topic: {"retention_bytes": None}})


if __name__ == "__main__":
    reports = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT, 0o600)
    Program(reports, sys.argv[1]).run()
    say(reports, Report(ENDED))
