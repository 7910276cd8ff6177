"""A mixed load, retention and compaction on, processes coming and going: nothing grows by it.

The harness first finds planted leaks. A minute in the runs marked `system`, an hour by hand:

    STREAMLOG_SOAK_S=3600 python -m pytest -m soak -s tests/multiprocess/test_soak.py
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine.sizes import SEED, size
from tests.multiprocess.nursery import Nursery
from tests.multiprocess.soaking import NotFlatError, Soak

#: Planted bugs of the housekeeper, and what grows then.
LEAKS = {
    "lost memory": "memory of the housekeeper",
    "lost descriptors": "descriptors of the housekeeper",
    "idle retention": "disk",
}


@pytest.mark.system
@pytest.mark.parametrize("plant", LEAKS)
def test_a_planted_leak_is_found(nursery: Nursery, memory_path: Path, plant: str) -> None:
    with pytest.raises(NotFlatError, match=LEAKS[plant]):
        Soak(nursery, memory_path / "log", 1, plant=plant).run(15)


@pytest.mark.system
def test_a_minute_of_mixed_load_leaves_everything_flat(nursery: Nursery, tmp_path: Path) -> None:
    outcome = Soak(nursery, tmp_path / "log", SEED).run(60)
    print(outcome)
    done = outcome.records_acknowledged, outcome.records_read, outcome.journeys
    assert min(*done, outcome.compactions) > 0


@pytest.mark.soak
def test_an_hour_of_mixed_load_leaves_everything_flat(nursery: Nursery, tmp_path: Path) -> None:
    print(Soak(nursery, tmp_path / "log", SEED + 1).run(size("SOAK_S", 3600)))
