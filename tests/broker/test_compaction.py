"""Compaction of whole logs: what is due and what is not, and who is there meanwhile."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest

import streamlog
from streamlog.broker.throttle import Throttle
from streamlog.broker.verifying import verify_open_directory
from streamlog.errors import (
    ClosedError,
    LockTimeoutError,
    PolicyViolationError,
)
from streamlog.storage import shared
from streamlog.storage.checkpoints import read_offset_checkpoint
from streamlog.testing.clock import ManualClock
from streamlog.testing.memory_filesystem import MemoryFilesystem
from streamlog.types import PartitionCompaction, TopicPartition
from tests.broker.compacted import ORDERS, SETTINGS, bases, latest, names, offsets, write
from tests.broker.conftest import append
from tests.broker.machine import NOW, Machine

DAY_MS = 86_400_000
CHECKPOINT = "/log/cleaner-offset-checkpoint"


@pytest.fixture
def machine() -> Machine:
    return Machine()


def checkpoints(filesystem: MemoryFilesystem) -> dict[tuple[str, int], int]:
    return read_offset_checkpoint(filesystem, CHECKPOINT)


class TestByHand:
    def test_of_each_key_the_latest_record_stays(self, machine: Machine) -> None:
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        size = sum(filesystem.file_size(f"/log/orders-0/{base:020}.log") for base in bases(engine))
        done = engine.compact("orders")
        assert done == {ORDERS: PartitionCompaction(40, 5, size, done[ORDERS].bytes_after, 40)}
        assert 0 < done[ORDERS].bytes_after <= size / 7
        assert offsets(engine) == latest()
        assert checkpoints(filesystem) == {("orders", 0): 40}
        assert not [name for name in names(engine) if name.endswith((".swap", ".cleaned"))]
        assert verify_open_directory(engine) == []

    def test_a_second_time_there_is_nothing_to_do(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        engine.compact("orders")
        assert engine.compact("orders") == {ORDERS: PartitionCompaction(first_dirty_offset=40)}
        write(engine)
        assert engine.compact("orders")[ORDERS].records_before == 45
        assert offsets(engine) == [offset + 40 for offset in latest()]

    def test_a_map_that_is_too_small_takes_more_passes(self, machine: Machine) -> None:
        """Memory is bounded; the sums are those of one pass."""
        small, _ = machine.open(log_cleaner_dedupe_buffer_size=24 * 4)
        small.create_topic("orders", 1, SETTINGS)
        small.create_topic("others", 1, SETTINGS)
        for topic in ("orders", "others"):
            write(small, topic, keys=9)
        large, _ = machine.open()
        done, expected = small.compact("orders")[ORDERS], large.compact("others")
        assert offsets(small) == offsets(small, "others") == latest(keys=9)
        assert (done.records_before, done.records_after) == (40, 9)
        assert done.first_dirty_offset == expected[TopicPartition("others", 0)].first_dirty_offset

    def test_only_topics_that_say_so(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, {"retention_ms": 1})
        with pytest.raises(PolicyViolationError, match="cleanup_policy is delete") as raised:
            engine.compact("orders")
        assert raised.value.context["topic"] == "orders"

    def test_a_log_that_nobody_wrote_to(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 2, SETTINGS)
        assert engine.compact("orders") == {}

    def test_who_reads_and_writes_elsewhere_goes_on(self, machine: Machine) -> None:
        """A swap closes no writer's descriptors, and readers find the new files by themselves."""
        engine, _ = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine, count=35)
        other, _ = machine.open()
        log = other.partition("orders", 0)
        assert offsets(other) == list(range(35))
        view = log.fetch(0, 1 << 20).view
        kept = bytes(view)
        write(other, count=5)
        before = log.writer.base_offset
        engine.compact("orders")
        assert log.writer.base_offset == before
        assert bytes(view) == kept
        assert offsets(other) == latest()
        append(log, b"40.", key=b"key-0")
        assert offsets(engine) == [*latest(), 40]

    def test_a_sync_meanwhile_looks_for_no_sealed_segment(self, machine: Machine) -> None:
        """Everything was synced, into what was the active segment then."""
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        engine.partition("orders", 0).sync(40)
        last = bases(engine)[-1]
        other, others = machine.open()
        log = other.partition("orders", 0)
        paused, exchanged = threading.Event(), threading.Event()

        def sync() -> None:
            log.sync(log.log_end)
            paused.set()

        def pause(operation: str, target: str | int) -> None:
            if (operation, target) == ("open", f"/log/orders-0/{last:020}.log"):
                paused.set()
                exchanged.wait(30)

        def sync_meanwhile(operation: str, target: str | int) -> None:
            if (operation, target) == ("rename", f"/log/orders-0/{last:020}.log.cleaned"):
                append(log, b"40.", key=b"more")
                others.before = pause
                syncing.start()
                assert paused.wait(30)
            elif (operation, target) == ("unlink", f"/log/orders-0/{last:020}.index"):
                exchanged.set()
                syncing.join()

        syncing = threading.Thread(target=sync)
        filesystem.before = sync_meanwhile
        engine.compact("orders")
        assert exchanged.is_set()
        assert log.state().poisoned == 0
        assert offsets(engine) == [*latest(), 40]


