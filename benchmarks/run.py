"""Runs the benchmarks, each in a process of its own, and prints the README's table as Markdown.

    python benchmarks/run.py                    the table
    python benchmarks/run.py --growth           and how costs grow, message by message as well
    python benchmarks/run.py --quick --growth   does everything run at all? (no figures to trust)
    python benchmarks/run.py --only send idle   some of them

Needs the extra `benchmark` (what streamlog is measured against), and a machine that does nothing
else. A missed target is printed and is no failure; a benchmark that does not run, or whose records
do not come back, is one. `--broker HOST:PORT` measures against a real Kafka broker, and `--broker
start` starts one (with Java and Maven).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rig.benchmark import Result, Row, Table, add_options, format_results
from rig.real_broker import broker_at

import streamlog

_HERE = Path(__file__).resolve().parent
_QUESTIONS = (
    "send",
    "iterate",
    "poll_batches",
    "embedded",
    "acks_all",
    "one_record",
    "busy_thread",
    "four_processes",
    "wake_up",
    "groups",
    "settings",
    "compaction",
    "retention",
    "async_clients",
    "first_record",
    "groups_wire",
    "produce_wire",
    "consume_wire",
    "produce_waited_wire",
    "serve",
    "connections",
    "open_many",
    "command_line",
    "recover",
    "backup",
    "memory",
    "idle",
)
_GROWTH = (
    "growth_value_size",
    "growth_partitions",
    "growth_log_length",
    "growth_codec",
    "wire_messages",
)
_KINDS: dict[str, type[Row | Table]] = {"Row": Row, "Table": Table}


def main() -> int:
    arguments = parse_arguments()
    names = arguments.only or [*_QUESTIONS, *(_GROWTH if arguments.growth else ())]
    with (
        tempfile.TemporaryDirectory(dir=arguments.directory) as scratch,
        broker_at(arguments.broker, Path(scratch)) as broker,
    ):
        results, failed = run(names, passed_on(arguments, broker))
    print(describe_machine(), format_results(results), sep="\n\n")
    return 1 if failed else 0


def run(names: Sequence[str], options: Sequence[str]) -> tuple[list[Result], list[str]]:
    """What came out of the benchmarks of those names, and those that failed."""
    results: list[Result] = []
    failed = []
    for name in names:
        began = time.monotonic()
        outcome = subprocess.run(
            [sys.executable, str(_HERE / f"{name}.py"), "--json", *options],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        took = f"{time.monotonic() - began:.0f} s"
        if outcome.returncode == 0:
            found = json.loads(outcome.stdout.splitlines()[-1])
            results += [_KINDS[kind](*fields) for kind, *fields in found]
            print(f"{name}: {took}", file=sys.stderr)
        else:
            failed.append(name)
            print(f"{name}: FAILED with {outcome.returncode} after {took}", file=sys.stderr)
    return results, failed


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--growth", action="store_true", help="also how costs grow")
    parser.add_argument(
        "--only", nargs="+", choices=[*_QUESTIONS, *_GROWTH], metavar="NAME", help="only these"
    )
    return parser.parse_args()


def passed_on(arguments: argparse.Namespace, broker: str | None) -> list[str]:
    options = ["--repetitions", str(arguments.repetitions)]
    options += ["--quick"] * arguments.quick + ["--full"] * arguments.full
    for name, value in (("directory", arguments.directory), ("broker", broker)):
        if value is not None:
            options += [f"--{name}", value]
    return options


def describe_machine() -> str:
    return (
        f"{platform.system()} {platform.release()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, kernel: {streamlog.kernel}"
    )


if __name__ == "__main__":
    sys.exit(main())
