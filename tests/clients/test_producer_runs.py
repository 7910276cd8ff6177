"""Full batches that go into the log together: one append, each with its own outcome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlog.errors import DiskFullError, PartitionPoisonedError
from tests.clients.producer_rig import KERNELS_AND_SKINS, Rig, open_rig
from tests.clients.skins import LoopThread
from tests.clients.test_producer_failures import FailingLog, _interrupt_at


@pytest.fixture(params=KERNELS_AND_SKINS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, loop_thread: LoopThread) -> Iterator[Rig]:
    kernel, skin = request.param.split()
    with open_rig(str(tmp_path / "log"), kernel, loop_thread if skin == "async" else None) as rig:
        rig.engine.create_topic("one")
        yield rig


def values(count: int) -> list[bytes]:
    """Values of which two fill a batch of 300 bytes."""
    return [b"%03d" % number * 30 for number in range(count)]


class CountedLog(FailingLog):
    """Counts the appends on their way to the log."""

    appends = 0

    def append(self, *arguments: Any, **keywords: Any) -> Any:
        self.appends += 1
        return super().append(*arguments, **keywords)


@pytest.mark.parametrize("acks", [1, "all"])
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_four_full_batches_are_one_append(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, acks: Any, codec: str
) -> None:
    log = CountedLog(rig, monkeypatch)
    producer = rig.producer(acks=acks, batch_size=300, compression_type=codec)
    futures = [producer.send("one", value) for value in values(16)]
    assert log.appends == 1
    assert len(rig.batches("one")) == 4
    producer.flush()
    assert [future.result().offset for future in futures] == list(range(16))
    assert rig.values("one") == values(16)
    assert producer.memory_used == 0


def test_a_refused_run_falls_apart_and_each_batch_is_tried(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CountedLog(rig, monkeypatch)
    log.before = [DiskFullError("full"), DiskFullError("still full")]
    producer = rig.producer(acks=1, batch_size=300)
    futures = [producer.send("one", value) for value in values(8)]
    assert [type(future.exception()) for future in futures[:2]] == [DiskFullError] * 2
    producer.flush()
    assert rig.values("one") == values(8)[2:]


def test_a_run_of_unknown_outcome_is_not_written_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CountedLog(rig, monkeypatch)
    log.after = [PartitionPoisonedError("a sync failed", outcome="unknown")]
    producer = rig.producer(acks=1, batch_size=300)
    futures = [producer.send("one", value) for value in values(9)]
    outcomes = {type(future.exception()) for future in futures[:8]}
    assert outcomes == {PartitionPoisonedError}
    assert rig.values("one") == values(8)


def test_an_interrupt_at_any_place_writes_a_run_once(tmp_path: Path) -> None:
    with open_rig(str(tmp_path / "log"), "pure") as rig:
        for strike in range(5000):
            topic = f"t{strike}"
            rig.engine.create_topic(topic)
            producer = rig.producer(acks="all", batch_size=300)
            sent: list[bytes] = []
            wanted = values(9)

            def work(
                producer: Any = producer, topic: str = topic, sent: list[bytes] = sent
            ) -> None:
                for value in wanted:  # noqa: B023  # used before the next round
                    producer.send(topic, value)
                    sent.append(value)

            struck = _interrupt_at(strike, work)
            producer.flush()
            found = rig.values(topic)
            assert found[: len(sent)] == sent, strike
            assert found == wanted[: len(found)], strike
            assert len(found) <= len(sent) + 1, strike
            assert producer.memory_used == 0, strike
            producer.close()
            if not struck:
                break
        assert strike > 100