class TestRounds:
    def test_the_dirtiest_goes_first(self, machine: Machine) -> None:
        engine, filesystem = machine.open()
        for name in ("clean", "dirty", "new"):
            engine.create_topic(name, 1, SETTINGS)
            write(engine, name, count=80)
            engine.compact(name)
        write(engine, "dirty", count=60)
        write(engine, "new", count=80)
        order: list[str] = []
        filesystem.before = lambda operation, target: (
            order.append(str(target).split("/")[2])
            if operation == "rename" and str(target).endswith(".log.cleaned")
            else None
        )
        engine.housekeeper.run_once(NOW)
        assert list(dict.fromkeys(order)) == ["new-0", "dirty-0"]

    def test_the_active_segment_is_left_alone(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine, count=38, keys=1)
        active = bases(engine)[-1]
        assert active < 37
        engine.housekeeper.run_once(NOW)
        assert offsets(engine) == list(range(active - 1, 38))
        assert bases(engine)[-1] == active

    def test_compacted_and_expired(self, machine: Machine) -> None:
        engine, _ = machine.open(log_cleaner_backoff_ms=1)
        settings = {**SETTINGS, "cleanup_policy": "compact,delete", "retention_ms": DAY_MS}
        engine.create_topic("orders", 1, settings)
        write(engine, count=38)
        engine.housekeeper.run_once(NOW)
        assert len(offsets(engine)) < 12
        machine.clock.advance(1)
        engine.housekeeper.run_once(NOW + DAY_MS + 1)
        assert offsets(engine) == []
        write(engine, count=38)
        machine.clock.advance(1)
        engine.housekeeper.run_once(NOW)
        assert 0 < len(offsets(engine)) < 12, "the checkpoint before the log's start means nothing"

    def test_deleted_records_are_no_part_of_it(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, {**SETTINGS, "cleanup_policy": "compact,delete"})
        write(engine, keys=1)
        engine.delete_records({ORDERS: 17})
        done = engine.compact("orders")[ORDERS]
        assert offsets(engine) == [39]
        assert done.records_before < 40 - 10
        assert verify_open_directory(engine) == []

    def test_what_is_compacted_no_more_keeps_its_gaps(self, machine: Machine) -> None:
        """Readers that open it then, and a recovery, know that offsets may be missing."""
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine, keys=17)
        engine.compact("orders")
        engine.alter_topics({"orders": {"cleanup_policy": "delete"}})
        append(engine.partition("orders", 0), b"40.")
        other, others = machine.open()
        assert offsets(other) == [*latest(keys=17), 40]
        filesystem.kill()
        others.kill()
        power = MemoryFilesystem(filesystem.image(), boot=2)
        power.unlink("/log/streamlog.shared")
        power.unlink("/log/recovery-point-offset-checkpoint") if power.exists(
            "/log/recovery-point-offset-checkpoint"
        ) else None
        again, _ = machine.after_power_cut(power)
        assert offsets(again) == [*latest(keys=17), 40]
        assert again.report is not None
        assert again.report.problems == []

    def test_a_roll_that_was_given_up(self, machine: Machine) -> None:
        """An empty file in the middle of a segment that went on is no segment."""
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        second = bases(engine)[1]
        for suffix in ("log", "index"):
            filesystem.close(filesystem.open(f"/log/orders-0/{second + 1:020}.{suffix}", 0o102))
        engine.compact("orders")
        assert offsets(engine) == latest()
        assert second + 1 not in bases(engine)
        assert verify_open_directory(engine) == []


