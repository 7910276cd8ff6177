"""The public API against lists: whatever is done, each partition is the list of what was sent.

The operations come in any order that hypothesis thinks of, with closing, reopening, being killed,
deleting records and letting time pass among them; a failure is shrunk to the shortest story that
fails. What retention should leave is read off the files by other means, and decided by Kafka's
rules as they are told.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import streamlog
from streamlog.broker.engine import Engine
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from streamlog.testing.clock import ManualClock
from streamlog.types import TopicPartition
from tests.clients.skins import LoopThread, open_with
from tests.interop.rig.segment import headers as batch_headers

PARTITIONS = 2
HOUR = 3_600_000
NAMES = ("flights", "planes")
BASE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

values = st.none() | st.binary(max_size=40) | st.integers(0, 900).map(lambda size: b"x" * size)
keys = st.none() | st.binary(max_size=8)
headers = st.lists(st.tuples(st.text(max_size=4), st.none() | st.binary(max_size=4)), max_size=2)
names = st.sampled_from(NAMES)
partitions = st.integers(0, PARTITIONS - 1)
Sent = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def plain(data: Any) -> bytes | None:
    return None if data is None else bytes(data)


def sent(record: Any) -> Sent:
    found = [(name, plain(value)) for name, value in record.headers]
    return plain(record.key), plain(record.value), found


class LogMachine(RuleBasedStateMachine):
    """One process on one directory, and what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="streamlog-machine-", dir=BASE))
        self.generation = 0
        self.model: dict[TopicPartition, list[Sent]] = {}
        self.starts: dict[TopicPartition, int] = {}
        self.settings: dict[str, dict[str, int]] = {}
        self.lingering: list[tuple[TopicPartition, Sent]] = []
        self.clock = ManualClock()
        self.open_log()

    @property
    def path(self) -> str:
        return str(self.root / str(self.generation))

    def open(self, path: str) -> Any:
        return streamlog.open(path)

    def open_log(self) -> None:
        """The first opening of a process gives the clock; the second one shares its engine."""
        engine = Engine.open(self.path, clock=self.clock, settings={"housekeeping": False})
        self.log = self.open(self.path)
        engine.close()
        self.open_clients()

    def open_clients(self) -> None:
        self.producer = self.log.producer(acks=1, linger_ms=100_000, batch_size=4096)
        self.consumer = self.log.consumer(auto_offset_reset="earliest")
        self.positions: dict[TopicPartition, int] = {}

    def appended(self) -> None:
        """Everything that lingered is in the log now."""
        for place, record in self.lingering:
            self.model[place].append(record)
        self.lingering.clear()

    # ---------------------------------------------------------------- topics

    @rule(
        name=names,
        size=st.sampled_from([1000, 5000, 1 << 20]),
        retention_ms=st.sampled_from([-1, -1, 0, HOUR, 3 * HOUR]),
        retention_bytes=st.sampled_from([-1, -1, 0, 2000]),
    )
    def create_topic(self, name: str, size: int, retention_ms: int, retention_bytes: int) -> None:
        if TopicPartition(name, 0) in self.model:
            with pytest.raises(streamlog.errors.TopicExistsError):
                self.log.create_topic(name)
            return
        self.settings[name] = {"retention_ms": retention_ms, "retention_bytes": retention_bytes}
        self.log.create_topic(
            name,
            partitions=PARTITIONS,
            internal_segment_bytes=size,
            index_interval_bytes=200,
            **self.settings[name],
        )
        for partition in range(PARTITIONS):
            self.model[TopicPartition(name, partition)] = []
            self.starts[TopicPartition(name, partition)] = 0

    @rule(name=names)
    def delete_topic(self, name: str) -> None:
        if TopicPartition(name, 0) not in self.model:
            with pytest.raises(streamlog.errors.UnknownTopicError):
                self.log.delete_topic(name)
            return
        self.producer.flush()
        self.appended()
        self.log.delete_topic(name)
        # A producer that knows the topic that is gone fails the next record for that name: what
        # was meant for one topic never lands in another. A new producer knows the new topic.
        self.producer.close()
        self.producer = self.log.producer(acks=1, linger_ms=100_000, batch_size=4096)
        for partition in range(PARTITIONS):
            del self.model[TopicPartition(name, partition)]
            del self.starts[TopicPartition(name, partition)]
            self.positions.pop(TopicPartition(name, partition), None)
        self.consumer.assign(list(self.positions))
        for place, position in self.positions.items():
            self.consumer.seek(place, position)

    # ---------------------------------------------------------------- writing

    def place(self, name: str, partition: int) -> TopicPartition | None:
        place = TopicPartition(name, partition)
        return place if place in self.model else None

    @rule(name=names, partition=partitions, key=keys, value=values, found=headers)
    def send(self, name: str, partition: int, key: Any, value: Any, found: Any) -> None:
        place = self.place(name, partition)
        if place is None:
            with pytest.raises(streamlog.errors.UnknownTopicError):
                self.producer.send(name, value, key, partition=partition)
            return
        self.producer.send(name, value, key, found, partition)
        self.lingering.append((place, (key, value, found)))

    @rule(name=names, partition=partitions, key=keys, value=values)
    def send_and_wait(self, name: str, partition: int, key: Any, value: Any) -> None:
        place = self.place(name, partition)
        if place is None:
            return
        future = self.producer.send(name, value, key, partition=partition)
        waiting = [record for where, record in self.lingering if where == place]
        self.model[place] += [*waiting, (key, value, [])]
        self.lingering = [each for each in self.lingering if each[0] != place]
        assert future.result().offset == len(self.model[place]) - 1

    @rule(name=names, partition=partitions, many=st.lists(values, max_size=30))
    def send_many(self, name: str, partition: int, many: list[bytes | None]) -> None:
        place = self.place(name, partition)
        if place is None:
            return
        self.producer.flush()
        self.appended()
        result = self.producer.send_many(name, many, partition=partition).result()
        assert sum(batch.count for batch in result) == len(many)
        if many:
            assert result[0].base_offset == len(self.model[place])
        self.model[place] += [(None, value, []) for value in many]

    @rule()
    def flush(self) -> None:
        self.producer.flush()
        self.appended()

    @rule()
    def sync(self) -> None:
        self.log.sync()

    # ---------------------------------------------------------------- reading

    @precondition(lambda self: self.model)
    @rule(data=st.data(), limit=st.integers(1, 40))
    def consume(self, data: Any, limit: int) -> None:
        self.flush()
        place = data.draw(st.sampled_from(sorted(self.model)))
        if place not in self.positions:
            self.positions[place] = self.starts[place]
            self.consumer.assign(list(self.positions))
            for each, position in self.positions.items():
                self.consumer.seek(each, position)
        for each, records in self.consumer.poll_by_partition(0, limit).items():
            # What was fetched ahead is handed out, though it be deleted by now.
            start = records[0].offset
            assert start in (self.positions[each], self.starts[each])
            assert start >= self.positions[each]
            assert [record.offset for record in records] == list(range(start, start + len(records)))
            expected = self.model[each][start : start + len(records)]
            assert [sent(record) for record in records] == expected
            self.positions[each] = start + len(records)
        for each, position in self.positions.items():
            assert self.consumer.position(each) in (position, max(position, self.starts[each]))

    @precondition(lambda self: self.positions)
    @rule(data=st.data())
    def seek(self, data: Any) -> None:
        place = data.draw(st.sampled_from(sorted(self.positions)))
        offset = data.draw(st.integers(self.starts[place], len(self.model[place])))
        self.consumer.seek(place, offset)
        self.positions[place] = offset

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def read_from_anywhere(self, data: Any) -> None:
        self.flush()
        place = data.draw(st.sampled_from(sorted(self.model)))
        start = data.draw(st.integers(0, len(self.model[place])))
        if 0 < start < self.starts[place]:
            with pytest.raises(streamlog.errors.OffsetOutOfRangeError):
                self.log.read(*place, start=start)
            return
        found = [sent(record) for record in self.log.read(*place, start=start)]
        assert found == self.model[place][max(start, self.starts[place]) :]

    # ---------------------------------------------------------------- deleting

    @rule(hours=st.integers(1, 4))
    def let_time_pass(self, hours: int) -> None:
        self.clock.advance(hours * HOUR)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_records(self, data: Any) -> None:
        self.flush()
        place = data.draw(st.sampled_from(sorted(self.model)))
        end = len(self.model[place])
        offset = data.draw(st.integers(-1, end + 2))
        if offset > end:
            with pytest.raises(streamlog.errors.OffsetOutOfRangeError):
                self.log.admin.delete_records({place: offset})
            return
        start = max(self.starts[place], end if offset == -1 else offset)
        assert self.log.admin.delete_records({place: offset}) == {place: start}
        self.starts[place] = start

    @rule()
    def apply_retention(self) -> None:
        self.flush()
        expected = {
            place: max(self.starts[place], self.first_kept(place))
            for place in self.model
            if os.path.isdir(f"{self.path}/{place.topic}-{place.partition}")
        }
        moved = self.log.admin.apply_retention()
        assert moved == {
            place: start for place, start in expected.items() if start != self.starts[place]
        }
        self.starts |= expected

    def first_kept(self, place: TopicPartition) -> int:
        """Where the first segment begins that Kafka's rules keep, from the bytes of the files."""
        limits = self.settings[place.topic]
        folder = Path(self.path, f"{place.topic}-{place.partition}")
        segments = []
        for path in sorted(folder.glob("*.log")):
            found = [header for _, header in batch_headers(path.read_bytes())]
            latest = max((header.max_timestamp for header in found), default=self.clock.now_ms())
            segments.append((int(path.stem), path.stat().st_size, latest))
        ends = [*(base for base, _, _ in segments[1:]), len(self.model[place])]
        while segments and len(segments) > 1 and ends[0] <= self.starts[place]:
            del segments[0], ends[0]
        excess = sum(size for _, size, _ in segments) - limits["retention_bytes"]
        while segments and limits["retention_bytes"] >= 0 and excess >= segments[0][1]:
            excess -= segments[0][1]
            del segments[0], ends[0]
        while segments and 0 <= limits["retention_ms"] < self.clock.now_ms() - segments[0][2]:
            del segments[0], ends[0]
        return segments[0][0] if segments else len(self.model[place])

    # ---------------------------------------------------------------- ends

    @rule()
    def close_and_reopen(self) -> None:
        self.log.close()
        self.appended()
        assert [str(each) for each in verify_directory(OS_FILESYSTEM, self.path)] == []
        self.open_log()

    @rule(keep_shared=st.booleans())
    def die_and_reopen(self, keep_shared: bool) -> None:
        """The bytes as they are now are all that is left: what lingered is gone.

        A copy of the directory is what a killed process leaves, on another inode; without the
        shared file, what is left of it after the machine went down.
        """
        before, old = self.path, self.log
        self.generation += 1
        shutil.copytree(before, self.path)
        if not keep_shared:
            os.unlink(f"{self.path}/streamlog.shared")
        self.lingering.clear()
        self.open_log()
        old.close()

    @invariant()
    def partitions_end_where_the_model_does(self) -> None:
        assert set(self.log.topics()) == {place.topic for place in self.model}
        for name in {place.topic for place in self.model}:
            for description in self.log.admin.describe_partitions(name):
                place = TopicPartition(name, description.partition)
                written = len(self.model[place])
                waiting = sum(1 for where, _ in self.lingering if where == place)
                # A batch that is full goes by itself.
                assert written <= description.log_end <= written + waiting
                assert description.log_start == self.starts[place]

    def teardown(self) -> None:
        try:
            self.flush()
            for place, expected in self.model.items():
                found = [sent(record) for record in self.log.read(*place)]
                assert found == expected[self.starts[place] :]
            self.log.close()
            assert [str(each) for each in verify_directory(OS_FILESYSTEM, self.path)] == []
        finally:
            self.log.close()
            shutil.rmtree(self.root)


class AsyncLogMachine(LogMachine):
    """The same with the asynchronous clients."""

    def open(self, path: str) -> Any:
        return open_with("async", _loop_thread())(path)


@cache
def _loop_thread() -> LoopThread:
    return LoopThread()


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAsyncLog = AsyncLogMachine.TestCase
TestAsyncLog.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
