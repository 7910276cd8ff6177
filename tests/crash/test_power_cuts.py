"""The power goes under real processes on real file systems: what was synced is there.

The harness proves itself first, by data that is not synced. That a directory is not shows in the
explorer alone: on these file systems the sync of a file commits the journal, its name included.
The long form, some seven cuts a second:

    STREAMLOG_POWER_CUTS=2000 python -m pytest -m soak -s tests/crash/test_power_cuts.py
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import streamlog
from streamlog.storage.filesystem import OS_FILESYSTEM
from tests.crash.power_cuts import PowerCuts
from tests.machine.disks import KINDS, LoopDisk, loop_disk, write_back
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


@pytest.mark.system
def test_what_was_lost_once_does_not_come_back_from_behind_the_end(nursery: Nursery) -> None:
    """ext4 keeps the bytes of a block behind a file's end; a longer file has them again."""
    with loop_disk(KINDS["ext4"]) as disk:
        with streamlog.open(disk.path / "log") as log:
            log.create_topic("flights")
        del log  # it is mapped for as long as there is a reference
        after_first = send_and_cut(nursery, disk, [b"synced", b"lost"], write_back_log=True)
        assert after_first == [b"synced"]
        after_second = send_and_cut(nursery, disk, [b"next"], write_back_log=False)
        assert after_second in ([b"synced"], [b"synced", b"next"])


def send_and_cut(
    nursery: Nursery, disk: LoopDisk, values: list[bytes], *, write_back_log: bool
) -> list[bytes]:
    """Send values, the first with acks "all" if it says so, and cut the power; what is left.

    Of the last one either the bytes reach the disk, and no length, or the length alone.
    """
    path = disk.path / "log"
    child = nursery.start("send_in_order", path=str(path), values=[v.decode() for v in values])
    assert child.answer() == "sent"
    if write_back_log:
        write_back(path / "flights-0" / f"{0:020d}.log", 0, 4096)
    else:
        OS_FILESYSTEM.write_file(str(disk.path / "other"), b"commits the journal", sync=True)
    child.signal(signal.SIGKILL)
    disk.cut_power(flush_log=False)
    child.wait()
    disk.unmount()
    disk.mount()
    with streamlog.open(path) as log:
        return [bytes(record.value).strip() for record in log.read("flights")]
