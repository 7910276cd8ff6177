"""A machine and the processes on it, told in a few verbs; everything that happens is recorded."""

from __future__ import annotations

import errno
import os

import pytest

from streamlog.broker import produce
from streamlog.broker.backup import back_up
from streamlog.broker.directory import find_place
from streamlog.broker.engine import Engine, open_for_writing
from streamlog.config import OpenConfig, parse_topic_settings
from streamlog.errors import PartitionPoisonedError
from streamlog.record.kernel import RecordBatchBuilder
from streamlog.storage.names import CLEAN, LOG, partition_directory_name
from streamlog.storage.partition_log import PartitionLog
from streamlog.testing.clock import ManualClock
from streamlog.testing.journal import EMPTY_IMAGE, Image, Operation
from streamlog.testing.memory_filesystem import MemoryFilesystem
from streamlog.types import TopicDescription, TopicPartition
from tests.crash import backups
from tests.crash.ledger import LastBatch, Ledger, LogKey, Promise, TopicChange, key_of

PATH = "/log"
#: Nothing happens by itself: a story says all that happens.
CONFIG = OpenConfig.from_settings({"max_open_files": 1000, "housekeeping": False})


class StoryClock(ManualClock):
    """Stands still, but no wait is endless: each look at it takes a millisecond."""

    __slots__ = ()

    def monotonic(self) -> float:
        self.advance(1)
        return super().monotonic()


def open_engine(filesystem: MemoryFilesystem) -> Engine:
    """The engine of a process on that disk. It is not in the registry: processes are many."""
    place = find_place(filesystem, PATH, create=True, read_only=False, mode=0o600)
    return open_for_writing(
        place, mode=0o600, config=CONFIG, filesystem=filesystem, clock=StoryClock()
    )


