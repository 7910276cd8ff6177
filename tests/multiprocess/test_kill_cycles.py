"""kill -9, over and over: every acknowledged record is there, once and in order.

Four writers, two readers, somebody who keeps house and somebody who creates and deletes topics.

The harness proves itself first: each planted bug must be found. The long form:

    STREAMLOG_KILLS=3000 python -m pytest -m soak tests/multiprocess/test_kill_cycles.py
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine.sizes import SEED, size
from tests.multiprocess.kill_cycles import KillCycles
from tests.multiprocess.ledger import BrokenPromiseError
from tests.multiprocess.nursery import Nursery
from tests.multiprocess.planted import KILL_PLANTS


@pytest.mark.parametrize("plant", KILL_PLANTS)
def test_the_harness_finds_a_planted_bug(pure_nursery: Nursery, tmp_path: Path, plant: str) -> None:
    dies = plant in ("no repair", "publish before write")
    cycles = KillCycles(pure_nursery, tmp_path / "log", 1, plant=plant, writers_die_writing=dies)
    with pytest.raises(BrokenPromiseError):
        cycles.run(300)


def test_nothing_is_lost_over_kills(nursery: Nursery, tmp_path: Path) -> None:
    outcome = KillCycles(nursery, tmp_path / "log", SEED + 1).run(100)
    assert outcome.kills >= 100
    done = outcome.records_read, outcome.records_deleted, outcome.topic_changes
    assert min(*done, outcome.compactions) > 0


def test_nothing_is_lost_when_writers_die_half_way_through_a_write(
    pure_nursery: Nursery, tmp_path: Path
) -> None:
    cycles = KillCycles(pure_nursery, tmp_path / "log", SEED + 2, writers_die_writing=True)
    assert cycles.run(100).records_acknowledged > 0


@pytest.mark.soak
def test_nothing_is_lost_over_thousands_of_kills(nursery: Nursery, tmp_path: Path) -> None:
    kills = size("KILLS", 3000)
    outcome = KillCycles(nursery, tmp_path / "log", SEED + 3).run(kills)
    print(outcome)
    assert outcome.kills >= kills
