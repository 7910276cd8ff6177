"""Housekeeping: whose turn it is, when, and that what fails in one place stops nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.broker import metadata_records
from streamlog.broker.engine import Engine
from streamlog.broker.housekeeping import Housekeeper
from streamlog.errors import InputOutputError, LockTimeoutError, UnknownTopicError
from streamlog.storage import shared
from streamlog.testing.clock import ManualClock
from streamlog.types import TopicPartition
from tests.broker.conftest import append, read
from tests.broker.machine import NOW, Machine

HOUR = 3_600_000
SMALL = {"internal_segment_bytes": 1000}


@pytest.fixture
def machine() -> Machine:
    return Machine()


def fill(engine: Engine, topic: str, partition: int = 0, *, segments: int = 3) -> None:
    log = engine.partition(topic, partition)
    while len(bases(engine, topic, partition)) < segments:
        append(log, b"x" * 200, key=b"k", timestamp=NOW)


def bases(engine: Engine, topic: str, partition: int = 0) -> list[int]:
    filesystem = engine._opening.filesystem
    folder = f"/log/{topic}-{partition}"
    if not filesystem.is_directory(folder):
        return []
    names = filesystem.listdir(folder)
    return [int(name[:20]) for name in names if name.endswith(".log")]


class TestRules:
    @pytest.mark.parametrize(
        ("settings", "kept"),
        [
            ({}, 3),
            ({"retention_ms": HOUR}, 0),
            ({"retention_bytes": 0}, 0),
            ({"retention_ms": HOUR, "cleanup_policy": "compact,delete"}, 0),
            ({"retention_ms": HOUR, "cleanup_policy": "compact"}, 3),
            ({"retention_bytes": 0, "cleanup_policy": ""}, 3),
            ({"retention_ms": 3 * HOUR}, 3),
        ],
    )
    def test_what_the_settings_say(
        self, machine: Machine, settings: dict[str, Any], kept: int
    ) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, {**SMALL, **settings})
        fill(engine, "orders")
        end = engine.partition("orders", 0).log_end
        machine.clock.advance(2 * HOUR)
        moved = engine.apply_retention()
        assert moved == ({} if kept else {TopicPartition("orders", 0): end})
        assert len(bases(engine, "orders")) == (kept or 1)

    def test_a_change_of_the_settings_counts_from_the_next_round_on(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, SMALL)
        fill(engine, "orders")
        assert engine.apply_retention() == {}
        engine.metadata.change(
            lambda _: metadata_records.topic_configured("orders", {"retention.bytes": "0"})
        )
        assert list(engine.apply_retention("orders")) == [TopicPartition("orders", 0)]

    def test_the_topic_that_was_named_and_no_other(self, machine: Machine) -> None:
        engine, _ = machine.open()
        for name in ("orders", "planes"):
            engine.create_topic(name, 2, {**SMALL, "retention_bytes": 0})
            for partition in range(2):
                fill(engine, name, partition)
        assert set(engine.apply_retention("planes")) == {
            TopicPartition("planes", 0),
            TopicPartition("planes", 1),
        }
        assert len(bases(engine, "orders")) == 3
        with pytest.raises(UnknownTopicError):
            engine.apply_retention("plane")

    def test_a_clock_that_jumps_back_deletes_nothing_early(self, machine: Machine) -> None:
        engine, _ = machine.open()
        engine.create_topic("orders", 1, {**SMALL, "retention_ms": HOUR})
        fill(engine, "orders")
        machine.clock.jump(-1000 * HOUR)
        assert engine.apply_retention() == {}
        machine.clock.jump(1000 * HOUR)
        assert engine.apply_retention() == {}


class TestTurns:
    def test_one_process_at_a_time(self, machine: Machine) -> None:
        mine, filesystem = machine.open()
        other, _ = machine.open(lock_timeout_ms=50)
        locks = mine._opening.locks_descriptor
        assert filesystem.lock(locks, shared.HOUSEKEEPING_LOCK, 1, exclusive=True)
        assert not other.housekeeper.run_once(NOW)
        with pytest.raises(LockTimeoutError, match="does the housekeeping"):
            other.apply_retention()
        filesystem.kill()
        assert other.housekeeper.run_once(NOW)
        assert other.apply_retention() == {}

    def test_what_one_did_is_not_due_for_another(self, machine: Machine) -> None:
        mine, _ = machine.open()
        other, _ = machine.open()
        mine.create_topic("orders", 1, {**SMALL, "retention_bytes": 0})
        fill(mine, "orders")
        assert mine.housekeeper.run_once(NOW)
        assert len(bases(mine, "orders")) == 1
        fill(mine, "orders")
        other.housekeeper.run_once(NOW)
        machine.clock.advance(299_999)
        other.housekeeper.run_once(NOW)
        assert len(bases(mine, "orders")) == 3
        machine.clock.advance(1)
        other.housekeeper.run_once(NOW)
        assert len(bases(mine, "orders")) == 1

    def test_the_cleaners_topics_come_in_the_cleaners_time(self, machine: Machine) -> None:
        engine, _ = machine.open(log_cleaner_backoff_ms=100)
        for name, policy in (("orders", "delete"), ("keyed", "compact,delete")):
            engine.create_topic(name, 1, {**SMALL, "retention_bytes": 0, "cleanup_policy": policy})
        engine.housekeeper.run_once(NOW)
        for name in ("orders", "keyed"):
            fill(engine, name)
        machine.clock.advance(100)
        engine.housekeeper.run_once(NOW)
        assert (len(bases(engine, "orders")), len(bases(engine, "keyed"))) == (3, 1)

    def test_after_a_reboot_everything_is_due(self, machine: Machine) -> None:
        """The monotonic clock begins anew, and what stands in the header is in its future."""
        engine, _ = machine.open()
        machine.clock.advance(10 * HOUR)
        engine.housekeeper.run_once(NOW)
        machine.clock = ManualClock(NOW)
        again, _ = machine.open()
        again.create_topic("orders", 1, {**SMALL, "retention_bytes": 0})
        fill(again, "orders")
        again.housekeeper.run_once(NOW)
        assert len(bases(again, "orders")) == 1


class TestFailures:
    def test_one_partition_stops_no_other_and_is_passed_over(
        self, machine: Machine, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine, filesystem = machine.open()
        engine.create_topic("orders", 3, {**SMALL, "retention_bytes": 0})
        for partition in range(3):
            fill(engine, "orders", partition)
        filesystem.before = failing("unlink", "/log/orders-1/")
        engine.housekeeper.run_once(NOW)
        assert [len(bases(engine, "orders", number)) for number in range(3)] == [1, 4, 1]
        broken = TopicPartition("orders", 1)
        assert isinstance(engine.housekeeper.failed[broken], InputOutputError)
        assert "orders-1" in caplog.text
        filesystem.before = None
        machine.clock.advance(HOUR)
        engine.housekeeper.run_once(NOW)
        assert len(bases(engine, "orders", 1)) == 4, "nobody told it that all is well"
        assert engine.apply_retention() == {}, "its start had moved already"
        assert len(bases(engine, "orders", 1)) == 1
        assert engine.housekeeper.failed == {}

    def test_by_hand_the_failure_is_raised_when_all_were_tried(self, machine: Machine) -> None:
        engine, filesystem = machine.open()
        engine.create_topic("orders", 3, {**SMALL, "retention_bytes": 0})
        for partition in range(3):
            fill(engine, "orders", partition)
        filesystem.before = failing("unlink", "/log/orders-0/")
        with pytest.raises(InputOutputError):
            engine.apply_retention()
        assert [len(bases(engine, "orders", number)) for number in (1, 2)] == [1, 1]

    def test_a_round_records_all_starts_with_one_write(self, machine: Machine) -> None:
        engine, filesystem = machine.open()
        engine.create_topic("orders", 20, {**SMALL, "retention_bytes": 0})
        for partition in range(20):
            fill(engine, "orders", partition)
        renamed: list[str] = []
        filesystem.before = lambda operation, target: (
            renamed.append(str(target)) if operation == "rename" else None
        )
        assert len(engine.apply_retention()) == 20
        starts = "/log/log-start-offset-checkpoint.tmp"
        assert renamed.count(starts) == 1

    def test_a_topic_that_is_deleted_meanwhile(self, machine: Machine) -> None:
        engine, filesystem = machine.open()
        other, _ = machine.open()
        engine.create_topic("orders", 1, {**SMALL, "retention_bytes": 0})
        engine.create_topic("planes", 1, {**SMALL, "retention_bytes": 0})
        for name in ("orders", "planes"):
            fill(engine, name)
        deleted: list[str] = []

        def delete_first(operation: str, target: str | int) -> None:
            if operation == "rename" and not deleted:  # of the checkpoint's new content
                deleted.append("orders")
                other._forget_checkpoints = lambda _: None  # type: ignore[method-assign]
                other.delete_topic("orders")

        filesystem.before = delete_first
        assert TopicPartition("planes", 0) in engine.apply_retention()
        assert len(bases(engine, "planes")) == 1
        assert engine.housekeeper.failed == {}


def failing(operation: str, prefix: str) -> Callable[[str, str | int], None]:
    def before(asked: str, target: str | int) -> None:
        if asked == operation and str(target).startswith(prefix):
            raise OSError(5, "Input/output error")

    return before


class TestThread:
    @pytest.fixture
    def rounds(self, monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
        """Released when a round is over."""
        finished = threading.Semaphore(0)
        genuine = Housekeeper.run_once

        def run_once(self: Housekeeper, now_ms: int) -> bool:
            is_mine = genuine(self, now_ms)
            finished.release()
            return is_mine

        monkeypatch.setattr(Housekeeper, "run_once", run_once)
        return finished

    @staticmethod
    def threads() -> list[str]:
        return [one.name for one in threading.enumerate() if "housekeeping" in one.name]

    def test_it_begins_with_the_first_topic_that_asks(
        self, tmp_path: Path, rounds: threading.Semaphore
    ) -> None:
        with streamlog.open(tmp_path / "log", log_retention_check_interval_ms=1) as log:
            log.create_topic("plain", retention_ms=-1, retention_bytes=-1)
            log.producer().send("plain", b"x", timestamp_ms=1).result()
            assert self.threads() == []
            log.create_topic("orders", retention_ms=HOUR)
            log.producer().send("orders", b"x", timestamp_ms=1).result()
            for _ in range(3):  # one may have been under way
                assert rounds.acquire(timeout=30)
            assert log.admin.beginning_offsets([TopicPartition("orders", 0)]) == {
                TopicPartition("orders", 0): 1
            }
            assert [record.value for record in log.read("plain")] == [b"x"]
            assert len(self.threads()) == 1
        assert self.threads() == []

    def test_a_process_that_opens_later_takes_part(
        self, tmp_path: Path, rounds: threading.Semaphore
    ) -> None:
        with streamlog.open(tmp_path / "log", housekeeping=False) as log:
            log.create_topic("orders", retention_ms=HOUR)
            log.producer().send("orders", b"x", timestamp_ms=1).result()
            assert self.threads() == []
        with streamlog.open(tmp_path / "log") as log:
            assert rounds.acquire(timeout=30)
            assert list(log.read("orders")) == []

    def test_a_log_that_is_open_for_reading_does_none(self, tmp_path: Path) -> None:
        with streamlog.open(tmp_path / "log", housekeeping=False) as log:
            log.create_topic("orders", retention_ms=HOUR)
            log.producer().send("orders", b"x", timestamp_ms=1).result()
        with streamlog.open(tmp_path / "log", read_only=True) as log:
            assert len(list(log.read("orders"))) == 1
            assert self.threads() == []


def test_what_is_removed_stays_readable_to_who_holds_it(tmp_path: Path) -> None:
    with streamlog.open(tmp_path / "log", housekeeping=False) as log:
        log.create_topic("orders", retention_bytes=0, internal_segment_bytes=1000)
        log.producer().send_many("orders", [b"%d" % number for number in range(50)]).result()
        consumer = log.consumer("orders", auto_offset_reset="earliest")
        kept = consumer.poll_batches()
        log.admin.apply_retention()
        assert read(log.engine().partition("orders", 0), 50) == []
        values = [bytes(record.value) for batch in kept for record in batch]
        assert values == [b"%d" % number for number in range(len(values))]
        assert values
