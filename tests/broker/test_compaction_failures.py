"""Compaction that fails, is stopped, or whose process dies: nothing is lost, another goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import streamlog
from streamlog.broker.engine import Engine
from streamlog.broker.verifying import verify_open_directory
from streamlog.errors import (
    ClosedError,
    CorruptRecordError,
    DiskFullError,
    LockTimeoutError,
    PartitionPoisonedError,
)
from streamlog.record import layout
from streamlog.storage import compaction, segment_swap
from streamlog.storage.checkpoints import read_offset_checkpoint
from streamlog.storage.log_cleaner import CleanedGroup
from streamlog.storage.partition_log import PartitionLog
from streamlog.storage.structure import structure_lock
from streamlog.storage.verification import verify_directory
from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.broker.compacted import ORDERS, SETTINGS, bases, latest, names, offsets, write
from tests.broker.conftest import append, read
from tests.broker.machine import NOW, DeathError, Machine, die_at_step

CHECKPOINT = "/log/cleaner-offset-checkpoint"


@pytest.fixture
def machine() -> Machine:
    return Machine()


class TestFailures:
    def test_damage_is_noted_and_stops_no_other(
        self, machine: Machine, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine, filesystem = machine.open(log_cleaner_backoff_ms=1)
        for name in ("orders", "planes"):
            engine.create_topic(name, 1, SETTINGS)
            write(engine, name)
        path = f"/log/orders-0/{bases(engine)[1]:020}.log"
        descriptor = filesystem.open(path, 2)
        good = filesystem.pread(descriptor, 1, 150)
        filesystem.write_all(descriptor, b"\xff", 150)
        before = len(names(engine))
        engine.housekeeper.run_once(NOW)
        assert isinstance(engine.housekeeper.uncleanable[ORDERS], CorruptRecordError)
        assert "compaction of orders-0 failed" in caplog.text
        assert len(names(engine)) == before
        assert len(offsets(engine, "planes")) < 10
        with pytest.raises(CorruptRecordError, match="orders-0 cannot be compacted"):
            engine.compact("orders")
        filesystem.write_all(descriptor, good, 150)
        machine.clock.advance(1)
        engine.housekeeper.run_once(NOW)
        assert len(names(engine)) >= before, "nobody told it that all is well"
        engine.compact("orders")
        assert engine.housekeeper.uncleanable == {}
        assert offsets(engine) == latest()

    @pytest.mark.parametrize("operation", ["pwrite", "fsync", "rename", "open"])
    def test_a_full_disk_passes(
        self, machine: Machine, operation: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine, filesystem = machine.open(log_cleaner_backoff_ms=1)
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        opened: set[int] = set()

        def full(asked: str, target: str | int) -> None:
            if asked == operation and (".cleaned" in str(target) or isinstance(target, int)):
                raise OSError(28, "No space left on device")

        engine.partition("orders", 0).sync(40)
        filesystem.before = full
        with pytest.raises(DiskFullError):
            engine.compact("orders")
        assert not opened
        filesystem.before = None
        assert "has to wait" in caplog.text
        assert offsets(engine) == list(range(40))
        machine.clock.advance(1)
        engine.housekeeper.run_once(NOW)
        assert offsets(engine) == latest()
        assert not [name for name in names(engine) if name.endswith((".swap", ".cleaned"))]

    def test_somebody_else_at_the_partition(self, machine: Machine) -> None:
        engine, _ = machine.open(lock_timeout_ms=50)
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        other, _ = machine.open()
        with structure_lock(other.partition("orders", 0)), pytest.raises(LockTimeoutError):
            engine.compact("orders")
        assert engine.housekeeper.uncleanable == {}
        engine.compact("orders")
        assert offsets(engine) == latest()

    def test_a_topic_that_is_deleted_or_compacted_no_more_meanwhile(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for change in ("delete", "alter", "close"):
            engine, _ = machine.open()
            engine.create_topic("orders", 1, SETTINGS)
            write(engine)

            def meanwhile(engine: Engine = engine, change: str = change) -> None:
                with engine.metadata.lock:
                    if change == "alter":
                        engine.alter_topics({"orders": {"cleanup_policy": "delete"}})
                    elif change == "delete":
                        log = engine.partition("orders", 0)
                        engine._opening.shared.mark_deleted(log.slot)
                    else:
                        engine.housekeeper.close()

            monkeypatch.setattr(compaction.LogCleaner, "run", after(meanwhile))
            if change == "close":
                with pytest.raises(ClosedError):
                    engine.compact("orders")
            else:
                assert engine.compact("orders") == {}
                assert engine.housekeeper.run_once(NOW)
            assert not [name for name in names(engine) if name.endswith((".swap", ".cleaned"))]
            monkeypatch.undo()
            engine.delete_topic("orders")

    def test_a_poisoned_partition_is_left_alone(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        log = engine.partition("orders", 0)
        with log.locked():
            log._slots.publish_state(log.slot, log.state()._replace(poisoned=5))
        before = names(engine)
        engine.housekeeper.run_once(NOW)
        assert names(engine) == before
        assert engine.housekeeper.uncleanable == {}

    def test_a_checkpoint_that_cannot_be_read(self, machine: Machine) -> None:
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        engine.compact("orders")
        write(engine, count=1)
        filesystem.write_file(CHECKPOINT, b"nonsense")
        assert engine.compact("orders")[ORDERS].first_dirty_offset == 41
        assert read_offset_checkpoint(filesystem, CHECKPOINT) == {("orders", 0): 41}


def after(meanwhile: Callable[[], None]) -> Callable[[Any], Any]:
    """A pass, before which something happens."""
    genuine = compaction.LogCleaner.run

    def run(self: Any) -> Any:
        meanwhile()
        return genuine(self)

    return run


def read_size(filesystem: MemoryFilesystem, descriptor: int) -> int:
    """The size of the first batch of a segment."""
    return layout.INT32.unpack_from(filesystem.pread(descriptor, 12, 0), 8)[0] + 12  # type: ignore[no-any-return]


class TestDamage:
    """What only a log with gaps can hide: no checksum covers the offset of a batch."""

    def test_an_offset_that_no_record_can_have(self, machine: Machine) -> None:
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        log = engine.partition("orders", 0)
        for number in range(12):
            append(log, b"." * 100, key=b"%d" % number, timestamp=NOW + number)
        sealed, following = bases(engine)[1:3]
        descriptor = filesystem.open(f"/log/orders-0/{sealed:020}.log", 2)
        second = read_size(filesystem, descriptor)
        for damaged in (1 << 56, following):  # of no record in the log, of one in another segment
            filesystem.write_all(descriptor, damaged.to_bytes(8, "big"), second)
            found = log.fetch(sealed, 1 << 20, None)
            assert (len(found.view), found.next_offset) == (second, sealed + 1)
            with pytest.raises(CorruptRecordError, match=f"go on at {sealed + 2}"):
                log.fetch(sealed + 1, 1 << 20, None)
            with pytest.raises(CorruptRecordError):
                log.offset_for_time(NOW + sealed + 1)
            assert read(log, following)[-1][0] == 11

    def test_a_segment_that_vanished_is_not_synced_past(self, machine: Machine) -> None:
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine, count=12)
        engine.sync()
        before = names(engine)
        filesystem.unlink(f"/log/orders-0/{bases(engine)[-1]:020}.log")
        with pytest.raises(PartitionPoisonedError, match="No such file"):
            engine.compact("orders")
        assert bases(engine)[:-1] == [int(name[:20]) for name in before if "log" in name][:-1]


class TestDeaths:
    """The process that compacts is killed at every step; the others go on, or open it anew."""

    @staticmethod
    def prepare(machine: Machine) -> tuple[Engine, MemoryFilesystem]:
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        log = engine.partition("orders", 0)
        for sequence in range(2):
            how = {"producer_id": 7, "producer_epoch": 0, "base_sequence": sequence}
            append(log, b"%d." % sequence, key=b"key-0", **how)
        write(engine, count=18, keys=4)
        engine.alter_topics({"orders": {"internal_segment_bytes": 1500}})  # two or three together
        return engine, filesystem

    @pytest.fixture
    def steps(self) -> list[str]:
        """All that a pass does, when nothing comes between."""
        engine, filesystem = self.prepare(Machine())
        steps = die_at_step(engine, filesystem, 1 << 30)
        engine.compact("orders")
        assert {step.split()[0] for step in steps} >= {"publish", "rename", "unlink", "fsync"}
        return steps

    def die(self, machine: Machine, step: int) -> None:
        engine, filesystem = self.prepare(machine)
        die_at_step(engine, filesystem, step)
        with pytest.raises(DeathError):
            engine.compact("orders")
        filesystem.before = None
        filesystem.kill()

    def check(self, engine: Engine) -> None:
        """All that was there before or half of that; then another one finishes."""
        found = offsets(engine)
        assert set(found) >= {16, 17, 18, 19}
        assert found == sorted(set(found))
        engine.compact("orders")
        assert offsets(engine) == [16, 17, 18, 19]
        assert not [name for name in names(engine) if name.endswith((".swap", ".cleaned"))]
        log = engine.partition("orders", 0)
        again = append(log, b"1.", key=b"key-0", producer_id=7, producer_epoch=0, base_sequence=1)
        assert again.duplicate
        assert verify_open_directory(engine) == []

    def test_another_process_goes_on(self, steps: list[str]) -> None:
        for step in range(1, len(steps) + 1):
            machine = Machine()
            other, filesystem = machine.open()  # it is there before
            self.die(machine, step)
            self.check(other)
            other.close_now()
            assert list(verify_directory(filesystem, "/log")) == []

    def test_a_swap_in_another_order_is_caught(
        self, steps: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def swap_in_locked(log: PartitionLog, group: CleanedGroup) -> None:
            """Old files go before the new ones are complete."""
            present = frozenset(log._filesystem.listdir(log.directory))
            old = segment_swap._old_files(group, present)
            for name in [name for step in old for name in step]:
                log._filesystem.unlink(f"{log.directory}/{name}")
            for name in [name for segment in group.segments for name in segment.names]:
                path = f"{log.directory}/{name}"
                log._filesystem.rename(f"{path}.cleaned", path)

        monkeypatch.setattr(compaction, "swap_in_locked", swap_in_locked)
        for test in (self.test_another_process_goes_on, self.test_who_opens_it_next_goes_on):
            with pytest.raises((AssertionError, streamlog.StreamlogError)):
                test(steps)

    def test_who_opens_it_next_goes_on(self, steps: list[str]) -> None:
        for step in range(1, len(steps) + 1):
            machine = Machine()
            self.die(machine, step)
            engine, _ = machine.open()
            assert engine.report is not None
            assert engine.report.problems == []
            self.check(engine)
