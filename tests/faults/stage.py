"""One log on which one operation meets one fault, and what is asked of it afterwards."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import streamlog
from streamlog.clients.producer import Producer
from streamlog.clients.sender import Sender
from streamlog.config import ProducerConfig
from streamlog.errors import PartitionPoisonedError, StreamlogError
from streamlog.types import TopicPartition

SEGMENT_BYTES = 1200
SETTINGS: dict[str, Any] = {"lock_timeout_ms": 40, "max_open_files": 500, "housekeeping": False}
PLACE = TopicPartition("flights", 0)


class BrokenPromiseError(AssertionError):
    """After a fault something was not as it had been promised."""


class Stage:
    """A copy of a prepared directory, and what is promised about its topic "flights".

    `sent` are the values in their order; those that are `doubtful` need not be there, and those
    that `may_go` are what `tend` removes. `_find_goners` says which that are now.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.log: Any = None
        self.producer: Any = None
        self.consumer: Any = None
        self.sent = [value_of(number) for number in range(COUNT)]
        self.doubtful: set[bytes] = set()
        self.may_go: set[bytes] = set()
        self.tend: Callable[[], object] | None = None
        self._find_goners: Callable[[], set[bytes]] = set
        self._next = COUNT

    # ---------------------------------------------------------------- verbs

    def open(self) -> None:
        self.log = streamlog.open(self.path, **SETTINGS)

    def open_producer(self) -> None:
        """Everything that a send needs is open and known."""
        self.open()
        self.make_producer()
        self.send()

    def open_backed_up(self) -> None:
        """A producer, a backup, and something that is not in it."""
        self.open_producer()
        self.log.backup(f"{self.path}.backup", link=False)
        self.send()

    def make_producer(self) -> None:
        """A producer without a thread: what it does, the thread that is struck does."""
        config = ProducerConfig.from_settings({"acks": 1, "linger_ms": 60_000})
        self.producer = Producer(self.log.engine(), config, process_sender=Sender(threaded=False))

    def open_consumer(self) -> None:
        self.open()
        self.consumer = self.log.consumer(auto_offset_reset="earliest")
        self.consumer.assign([PLACE])
        self.consumer.poll(0)

    def open_to_compact(self) -> None:
        """A log of keyed records, most of which have a successor."""
        self.open_producer()
        self._be_tended(lambda: self.log.admin.compact("flights"), self._superseded)

    def open_to_retain(self) -> None:
        """A log of which only the active segment is to be kept."""
        self.open_producer()
        self.log.admin.alter_configs({"flights": {"retention_bytes": 1}})
        self._be_tended(lambda: self.log.admin.apply_retention("flights"), self._sealed)

    def _be_tended(self, tend: Callable[[], object], find: Callable[[], set[bytes]]) -> None:
        self.tend, self._find_goners = tend, find
        self.may_go = find()
        assert self.may_go

    def _superseded(self) -> set[bytes]:
        latest = {key_of(value): value for value in self.read()}
        return set(self.sent).difference(latest.values())

    def _sealed(self) -> set[bytes]:
        return set(self.sent[: self.log.engine().partition("flights", 0).state().base_offset])

    def send(self, size: int = 60) -> None:
        """Send a value and wait for it; what becomes of it is noted."""
        value = value_of(self._next, size)
        self._next += 1
        if self.producer is None:
            self.make_producer()
        self.sent.append(value)
        self.doubtful.add(value)
        try:
            self.producer.send("flights", value, key_of(value), partition=0).result()
        except StreamlogError as error:
            if getattr(error, "outcome", "") == "not_written":
                self.sent.remove(value)
            raise
        self.doubtful.remove(value)

    def read(self) -> list[bytes]:
        return [bytes(record.value) for record in self.log.read("flights", partition=0)]

    # ---------------------------------------------------------------- afterwards

    def check(self) -> None:
        """What was promised is there, in order and once, and nothing that was not sent."""
        found = self.read()
        expected = [v for v in self.expected(found) if v not in self.doubtful or v in found]
        if found != expected:
            raise BrokenPromiseError(f"found {_heads(found)} and not {_heads(expected)}")

    def expected(self, found: list[bytes]) -> list[bytes]:
        """What has to be found where that was found, whatever became of doubtful ones."""
        return [value for value in self.sent if value not in self.may_go or value in found]

    def _finish(self) -> None:
        """Whatever a fault left undone of removing records is done by the next call."""
        if self.tend is not None:
            self.may_go |= self._find_goners()
            self.tend()
            self.check()
            if left := self.may_go.intersection(self.read()):
                raise BrokenPromiseError(f"{_heads(sorted(left))} were to go")

    def aftermath(self) -> str:
        """Whether the same object goes on, and if not what helps; then all is checked."""
        after = self._go_on()
        self.let_go()
        self.open()
        self.check()
        self.send()
        self._finish()
        self.check()
        errors = [str(finding) for finding in self.log.verify() if finding.severity == "error"]
        self.let_go()
        if errors:
            raise BrokenPromiseError("; ".join(errors))
        return after

    def _go_on(self) -> str:
        if self.log is None or self.log.closed:
            return "opened again"
        try:
            self.check()
            self.send()
            self.check()
        except PartitionPoisonedError:
            self.log.admin.recover_partition(*PLACE)
            self.send()
            self.check()
            return "recovered by hand"
        return "goes on"

    def let_go(self) -> None:
        """Close what is open. Failures of the past may be said again here."""
        for each in (self.consumer, self.producer, self.log):
            if each is not None:
                with suppress(StreamlogError):
                    each.close()
        self.log = self.producer = self.consumer = None


# ---------------------------------------------------------------- prepared directories

COUNT, KEYS = 12, 4


def value_of(number: int, size: int = 60) -> bytes:
    return b"%05d/" % number + b"x" * size


def key_of(value: bytes) -> bytes:
    return b"%d" % (int(value[:5]) % KEYS)


def _heads(values: list[bytes]) -> list[bytes]:
    return [value[:5] for value in values]


def build(path: str, **flights: Any) -> None:
    """A closed log: "flights" with three segments, "planes" with a record, "ships" with none.

    `flights` are more settings of that topic.
    Its ids are always the same: what a flipped bit makes of a file depends on the bytes there.
    """
    drawn = random.Random(1)
    with mock.patch.object(os, "urandom", drawn.randbytes), streamlog.open(path, **SETTINGS) as log:
        how = {"internal_segment_bytes": SEGMENT_BYTES, "index_interval_bytes": 200}
        log.create_topic("flights", **how, **flights)
        for name in ("planes", "ships"):
            log.create_topic(name, **how)
        with log.producer(acks="all") as producer:
            for value in map(value_of, range(COUNT)):
                producer.send("flights", value, key_of(value), partition=0).result()
            producer.send("planes", b"one").result()


def build_killed(path: str, live: str) -> None:
    """The same as a killed machine leaves it: not closed, with a torn batch at its end."""
    build(live)
    with streamlog.open(live, **SETTINGS):
        shutil.copytree(live, path)
    last = max(name for name in os.listdir(f"{path}/flights-0") if name.endswith(".log"))
    with open(f"{path}/flights-0/{last}", "ab") as file:
        file.write(bytes(range(1, 90)))


@contextmanager
def staged(original: str, path: str) -> Iterator[Stage]:
    """A stage on a copy of a prepared directory, gone at the end."""
    shutil.copytree(original, path)
    stage = Stage(path)
    try:
        yield stage
    finally:
        stage.let_go()
        shutil.rmtree(path)
        for suffix in (".backup", ".backup.new"):
            shutil.rmtree(path + suffix, ignore_errors=True)
