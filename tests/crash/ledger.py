"""What was promised to the user of a log, and whether what is read back keeps it.

The ledger is the plain reading of the promise: topics change one after another, a partition's
records come one after another, and each has a level. After a crash a log must hold the records
in the order in which they were sent, all that were promised and none that was never sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streamlog.broker import produce
from streamlog.broker.engine import Engine
from streamlog.record.kernel import RecordBatch
from streamlog.storage.partition_log import PartitionLog
from tests.crash.backups import Backups

KEYS = 3


class BrokenPromiseError(AssertionError):
    """The log did something that it promised not to do."""


class TopicChange(NamedTuple):
    """A topic that was created with some partitions, (0 of them) deleted, or (None) altered.

    `settings` are those that it was given, as they are stored; None takes one away.
    """

    topic: str
    partitions: int | None
    settings: Mapping[str, str | None] = {}


class TopicState(NamedTuple):
    """A topic as some changes leave it; `created` is the number of the one that made it."""

    created: int
    partitions: int
    settings: dict[str, str]


class LogPromise(NamedTuple):
    """How many of a partition's values were sent, are "written" and are "synced".

    The first `deleted` of them are gone, and the first `deleting` may be; the first `recorded`
    are gone for good: what was published by somebody who died may come back with the power.
    Compaction has looked at the first `compacted`, and may have at the first `compacting`: of each
    key the last one is left of those.
    """

    sent: int = 0
    written: int = 0
    synced: int = 0
    deleting: int = 0
    deleted: int = 0
    recorded: int = 0
    compacting: int = 0
    compacted: int = 0


class LastBatch(NamedTuple):
    """An idempotent producer's last batch: sent again, it must be known or follow."""

    data: bytes
    start: int
    end: int


class Promise(NamedTuple):
    """Everything that is promised at one instant."""

    changes: int  # topic changes that were begun
    changes_done: int  # and that returned
    logs: dict[tuple[int, int], LogPromise]
    producer_ids: int  # how many were handed out
    closed: bool
    backups: Backups


#: A partition of one incarnation of a topic: the number of the change that created it.
LogKey = tuple[int, int]


class Ledger:
    """The promises of one life of a machine, as they grow."""

    def __init__(self) -> None:
        self.changes: list[TopicChange] = []
        self.changes_done = 0
        self.values: dict[LogKey, list[bytes]] = {}
        self.logs: dict[LogKey, LogPromise] = {}
        self.last_batches: dict[LogKey, LastBatch] = {}
        self.producer_ids: list[int] = []
        self.closed = False
        self.backups = Backups()

    def promise(self) -> Promise:
        return Promise(
            len(self.changes),
            self.changes_done,
            dict(self.logs),
            len(self.producer_ids),
            self.closed,
            self.backups,
        )

    def key(self, topic: str, partition: int) -> LogKey:
        created = [
            at
            for at, change in enumerate(self.changes)
            if change.topic == topic and change.partitions
        ]
        return created[-1], partition

    def send(self, key: LogKey, values: list[bytes]) -> None:
        """Values that are about to be appended."""
        self.values.setdefault(key, []).extend(values)
        promise = self.logs.get(key, LogPromise())
        self.logs[key] = promise._replace(sent=len(self.values[key]))

    def settle(self, key: LogKey, *, synced: bool) -> None:
        """All values sent so far are promised: "written", or "synced"."""
        promise = self.logs.get(key, LogPromise())
        promise = promise._replace(written=promise.sent)
        self.logs[key] = promise._replace(synced=promise.sent) if synced else promise

    def settle_all(self) -> None:
        for key in self.logs:
            self.settle(key, synced=True)

    def delete(self, key: LogKey, start: int) -> None:
        """The values before `start` are gone for good."""
        self.logs[key] = self.logs[key]._replace(deleting=start, deleted=start, recorded=start)

    def as_of(self, promise: Promise) -> Ledger:
        """The ledger as it was when it promised that; values may be appended to it."""
        other = Ledger()
        other.changes = self.changes[: promise.changes]
        other.changes_done = promise.changes_done
        other.logs = dict(promise.logs)
        other.values = {key: self.values[key][: log.sent] for key, log in promise.logs.items()}
        other.last_batches = {
            key: last
            for key, last in self.last_batches.items()
            if key in promise.logs and last.end <= promise.logs[key].sent
        }
        other.producer_ids = self.producer_ids[: promise.producer_ids]
        other.closed = promise.closed
        other.backups = promise.backups
        return other

    def without_power(self) -> None:
        """The power was cut: what was only "written" is no longer promised."""
        for key, promise in self.logs.items():
            self.logs[key] = promise._replace(written=promise.synced, deleted=promise.recorded)
        self.backups = self.backups.without_power()

    # ---------------------------------------------------------------- holding it against a log

    def check(self, engine: Engine) -> Ledger:
        """The ledger of the next life, begun by what survived. Raises `BrokenPromiseError`."""
        after = Ledger()
        done, topics = self._surviving_topics(engine)
        after.changes = self.changes[:done]
        after.changes_done = done
        after.producer_ids = self.producer_ids
        for topic, state in topics.items():
            for partition in range(state.partitions):
                key = (state.created, partition)
                log = engine.partition(topic, partition)
                promise = self.logs.get(key, LogPromise())
                found = _surviving_records(log, self.values.get(key, []), promise)
                if key in self.last_batches:
                    found = _send_again(log, self.last_batches[key], found)
                if key in self.logs:
                    after.values[key] = self.values[key][:found]
                    start = log.log_start
                    after.logs[key] = LogPromise(
                        found,
                        found,
                        log.synced_end,
                        start,
                        start,
                        promise.recorded,
                        min(promise.compacting, found),
                        min(promise.compacted, found),
                    )
        after.backups = self.backups.check(engine.filesystem)
        return after

    def _surviving_topics(self, engine: Engine) -> tuple[int, dict[str, TopicState]]:
        """How many topic changes survived; each topic as they leave it."""
        found = {name: (each.partitions, each.settings) for name, each in engine.topics().items()}
        for done in range(len(self.changes), self.changes_done - 1, -1):
            topics = _topics_after(self.changes[:done])
            if {name: (each.partitions, each.settings) for name, each in topics.items()} == found:
                return done, topics
        raise BrokenPromiseError(
            f"topics are {found} after {self.changes_done} to {len(self.changes)} of {self.changes}"
        )