class TestProducers:
    def test_their_last_sequence_numbers_stay(self, machine: Machine) -> None:
        """A batch that is sent again after its records were compacted away is a duplicate."""
        engine, filesystem = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        log = engine.partition("orders", 0)
        sent = [
            append(log, b"%d." % number, key=b"k", producer_id=7, producer_epoch=0, base_sequence=n)
            for n, number in enumerate(range(3))
        ]
        write(engine)
        engine.compact("orders")
        engine.compact("orders")
        filesystem.kill()
        other, _ = machine.open()
        log = other.partition("orders", 0)
        again = append(log, b"2.", key=b"k", producer_id=7, producer_epoch=0, base_sequence=2)
        assert (again.duplicate, again.base_offset) == (True, sent[2].base_offset)

    def test_an_open_transaction_ends_it(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, SETTINGS)
        write(engine, count=10, keys=1)
        log = engine.partition("orders", 0)
        how = {"producer_id": 7, "producer_epoch": 0, "base_sequence": 0, "transactional": True}
        begun = append(log, b"10.", key=b"key-0", **how).base_offset
        for offset in range(begun + 1, begun + 30):
            append(log, b"%d.%s" % (offset, b"." * 100), key=b"key-0")
        engine.compact("orders")
        found = offsets(engine)
        assert found[-30:] == list(range(begun, begun + 30))
        assert len(found) < 40


@pytest.mark.parametrize("start", range(0, 40, 3))
def test_a_reader_that_was_there_before_sees_all_of_it(machine: Machine, start: int) -> None:
    """It stands in the middle of the log, with a cursor, when what is around it goes."""
    engine, _ = machine.open()
    engine.create_topic("orders", 1, SETTINGS)
    write(engine, keys=17)
    other, _ = machine.open()
    log = other.partition("orders", 0)
    cursor = log.fetch(start, 1).cursor
    engine.compact("orders")
    found = []
    while cursor is not None and (fetched := log.fetch(cursor.offset, 1, cursor)).view:
        found.append(fetched.next_offset - 1)
        cursor = fetched.cursor
    assert found == [offset for offset in latest(keys=17) if offset > start]


def test_the_thread_compacts(tmp_path: Path) -> None:
    with streamlog.open(tmp_path / "log", log_cleaner_backoff_ms=1) as log:
        log.create_topic("orders", cleanup_policy="compact", internal_segment_bytes=700)
        producer = log.producer(acks=1)
        for number in range(200):
            producer.send("orders", b"x" * 100, key=b"key-%d" % (number % 5)).result()
        deadline = threading.Event()
        while len(found := list(log.read("orders"))) > 30:
            assert not deadline.wait(0.001)
        assert {bytes(record.key or b"") for record in found} == {b"key-%d" % n for n in range(5)}


class TestThrottle:
    def test_the_rate_is_kept(self) -> None:
        clock = ManualClock()
        waited: list[float] = []

        def wait(seconds: float) -> None:
            waited.append(seconds)
            clock.advance(math.ceil(seconds * 1000))

        throttle = Throttle(lambda: 1000, clock, wait)
        begun = clock.monotonic()
        for _ in range(100):
            throttle.passed(100)
            clock.advance(20)
        assert 9.5 < clock.monotonic() - begun < 10.2
        clock.advance(60_000)
        begun = clock.monotonic()
        for _ in range(10):
            throttle.passed(1000)
        assert clock.monotonic() - begun > 9.5, "a rest is not saved up"

    def test_without_a_limit_nobody_waits(self) -> None:
        throttle = Throttle(lambda: float("inf"), ManualClock(), lambda _: pytest.fail("waited"))
        throttle.passed(1 << 40)

    def test_it_is_asked_between_chunks(self, machine: Machine) -> None:
        engine, _ = machine.open(log_cleaner_io_max_bytes_per_second=1e6)
        passed: list[int] = []
        engine.housekeeper._cleaner._throttle.passed = passed.append  # type: ignore[method-assign]
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        done = engine.compact("orders")[ORDERS]
        # What is mapped is read, and read again to be copied.
        assert sum(passed) == 2 * done.bytes_before + done.bytes_after

    def test_closing_does_not_wait_for_it(self, machine: Machine) -> None:
        engine, _ = machine.open(log_cleaner_io_max_bytes_per_second=1)
        engine.create_topic("orders", 1, SETTINGS)
        write(engine)
        stopped = threading.Event()

        def compact() -> None:
            with pytest.raises(ClosedError):
                engine.compact("orders")
            stopped.set()

        thread = threading.Thread(target=compact)
        thread.start()
        engine.housekeeper.close()
        thread.join(30)
        assert stopped.is_set()


def test_one_process_at_a_time(machine: Machine) -> None:
    mine, filesystem = machine.open()
    other, _ = machine.open(lock_timeout_ms=50)
    mine.create_topic("orders", 1, SETTINGS)
    write(mine)
    assert filesystem.lock(
        mine._opening.locks_descriptor, shared.HOUSEKEEPING_LOCK, 1, exclusive=True
    )
    with pytest.raises(LockTimeoutError, match="does the housekeeping"):
        other.compact("orders")
    filesystem.kill()
    other.compact("orders")
    assert offsets(other) == latest()
