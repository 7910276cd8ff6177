"""The power goes under real processes on real file systems: what was synced is there.

The harness proves itself first. The long form, some seven cuts a second:

    STREAMLOG_POWER_CUTS=2000 python -m pytest -m soak -s tests/crash/test_power_cuts.py
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.power_cuts import PowerCuts
from tests.machine.disks import KINDS, loop_disk
from tests.machine.sizes import SEED, size
from tests.multiprocess.ledger import BrokenPromiseError
from tests.multiprocess.nursery import Nursery, open_nursery
from tests.multiprocess.planted import POWER_PLANTS

CUTS = 100


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with open_nursery(quiet=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def pure_nursery() -> Iterator[Nursery]:
    with open_nursery("pure", quiet=True) as opened:
        yield opened


@pytest.mark.system
@pytest.mark.parametrize("plant", POWER_PLANTS)
def test_the_harness_finds_a_planted_bug(pure_nursery: Nursery, plant: str) -> None:
    with loop_disk(KINDS["ext4"]) as disk, pytest.raises(BrokenPromiseError):
        PowerCuts(pure_nursery, disk, 1, plant=plant).run(30)


@pytest.mark.system
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_synced_outlives_power_cuts(nursery: Nursery, kind: str) -> None:
    cuts = -(-CUTS // len(KINDS))
    with loop_disk(KINDS[kind]) as disk:
        outcome = PowerCuts(nursery, disk, SEED).run(cuts)
    print(kind, outcome)
    assert outcome.records_kept > 0


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_synced_outlives_thousands_of_power_cuts(nursery: Nursery, kind: str) -> None:
    cuts = -(-size("POWER_CUTS", 2000) // len(KINDS))
    with loop_disk(KINDS[kind]) as disk:
        outcome = PowerCuts(nursery, disk, SEED + 1).run(cuts)
    print(kind, outcome)
    assert outcome.records_kept > 0
