"""kill -9, over and over: every acknowledged record is there, once and in order.

The harness proves itself first: each planted bug must be found.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.multiprocess.kill_cycles import KillCycles
from tests.multiprocess.ledger import BrokenPromiseError
from tests.multiprocess.nursery import Nursery
from tests.multiprocess.planted import PLANTS


@pytest.mark.parametrize("plant", PLANTS)
def test_the_harness_finds_a_planted_bug(pure_nursery: Nursery, tmp_path: Path, plant: str) -> None:
    dies = plant in ("no repair", "publish before write")
    cycles = KillCycles(pure_nursery, tmp_path / "log", 1, plant=plant, writers_die_writing=dies)
    with pytest.raises(BrokenPromiseError):
        cycles.run(200)


def test_nothing_is_lost_over_kills(nursery: Nursery, tmp_path: Path) -> None:
    outcome = KillCycles(nursery, tmp_path / "log", 2).run(120)
    assert outcome.kills > 120
    assert outcome.records_read > 0


def test_nothing_is_lost_when_writers_die_half_way_through_a_write(
    pure_nursery: Nursery, tmp_path: Path
) -> None:
    outcome = KillCycles(pure_nursery, tmp_path / "log", 3, writers_die_writing=True).run(60)
    assert outcome.records_acknowledged > 0


@pytest.mark.soak
def test_nothing_is_lost_over_a_thousand_kills(nursery: Nursery, tmp_path: Path) -> None:
    outcome = KillCycles(nursery, tmp_path / "log", 4).run(1000)
    print(outcome)
    assert outcome.cycles == 1000