def _topics_after(changes: list[TopicChange]) -> dict[str, TopicState]:
    topics: dict[str, TopicState] = {}
    for at, change in enumerate(changes):
        if change.partitions == 0:
            del topics[change.topic]
            continue
        if change.partitions is not None:
            topics[change.topic] = TopicState(at, change.partitions, {})
        merged = {**topics[change.topic].settings, **change.settings}
        settings = {name: value for name, value in merged.items() if value is not None}
        topics[change.topic] = topics[change.topic]._replace(settings=settings)
    return topics


def _surviving_records(log: PartitionLog, values: list[bytes], promise: LogPromise) -> int:
    name = f"{log.topic}-{log.partition}"
    state = log.state()
    if state.poisoned:
        raise BrokenPromiseError(f"{name} cannot be written to ({state.poisoned})")
    if not promise.deleted <= state.log_start <= promise.deleting:
        raise BrokenPromiseError(f"{name} begins at {state.log_start} after {promise}")
    if not promise.written <= state.log_end <= len(values):
        raise BrokenPromiseError(
            f"{name} ends at {state.log_end}; {promise.written} were promised, {len(values)} sent"
        )
    found = read_records(log)
    for offset in range(state.log_start, state.log_end):
        if offset not in found:
            if not _is_replaced(offset, min(promise.compacting, state.log_end)):
                raise BrokenPromiseError(f"{name} has nothing at {offset} after {promise}")
        elif found[offset] != values[offset]:
            raise BrokenPromiseError(f"{name} has a wrong record at {offset}")
        elif _is_replaced(offset, promise.compacted):
            raise BrokenPromiseError(f"{name} has {offset} again after {promise}")
    _check_lookups(log, found)
    return state.log_end


def key_of(number: int) -> bytes:
    """The key of a log's value of that number, where it is compacted."""
    return b"key %d" % (number % KEYS)


def _is_replaced(offset: int, end: int) -> bool:
    """Whether a later one of those before `end` has the same key."""
    return offset + KEYS < end


def read_all(log: PartitionLog) -> list[bytes]:
    """Every value, in order; none may be missing from the log's start on."""
    found = read_records(log)
    missing = [at for at in range(log.log_start, log.log_end) if at not in found]
    if missing:
        raise BrokenPromiseError(f"nothing at {missing[0]} of a log that ends at {log.log_end}")
    return list(found.values())


def read_records(log: PartitionLog) -> dict[int, bytes]:
    """Every value by its offset, in order; the CRCs must check."""
    found: dict[int, bytes] = {}
    offset, start, end = log.log_start, log.log_start, log.log_end
    while offset < end:
        fetched = log.fetch(offset, 1 << 20)
        position = 0
        while position < len(fetched.view):
            batch = RecordBatch(fetched.view, position)
            batch.check()
            for record in batch.records(log.topic, log.partition):
                if record.offset < start:
                    continue  # of a batch that holds the log's start
                if found and record.offset <= next(reversed(found)):
                    raise BrokenPromiseError(f"offset {record.offset} comes late")
                found[record.offset] = bytes(record.value)
            position += batch.size
        if not fetched.view:
            break
        offset = fetched.next_offset
    return found


def _check_lookups(log: PartitionLog, found: dict[int, bytes]) -> None:
    """A lookup through the indexes finds the batch that holds the offset."""
    offsets = list(found)
    for offset in {offsets[0], offsets[len(offsets) // 2], offsets[-1]} if found else ():
        batch = RecordBatch(log.fetch(offset, 1).view, 0)
        if not batch.base_offset <= offset <= batch.last_offset:
            raise BrokenPromiseError(
                f"looking for {offset} finds {batch.base_offset} to {batch.last_offset}"
            )


def _send_again(log: PartitionLog, last: LastBatch, found: int) -> int:
    """What a producer does that outlived the crash: its batch is in the log once. The new end."""
    if found < last.start:
        return found  # what came before it is lost: the producer has to know
    outcome = produce.append(log, bytearray(last.data), acks=-1, now_ms=1_704_067_200_000)
    expected = found >= last.end
    if outcome.duplicate != expected or outcome.base_offset != last.start:
        raise BrokenPromiseError(
            f"a batch for {last.start} to {last.end}, sent again to a log that ends at {found}, "
            f"is {'a duplicate' if outcome.duplicate else 'new'} at {outcome.base_offset}"
        )
    return max(found, last.end)
