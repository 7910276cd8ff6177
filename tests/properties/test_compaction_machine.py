"""Compaction as a state machine against a list of what was sent, with Kafka's rules as they read.

Keyed values and tombstones, in batches; time that passes; compaction by hand with other settings
each time; retention; closing, reopening, being killed. What a pass should leave is worked out from
the list alone: the latest record of each key, tombstones for as long as their batch's horizon says.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import streamlog
from streamlog.broker.engine import Engine
from streamlog.storage import compaction
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from streamlog.testing.clock import ManualClock
from streamlog.types import TopicPartition

HOUR = 3_600_000
TOPIC = "keyed"
PLACE = TopicPartition(TOPIC, 0)
BASE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

keys = st.integers(0, 6).map(lambda number: b"key-%d" % number)
values = st.none() | st.integers(0, 100).map(lambda size: b"x" * size)


class Sent(msgspec.Struct):
    """A record of the log; `batch` is the offset of the first one of its batch."""

    offset: int
    key: bytes
    value: bytes | None
    timestamp: int
    batch: int
    is_gone: bool = False


class CompactionMachine(RuleBasedStateMachine):
    """One process on one compacted topic, and what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="streamlog-machine-", dir=BASE))
        self.generation = 0
        self.clock = ManualClock()
        self.sent: list[Sent] = []
        self.start = 0
        self.clean_end = 0
        self.horizons: dict[int, int] = {}  # by batch
        self.settings = {"delete_retention_ms": HOUR, "min_compaction_lag_ms": 0}
        self.open_log()
        self.log.create_topic(
            TOPIC,
            cleanup_policy="compact,delete",
            internal_segment_bytes=800,
            index_interval_bytes=100,
            **self.settings,
        )

    @property
    def path(self) -> str:
        return str(self.root / str(self.generation))

    def open_log(self) -> None:
        """The first opening of a process gives the clock; the second one shares its engine."""
        engine = Engine.open(self.path, clock=self.clock, settings={"housekeeping": False})
        self.log = streamlog.open(self.path)
        engine.close()

    # ---------------------------------------------------------------- writing

    @rule(records=st.lists(st.tuples(keys, values), min_size=1, max_size=5))
    def send(self, records: list[tuple[bytes, bytes | None]]) -> None:
        """One batch."""
        end, now_ms = len(self.sent), self.clock.now_ms()
        with self.log.producer(acks=1) as producer:
            found = producer.send_many(
                TOPIC, [value for _, value in records], keys=[key for key, _ in records]
            ).result()
        assert [(batch.base_offset, batch.count) for batch in found] == [(end, len(records))]
        self.sent += [
            Sent(end + at, key, value, now_ms, end) for at, (key, value) in enumerate(records)
        ]

    @rule(
        delete_retention_ms=st.sampled_from([0, HOUR, 3 * HOUR]),
        min_compaction_lag_ms=st.sampled_from([0, 0, HOUR]),
        internal_segment_bytes=st.sampled_from([800, 2500]),
        cleanup_policy=st.sampled_from(["compact", "compact,delete"]),
    )
    def alter(self, **changes: Any) -> None:
        self.log.alter_topic(TOPIC, **changes)
        self.settings = {name: changes[name] for name in self.settings}

    @rule(minutes=st.sampled_from([1, 30, 60, 150]))
    def let_time_pass(self, minutes: int) -> None:
        self.clock.advance(minutes * 60_000)

    # ---------------------------------------------------------------- what goes

    @rule()
    def compact(self) -> None:
        if not self.sent:
            assert self.log.admin.compact(TOPIC) == {}
            return
        done = self.log.admin.compact(TOPIC)[PLACE]
        end = done.first_dirty_offset
        before = max(self.clean_end, self.start)
        if end <= before:
            assert done.records_before == 0
            self.clean_end = end
            return
        self.check_end(before, end)
        self.clean_end = end
        self.clean(end)
        assert done.records_after == sum(not each.is_gone for each in self.compacted(end))

    @rule(key=keys)
    def compact_and_again_much_later(self, key: bytes) -> None:
        """What was kept for a while the first time may go now."""
        self.compact()
        self.clock.advance(24 * HOUR)
        self.send([(key, b"later")])
        self.compact()

    def check_end(self, before: int, end: int) -> None:
        """It goes as far as records are old enough, whole segments at a time."""
        limit = self.clock.now_ms() - self.settings["min_compaction_lag_ms"]
        assert all(each.timestamp <= limit for each in self.sent[before:end])
        if end == len(self.sent):
            return
        bases = sorted(int(path.stem) for path in Path(self.path, f"{TOPIC}-0").glob("*.log"))
        assert end in bases
        following = next((base for base in bases if base > end), len(self.sent))
        assert any(each.timestamp > limit for each in self.sent[end:following])

    def compacted(self, end: int) -> list[Sent]:
        """What a pass goes over: whole segments, so deleted records may be among it."""
        folder = Path(self.path, f"{TOPIC}-0")
        first = min(int(path.stem) for path in folder.glob("*.log"))
        return self.sent[first:end]

    def clean(self, end: int) -> None:
        now_ms = self.clock.now_ms()
        latest = {each.key: each.offset for each in self.sent[:end]}
        retained: set[int] = set()
        for each in self.compacted(end):
            has_expired = self.horizons.get(each.batch, now_ms + 1) <= now_ms
            each.is_gone = (
                each.is_gone
                or latest[each.key] > each.offset
                or (each.value is None and has_expired)
            )
            if each.value is None and not each.is_gone:
                retained.add(each.batch)
        for batch in retained - self.horizons.keys():
            self.horizons[batch] = now_ms + self.settings["delete_retention_ms"]

    @rule(retained=st.sampled_from([1000, 4000]))
    def apply_retention(self, retained: int) -> None:
        self.log.alter_topic(TOPIC, retention_bytes=retained)
        self.start = self.log.admin.apply_retention(TOPIC).get(PLACE, self.start)
        self.log.alter_topic(TOPIC, retention_bytes=None)

    # ---------------------------------------------------------------- ends

    @rule()
    def close_and_reopen(self) -> None:
        self.log.close()
        assert [str(each) for each in verify_directory(OS_FILESYSTEM, self.path)] == []
        self.open_log()

    @rule(keep_shared=st.booleans())
    def die_and_reopen(self, keep_shared: bool) -> None:
        """The bytes as they are now are all that is left; without what processes share, perhaps."""
        before, old = self.path, self.log
        self.generation += 1
        shutil.copytree(before, self.path)
        if not keep_shared:
            os.unlink(f"{self.path}/streamlog.shared")
        self.open_log()
        old.close()

    @invariant()
    def what_survives_is_there(self) -> None:
        found = [
            (record.offset, bytes(record.key or b""), record.value and bytes(record.value))
            for record in self.log.read(TOPIC)
        ]
        expected = [
            (each.offset, each.key, each.value and bytes(each.value))
            for each in self.sent[self.start :]
            if not each.is_gone
        ]
        assert found == expected
        assert self.log.admin.beginning_offsets([PLACE]) == {PLACE: self.start}
        assert self.log.admin.end_offsets([PLACE]) == {PLACE: len(self.sent)}

    def teardown(self) -> None:
        self.log.close()
        shutil.rmtree(self.root)


TestCompaction = CompactionMachine.TestCase
TestCompaction.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def tombstones_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine: Any = compaction.LogCleaner

    def cleaner(*arguments: Any, **named: Any) -> Any:
        return genuine(*arguments, **{**named, "now_ms": 0})

    monkeypatch.setattr(compaction, "LogCleaner", cleaner)


def groups_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = compaction.swap_in_locked

    def swap_in_locked(log: Any, group: Any) -> None:
        if group.sources[0] == 0:
            genuine(log, group)

    monkeypatch.setattr(compaction, "swap_in_locked", swap_in_locked)


def tombstones_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine: Any = compaction.LogCleaner

    def cleaner(*arguments: Any, **named: Any) -> Any:
        config = msgspec.structs.replace(named["config"], delete_retention_ms=0)
        return genuine(*arguments, **{**named, "config": config})

    monkeypatch.setattr(compaction, "LogCleaner", cleaner)


@pytest.mark.parametrize("plant", [tombstones_for_ever, groups_that_stay, tombstones_too_early])
def test_planted_bugs_are_caught(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, streamlog.StreamlogError)):
        run_state_machine_as_test(
            CompactionMachine,
            settings=settings(
                max_examples=300,
                stateful_step_count=30,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
