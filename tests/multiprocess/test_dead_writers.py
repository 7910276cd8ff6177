"""A writer killed before each single step of its appends, rolls and indexes included.

Whoever was there beside it goes on: nothing acknowledged is lost, nothing half written is seen.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import streamlog
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from tests.multiprocess.ledger import Ledger
from tests.multiprocess.nursery import Nursery
from tests.multiprocess.values import (
    ACKNOWLEDGED,
    ENDED,
    PLACES,
    SENDING,
    Report,
    split_reports,
    value_of,
)

SURVIVOR = 21  # its values grow: the first ones fit where the dead writer rolled
MOST_STEPS = 400


def die(nursery: Nursery, path: str, step: int, ledger: Ledger) -> bool:
    """Let a writer die at `step`; whether it got to its end instead."""
    child = nursery.start("dying_writer", path=path, step=step)
    ended = False
    while data := child.read():
        for report in split_reports(data):
            ended = ended or report.kind == ENDED
            ledger.take(1, report)
    child.wait()
    return ended


def survive(log: streamlog.StreamLog, ledger: Ledger) -> None:
    """Append small values and large ones: what was left in the files would show beside them."""
    with log.producer(acks=1) as producer:
        for number in range(6):
            value = value_of(SURVIVOR, 0, number)
            ledger.take(SURVIVOR, Report(SENDING, 0, number, 1))
            offset = producer.send(PLACES[0].topic, value, partition=0).result().offset
            ledger.take(SURVIVOR, Report(ACKNOWLEDGED, 0, number, 1, offset))


def test_a_writer_that_dies_at_any_step_leaves_nothing_behind(
    pure_nursery: Nursery, memory_path: Path
) -> None:
    for step in range(1, MOST_STEPS):
        path = str(memory_path / str(step))
        ledger = Ledger()
        with streamlog.open(path) as log:
            for topic in ("flights", "planes"):
                log.create_topic(
                    topic, partitions=3, internal_segment_bytes=1000, index_interval_bytes=200
                )
            ended = die(pure_nursery, path, step, ledger)
            survive(log, ledger)
            ledger.check(log, whole=True)
        found = [str(each) for each in verify_directory(OS_FILESYSTEM, path)]
        assert found == [], f"killed before step {step}"
        if ended:
            assert step > 40, "few steps were seen: the harness counts the wrong ones"
            return
    pytest.fail("the writer never got to its end")
