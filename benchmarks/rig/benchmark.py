"""What every benchmark file does around its question: options, a scratch directory, output."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import streamlog
from rig.real_broker import START, broker_at

BUFFERED, WRITTEN, SYNCED = "buffered", "written", "synced"


class Options(NamedTuple):
    """What the command line asked for. `scratch` is an empty directory of this run alone."""

    scratch: Path
    quick: bool
    full: bool
    repetitions: int
    broker: str | None

    def pick(self, usual: int, quick: int) -> int:
        """A size: the usual one, or that of `--quick`."""
        return quick if self.quick else usual


class Row(NamedTuple):
    """One line of the README's table. `reached` is None where there is no target or no answer."""

    what: str
    target: str
    measured: str
    reached: bool | None
    durability: str = ""


class Table(NamedTuple):
    """How a cost grows."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]


Result = Row | Table


def run_benchmark(description: str | None, measure: Callable[[Options], list[Result]]) -> None:
    """Parse the command line, measure, and print what came out as Markdown (or JSON)."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print results for run.py")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="streamlog-benchmark-", dir=arguments.directory))
    try:
        with broker_at(arguments.broker, scratch) as broker:
            results = measure(
                Options(
                    scratch,
                    arguments.quick,
                    arguments.full,
                    1 if arguments.quick else arguments.repetitions,
                    broker,
                )
            )
    finally:
        shutil.rmtree(scratch)
    if arguments.json:
        print(json.dumps([[type(result).__name__, *result] for result in results]))
    else:
        print(f"streamlog's kernel: {streamlog.kernel}\n")
        print(format_results(results))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that one file and `run.py` have in common."""
    parser.add_argument("--quick", action="store_true", help="small and once: does it run at all?")
    parser.add_argument("--full", action="store_true", help="also what takes minutes and 10 GB")
    parser.add_argument("--repetitions", type=int, default=7, metavar="N", help="default: 7")
    parser.add_argument("--directory", metavar="DIR", help="where to write (default: $TMPDIR)")
    parser.add_argument(
        "--broker",
        metavar="HOST:PORT",
        help="a real Kafka broker, instead of the mock cluster (over the wire: beside it); "
        f"{START!r} starts one",
    )


def ratio_row(  # the columns of the table, in its order
    what: str,
    target: float | None,
    peer: str,
    ratio: float,
    spread: Sequence[float],
    durability: str,
) -> Row:
    """A row whose target is to be `target` times as fast as a peer; None where there is none."""
    return Row(
        what,
        f"(beside {peer})" if target is None else f"{target:g} x {peer}",
        f"{ratio:.2f} x ({min(spread):.2f}-{max(spread):.2f})",
        None if target is None else ratio >= target,
        durability,
    )


def format_results(results: Sequence[Result]) -> str:
    """All rows as one Markdown table, then each table of its own."""
    parts = []
    rows = [result for result in results if isinstance(result, Row)]
    if rows:
        columns = ("what", "to reach", "measured", "", "durability")
        lines = [
            (row.what, row.target, row.measured, _verdict(row), row.durability) for row in rows
        ]
        parts.append(_format_table(columns, lines))
    tables = [result for result in results if isinstance(result, Table)]
    parts += [f"**{each.title}**\n\n{_format_table(each.columns, each.lines)}" for each in tables]
    return "\n\n".join(parts)


def _verdict(row: Row) -> str:
    if row.reached is None:
        return ""
    return "reached" if row.reached else "**missed**"


def _format_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    table = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in table)
