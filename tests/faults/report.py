"""The table of a run, for its summary: what each fault did to each operation, in letters."""

from __future__ import annotations

from collections import defaultdict

from tests.faults.table import Cell

#: By how they were found out, the cells of this run.
CELLS: dict[str, list[Cell]] = defaultdict(list)

LEGEND = """\
. goes well    N refused, not written    U outcome unknown    P poisoned until recovered
L lock timeout, named    C said to be corrupt    M K the exception itself    - makes no such call
lower case: the log had to be opened again"""

_LETTERS = (
    ("PartitionPoisonedError", "P"),
    ("LockTimeoutError", "L"),
    ("Corrupt", "C"),
    ("the loss is told", "C"),
    ("MemoryError", "M"),
    ("KeyboardInterrupt", "K"),
    ("(unknown)", "U"),
    ("(not_written)", "N"),
)


def letters(cell: Cell) -> str:
    found = set()
    for outcome in cell.outcomes:
        letter = next((letter for text, letter in _LETTERS if text in outcome), ".")
        found.add(letter.lower() if "opened again" in outcome else letter)
    return "".join(sorted(found)) or "-"


def render(cells: list[Cell]) -> str:
    """One line a fault, one column an operation; the number of places in the last one."""
    operations = list(dict.fromkeys(cell.operation for cell in cells))
    faults = list(dict.fromkeys(cell.fault for cell in cells))
    by_key = {(cell.fault, cell.operation): cell for cell in cells}
    widths = [max(len(name), 5) for name in operations]
    lines = [" " * 18 + "  ".join(map(str.ljust, operations, widths)) + "  places"]
    for fault in faults:
        row = [by_key.get((fault, operation)) for operation in operations]
        texts = ["" if cell is None else letters(cell) for cell in row]
        places = sum(cell.places for cell in row if cell is not None)
        lines.append(fault.ljust(18) + "  ".join(map(str.ljust, texts, widths)) + f"  {places}")
    return "\n".join(lines)