class World:
    """One life of a machine, from a disk's image to a crash. `marks` are the promises in time.

    `journal`, when it is not empty, is what happened since the last time that all was durable:
    a killed process leaves it behind. `door` makes the filesystem (a test may plant a bug).
    The verbs are those of the process that spoke last: `open` and `switch` say which it is.
    """

    def __init__(
        self,
        base: Image = EMPTY_IMAGE,
        *,
        ledger: Ledger | None = None,
        boot: int = 1,
        journal: list[Operation] | None = None,
        seen: Image | None = None,
        door: type[MemoryFilesystem] = MemoryFilesystem,
    ) -> None:
        self.base = base
        self.boot = boot
        self.journal: list[Operation] = [] if journal is None else journal
        self.begins_at = len(self.journal)
        self.ledger = ledger or Ledger()
        self.ledger.closed = False
        self.marks: list[tuple[int, Ledger, Promise]] = []
        #: Where a killed process would take the knowledge of a failed sync with it: the kernel
        #: tells it once. Two faults in one instant are more than is promised.
        self.deaf: list[range] = []
        self.filesystem = door(seen or base, boot=boot, journal=self.journal, base=base)
        self._processes: list[tuple[MemoryFilesystem, Engine]] = []
        self._producers: dict[LogKey, tuple[int, int]] = {}
        self.mark()

    def mark(self) -> None:
        """From this point of the journal on, this is what is promised."""
        self.marks.append((len(self.journal), self.ledger, self.ledger.promise()))

    @property
    def engine(self) -> Engine:
        return self._processes[-1][1]

    # ---------------------------------------------------------------- processes

    def open(self, *, after_crash: bool = False) -> None:
        """Open the log; after a crash, what survived is what the next promises build on."""
        self.ledger.closed = False
        self.mark()
        if self._processes:
            self.filesystem = self.filesystem.another_process()
        self._processes.append((self.filesystem, open_engine(self.filesystem)))
        if after_crash:
            self.ledger = self.ledger.check(self.engine)
            self.mark()

    def switch(self) -> None:
        """Let the other process speak."""
        self._processes.reverse()
        self.filesystem = self._processes[-1][0]

    def close(self) -> None:
        """Close the log in this process, which has used every partition."""
        self._processes.pop()[1].close_now()
        self.ledger.settle_all()
        self.ledger.closed = not self._processes
        if self._processes:
            self.filesystem = self._processes[-1][0]
        else:
            for key, promise in self.ledger.logs.items():
                self.ledger.delete(key, promise.deleted)
        self.mark()

    def die(self) -> None:
        """All processes are killed, and the log is opened again."""
        for filesystem, _ in self._processes:
            filesystem.kill()
        self._processes.clear()
        self.forget_producers()
        self.open(after_crash=True)

    def die_before(self, operation: str, path: str) -> None:
        """Open the log, but be killed just before the first such operation."""

        def before(asked: str, target: str | int) -> None:
            if (asked, target) == (operation, path):
                raise _DeathError

        self.filesystem.before = before
        with pytest.raises(_DeathError):
            open_engine(self.filesystem)
        self.filesystem.before = None
        self.filesystem.kill()

    def let_a_broker_append(self, topic: str = "a") -> None:
        """After a close: a Kafka broker takes over, appends without a sync, and is killed."""
        key = self.ledger.key(topic, 0)
        start = len(self.ledger.values[key])
        values = [make_value(key, start + at, 150) for at in range(2)]
        self.ledger.send(key, values)
        self.ledger.closed = False
        self.mark()
        builder = RecordBatchBuilder(base_offset=start, leader_epoch=0)
        for value in values:
            builder.append(1_704_067_200_000, None, value, ())
        door = self.filesystem
        door.unlink(f"{PATH}/{CLEAN}")
        folder = f"{PATH}/{partition_directory_name(topic, 0)}"
        last = max(name for name in door.listdir(folder) if name.endswith(LOG))
        descriptor = door.open(f"{folder}/{last}", os.O_RDWR)
        door.write_all(descriptor, builder.build(), door.size(descriptor))
        door.kill()
        self.open(after_crash=True)

    def forget_producers(self) -> None:
        """Idempotent batches are a new producer's from here on."""
        self._producers.clear()

    # ---------------------------------------------------------------- topics

    def create(self, topic: str, partitions: int = 1, **settings: object) -> None:
        self._change_topics(TopicChange(topic, partitions, parse_topic_settings(settings)))
        self.engine.create_topic(topic, partitions, settings)
        self._changed_topics()

    def alter(self, topic: str = "a", **settings: object) -> None:
        """Change settings of a topic; None takes one away."""
        stored: dict[str, str | None] = {
            name.replace("_", "."): None for name, value in settings.items() if value is None
        }
        self._change_topics(TopicChange(topic, None, stored | parse_topic_settings(settings)))
        self.engine.alter_topics({topic: settings})
        self._changed_topics()

    def delete(self, topic: str) -> None:
        self._change_topics(TopicChange(topic, 0))
        self.engine.delete_topic(topic)
        self._changed_topics()

    def _change_topics(self, change: TopicChange) -> None:
        self.ledger.changes.append(change)
        self.mark()

    def _changed_topics(self) -> None:
        self.ledger.changes_done += 1
        self.mark()

    # ---------------------------------------------------------------- records

    def append(
        self,
        topic: str = "a",
        partition: int = 0,
        *,
        records: int = 2,
        batches: int = 1,
        size: int = 150,
        acks: int = -1,
        idempotent: bool = False,
    ) -> None:
        """Append values that nobody else sends; `idempotent` sends the last batch twice."""
        key = self.ledger.key(topic, partition)
        data = bytearray()
        for _ in range(batches):
            start = len(self.ledger.values.get(key, []))
            values = [make_value(key, start + at, size) for at in range(records)]
            batch = self._encode(key, values, idempotent=idempotent)
            self.ledger.send(key, values)
            data += batch
            if idempotent:
                self.ledger.last_batches[key] = LastBatch(bytes(batch), start, start + records)
            else:
                self.ledger.last_batches.pop(key, None)
        self.mark()
        log = self._append(topic, partition, data, acks)
        self.ledger.settle(key, synced=acks == -1)
        self.mark()
        if idempotent:
            again = bytearray(self.ledger.last_batches[key].data)
            assert produce.append(
                log, again, acks=acks, now_ms=self.engine.clock.now_ms()
            ).duplicate

    def _append(self, topic: str, partition: int, data: bytearray, acks: int) -> PartitionLog:
        log = self.engine.partition(topic, partition)
        produce.append(log, data, acks=acks, now_ms=self.engine.clock.now_ms())
        return log

    def sync(self) -> None:
        self.engine.sync()
        self.ledger.settle_all()
        self.mark()

    def backup(self) -> None:
        """Make a backup, in the place of a former one."""
        self.ledger.backups = self.ledger.backups.begin(backups.content_of(self.engine))
        self.mark()
        back_up(self.engine, backups.PLACE)
        self.ledger.backups = self.ledger.backups.finish()
        self.ledger.settle_all()

    def delete_records(self, offset: int, topic: str = "a", partition: int = 0) -> None:
        """Delete those before an offset; what is done is on the disk."""
        key = self.ledger.key(topic, partition)
        self.ledger.logs[key] = self.ledger.logs[key]._replace(deleting=offset)
        self.mark()
        self.engine.delete_records({TopicPartition(topic, partition): offset})
        self.ledger.delete(key, offset)
        self.mark()

    def compact(self, topic: str = "a", partition: int = 0) -> None:
        """Compact all that there is; what is done is on the disk, and all that is left as well."""
        key = self.ledger.key(topic, partition)
        sent = self.ledger.logs[key].sent
        self.ledger.logs[key] = self.ledger.logs[key]._replace(compacting=sent)
        self.mark()
        self.engine.compact(topic)
        self.ledger.logs[key] = self.ledger.logs[key]._replace(compacted=sent)
        self.ledger.settle(key, synced=True)
        self.mark()

    def apply_retention(self, topic: str = "a", partition: int = 0) -> None:
        """Let the oldest segments go, as far as the topic's settings say so."""
        key = self.ledger.key(topic, partition)
        self.ledger.logs[key] = self.ledger.logs[key]._replace(deleting=self.ledger.logs[key].sent)
        self.mark()
        moved = self.engine.apply_retention(topic)
        start = moved.get(TopicPartition(topic, partition), self.ledger.logs[key].deleted)
        self.ledger.delete(key, start)
        self.mark()

    def fail_to_sync(self, topic: str = "a", partition: int = 0) -> None:
        """Append while the disk refuses to sync; what is sent afterwards is not written."""
        key = self.ledger.key(topic, partition)
        values = [make_value(key, len(self.ledger.values.get(key, [])), 300)]
        self.ledger.send(key, values)
        self.mark()
        self.filesystem.before = _refuse_to_sync
        began = len(self.journal)
        with pytest.raises(PartitionPoisonedError):
            self._append(topic, partition, self._encode(key, values, idempotent=False), -1)
        self.filesystem.before = None
        self.deaf.append(range(began, len(self.journal) + 1))
        self.ledger.logs[key] = self.ledger.logs[key]._replace(written=self.ledger.logs[key].sent)
        self.mark()
        with pytest.raises(PartitionPoisonedError):
            self._append(topic, partition, self._encode(key, [b"never"], idempotent=False), -1)

    def recover(self, topic: str = "a", partition: int = 0) -> None:
        """Make a partition writable again while the log is open."""
        assert self.engine.recover_partition(topic, partition)
        self.ledger.settle(self.ledger.key(topic, partition), synced=True)
        self.mark()

    def _encode(self, key: LogKey, values: list[bytes], *, idempotent: bool) -> bytearray:
        producer_id, sequence = -1, -1
        if idempotent:
            if key not in self._producers:
                drawn = self.engine.producer_ids.next_id()
                assert drawn not in self.ledger.producer_ids, "a producer id is handed out once"
                self.ledger.producer_ids.append(drawn)
                self.mark()
                self._producers[key] = (drawn, 0)
            producer_id, sequence = self._producers[key]
            self._producers[key] = (producer_id, sequence + len(values))
        builder = RecordBatchBuilder(
            producer_id=producer_id,
            producer_epoch=0 if idempotent else -1,
            base_sequence=sequence,
        )
        is_compacted = "compact" in self._topic_of(key).settings.get("cleanup.policy", "")
        for number, value in enumerate(values, len(self.ledger.values.get(key, []))):
            record_key = key_of(number) if is_compacted else None
            builder.append(self.engine.clock.now_ms(), record_key, value, ())
        return builder.build()

    def _topic_of(self, key: LogKey) -> TopicDescription:
        return self.engine.topic(self.ledger.changes[key[0]].topic)


def make_value(key: LogKey, number: int, size: int) -> bytes:
    """A value that tells where it belongs, of a length that lets batches straddle sectors."""
    head = b"%d.%d.%d:" % (*key, number)
    return head + bytes([65 + number % 26]) * (size + number * 37 % 211 - len(head))


class _DeathError(BaseException):
    """The process is killed here."""


def _refuse_to_sync(operation: str, target: str | int) -> None:
    if operation == "fdatasync":
        raise OSError(errno.EIO, "Input/output error")
