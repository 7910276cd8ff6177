"""Every fault meets every operation, and what comes of it is what is written down.

`outcomes.txt` is the table. A plain run looks at some places of each cell through the filesystem
door; the runs marked `system` look at all of them, and below compiled code. What was found is in
the summary of the run and in a file that it names.

The pure kernel has no maps for reading: it reads a segment that is open by `pread`, where the
compiled one has the pages already and calls nobody. The cells that differ for that reason are in
`outcomes_pure.txt`, and no others. After a change that is meant, the new tables:

    STREAMLOG_WRITE_OUTCOMES=1 python -m pytest -m system tests/faults/test_table.py
    STREAMLOG_WRITE_OUTCOMES=1 STREAMLOG_KERNEL=pure python -m pytest -m system \\
        -k all_places tests/faults/test_table.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlog.storage.append import PartitionWriter
from streamlog.storage.system import COMPILED
from tests.faults.fault_kinds import FAULTS, Fault
from tests.faults.injecting import Door
from tests.faults.operations import OPERATIONS
from tests.faults.report import CELLS
from tests.faults.stage import BrokenPromiseError
from tests.faults.table import Cell, Table, cell_of
from tests.machine.disks import KINDS, loop_disk
from tests.machine.shim import compile_shim
from tests.machine.sizes import size
from tests.multiprocess.nursery import Nursery, open_nursery

OUTCOMES = Path(__file__).with_name("outcomes.txt")
OUTCOMES_PURE = Path(__file__).with_name("outcomes_pure.txt")
NAMES = [fault.name for fault in FAULTS]
KEYS = [(name, operation.name) for name in NAMES for operation in OPERATIONS]
FEW = 4
#: Allocations fail by the thousand: how many of them are looked at in a cell.
ALLOCATIONS = 12


def read_table(path: Path) -> dict[tuple[str, str], Cell]:
    lines = path.read_text().splitlines() if path.exists() else []
    return {(cell.fault, cell.operation): cell for cell in map(cell_of, lines)}


def expected() -> dict[tuple[str, str], Cell]:
    """What comes of each fault with the kernel that is running."""
    return read_table(OUTCOMES) | ({} if COMPILED else read_table(OUTCOMES_PURE))


def fault_named(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)


@pytest.fixture(scope="module")
def door_table(memory_folder: Path) -> Iterator[Table]:
    with Door().installed() as door:
        yield Table(str(memory_folder), door)


def hold_against_the_table(found: list[Cell], how: str, *, is_sample: bool) -> None:
    CELLS[how] += found
    table = expected()
    for cell in found:
        written = table[cell.fault, cell.operation].outcomes
        assert cell.outcomes <= written if is_sample else cell.outcomes == written, str(cell)


@pytest.mark.parametrize("name", NAMES)
def test_outcomes_at_some_places(door_table: Table, name: str) -> None:
    found = [door_table.cell(fault_named(name), one, most=FEW) for one in OPERATIONS]
    hold_against_the_table(found, "some places, pure", is_sample=True)


@pytest.mark.system
@pytest.mark.parametrize("name", NAMES)
def test_outcomes_at_all_places(door_table: Table, name: str) -> None:
    found = [door_table.cell(fault_named(name), one) for one in OPERATIONS]
    if size("WRITE_OUTCOMES", 0):
        write_down(found)
    hold_against_the_table(found, "all places, pure", is_sample=False)


def write_down(found: list[Cell]) -> None:
    """Have the table of this kernel say what was found."""
    common = read_table(OUTCOMES)
    path = OUTCOMES if COMPILED else OUTCOMES_PURE
    table = read_table(path) | {(cell.fault, cell.operation): cell for cell in found}
    if not COMPILED:
        table = {key: one for key, one in table.items() if one.outcomes != common[key].outcomes}
    path.write_text("".join(f"{table[key]}\n" for key in KEYS if key in table))


@pytest.fixture(scope="module")
def struck_nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Children of the compiled kernel, with the C library's calls in our hands."""
    library = compile_shim(tmp_path_factory.mktemp("shim"))
    with open_nursery(
        "compiled",
        roles=["tests.faults.roles"],
        quiet=True,
        LD_PRELOAD=str(library),
        PYTHONMALLOC="malloc",
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def ext4() -> Iterator[Path]:
    with loop_disk(KINDS["ext4"]) as disk:
        yield disk.path


@pytest.mark.system
@pytest.mark.parametrize("name", NAMES)
def test_outcomes_below_compiled_code(struck_nursery: Nursery, ext4: Path, name: str) -> None:
    folder = ext4 / name.replace(" ", "-")
    folder.mkdir()
    most = ALLOCATIONS if name == "MemoryError" else 0
    child = struck_nursery.start("run_cells", folder=str(folder), fault=name, most=most)
    found = [cell_of(child.answer()) for _ in OPERATIONS]
    assert child.wait() == 0
    if name == "MemoryError":  # the interpreter does without some of its allocations
        CELLS["all places, compiled"] += found
        outcomes = {outcome for cell in found for outcome in cell.outcomes}
        said = ("MemoryError", "ok", "InputOutputError (not_written)")  # the C library's ENOMEM
        assert all(outcome.startswith(said) for outcome in outcomes), outcomes
    else:
        hold_against_the_table(found, "all places, compiled", is_sample=True)


def test_a_write_that_is_not_taken_back_is_caught(
    door_table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: half of a batch stays, and is called not written."""

    def publish(self: PartitionWriter, state: object) -> None:
        self._set_word(5, state.end_position + 40)  # type: ignore[attr-defined]
        self._slots.publish_state(
            self.slot,
            state._replace(end_position=state.end_position + 40),  # type: ignore[attr-defined]
        )

    monkeypatch.setattr(PartitionWriter, "_take_back_locked", publish)
    append = next(one for one in OPERATIONS if one.name == "append")
    with pytest.raises(BrokenPromiseError):
        door_table.cell(fault_named("ENOSPC"), append)


def test_the_table_is_whole() -> None:
    assert list(read_table(OUTCOMES)) == KEYS


def test_the_pure_kernel_differs_only_where_reading_can_fail() -> None:
    common = read_table(OUTCOMES)
    for key, cell in read_table(OUTCOMES_PURE).items():
        assert "pread" in fault_named(key[0]).calls
        assert cell.outcomes != common[key].outcomes
