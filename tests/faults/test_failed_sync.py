"""A sync that fails: what it covered is unknown, and nothing more is written until repaired.

The second sync would say that all is well while the data is gone: so there is no second one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamlog
from streamlog.errors import PartitionPoisonedError
from tests.multiprocess.nursery import Child, Nursery


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "log")
    with streamlog.open(path) as log:
        if not log.admin.describe().durable:
            pytest.skip("the temporary directory is in memory, where nothing is synced")
        log.create_topic("flights", partitions=1)
    return path


@pytest.fixture
def disk(failing_syncs: Path) -> Iterator[Path]:
    yield failing_syncs
    failing_syncs.unlink(missing_ok=True)


def send_with_failing_syncs(request: pytest.FixtureRequest, how: str, path: str) -> Child:
    """A process whose syncs fail. It stops, with everything open, when it has sent three."""
    if how == "shim":
        nursery: Nursery = request.getfixturevalue("shimmed_nursery")
        return nursery.start("send_all", path=path, count=3, acks="all")
    failing = request.getfixturevalue("failing_syncs")
    pure: Nursery = request.getfixturevalue("pure_nursery")
    return pure.start("fail_syncs", path=path, failing=str(failing))


def end(child: Child, said: str) -> None:
    """Have a process close its log, and say how that went."""
    child.go_on()
    assert child.answer() == said
    assert child.wait() == 0


def read(log: streamlog.StreamLog) -> list[bytes]:
    return [record.value.split(b"/")[0] for record in log.read("flights")]


@pytest.mark.parametrize("how", ["shim", "pure"])
class TestPoisoned:
    def test_the_first_failure_is_unknown_and_the_rest_is_refused_everywhere(
        self, request: pytest.FixtureRequest, path: str, disk: Path, how: str
    ) -> None:
        log = streamlog.open(path)
        producer = log.producer(acks="all")
        producer.send("flights", b"before/").result()
        disk.touch()
        child = send_with_failing_syncs(request, how, path)
        assert child.answer() == [
            ["PartitionPoisonedError", "unknown"],
            ["PartitionPoisonedError", "not_written"],
            ["PartitionPoisonedError", "not_written"],
        ]
        disk.unlink()
        # The disk works again, and this process's syncs never failed: it is refused all the same.
        with pytest.raises(PartitionPoisonedError) as caught:
            producer.send("flights", b"refused/").result()
        assert caught.value.outcome == "not_written"
        assert log.admin.describe_partitions("flights")[0].poisoned == 5
        with pytest.raises(PartitionPoisonedError):
            log.sync()
        assert read(log)[0] == b"before"
        end(child, "PartitionPoisonedError")
        with pytest.raises(PartitionPoisonedError):
            log.close()

    def test_it_is_recovered_by_hand_while_others_have_it_open(
        self, request: pytest.FixtureRequest, path: str, disk: Path, how: str
    ) -> None:
        with streamlog.open(path) as log, log.producer(acks="all") as producer:
            producer.send("flights", b"before/").result()
            disk.touch()
            child = send_with_failing_syncs(request, how, path)
            child.answer()
            disk.unlink()
            healed = log.admin.recover_partition("flights", 0)
            assert (healed.poisoned, healed.leader_epoch) == (0, 1)
            assert healed.synced_end == healed.log_end
            assert producer.send("flights", b"after/").result().durability == "synced"
            # The value whose sync failed was there to be copied: unknown, and it turned out well.
            assert read(log) == [b"before", b"0", b"after"]
            end(child, "closed")
            producer.send("flights", b"last/").result()
            assert [str(finding) for finding in log.verify()] == []

    def test_it_is_recovered_by_the_next_who_opens_alone(
        self, request: pytest.FixtureRequest, path: str, disk: Path, how: str
    ) -> None:
        disk.touch()
        child = send_with_failing_syncs(request, how, path)
        child.answer()
        end(child, "PartitionPoisonedError")
        disk.unlink()
        assert not os.path.exists(f"{path}/.kafka_cleanshutdown"), "this was no clean close"
        with streamlog.open(path) as log, log.producer(acks="all") as producer:
            assert log.admin.describe_partitions("flights")[0].poisoned == 0
            producer.send("flights", b"after/").result()
            assert read(log) in ([b"0", b"after"], [b"after"])
            assert [str(finding) for finding in log.verify()] == []

    def test_it_is_recovered_after_its_process_was_killed(
        self, request: pytest.FixtureRequest, path: str, disk: Path, how: str
    ) -> None:
        disk.touch()
        child = send_with_failing_syncs(request, how, path)
        child.answer()
        child.signal(signal.SIGKILL)
        child.wait()
        disk.unlink()
        with streamlog.open(path) as log, log.producer(acks="all") as producer:
            producer.send("flights", b"after/").result()
            assert read(log) in ([b"0", b"after"], [b"after"])


def test_the_harness_sees_healthy_syncs_as_such(
    shimmed_nursery: Nursery, path: str, disk: Path
) -> None:
    child = shimmed_nursery.start("send_all", path=path, count=3, acks="all")
    assert child.answer() == [0, 1, 2]
    end(child, "closed")
