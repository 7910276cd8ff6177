"""How soon does a command answer, and how much do `produce` and `consume` take through?

The first answer: `python -m streamlog topics list` on a directory of 1,000 topics, as a process of
its own, from its start to its end. Beside it the interpreter doing nothing, which no command can
be quicker than, and what a press of the tab key waits for. Bytecode is cached, as an installation
leaves it (and `PYTHONDONTWRITEBYTECODE` would not).

The rates: 100-byte values with keys of ten bytes, read from a file and written to one, by formats.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rig.benchmark import WRITTEN, Options, Result, Row, Table, run_benchmark

import streamlog

_FORMATS = {
    "lines": ("--key-separator", "\t"),
    "json": ("--format", "json"),
    "csv": ("--format", "csv"),
}


class Took(NamedTuple):
    """Seconds of a process: of the clock, and of the processor."""

    wall: float
    processor: float


class Commands:
    """Runs Python in processes of their own."""

    def __init__(self, scratch: Path) -> None:
        kept = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}
        root = Path(streamlog.__file__).parent.parent
        self._environment = {
            **kept,
            "PYTHONPYCACHEPREFIX": str(scratch / "bytecode"),
            "PYTHONPATH": str(root),
        }

    def run(self, arguments: Sequence[object], output: Path | None = None) -> Took:
        """Run it once. Raises where it fails."""
        with open(output or os.devnull, "wb") as sink:
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(
                [sys.executable, *map(str, arguments)],
                stdout=sink,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                check=True,
            )
            wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Took(wall, processor)

    def median(self, arguments: Sequence[object], repetitions: int) -> Took:
        """The medians of several runs, after one that fills the caches."""
        samples = [self.run(arguments) for _ in range(repetitions + 1)][1:]
        return Took(*map(statistics.median, zip(*samples, strict=True)))


def measure(options: Options) -> list[Result]:
    commands = Commands(options.scratch)
    return [*answers(options, commands), rates(options, commands)]


def answers(options: Options, commands: Commands) -> list[Result]:
    count = options.pick(1_000, 50)
    path = options.scratch / "topics"
    with streamlog.open(path) as log:
        log.admin.create_topics([f"topic-{number:04d}" for number in range(count)])
    command = ["-m", "streamlog"]
    bare = commands.median(["-c", "pass"], options.repetitions)
    listed = commands.median([*command, "topics", "list", path], options.repetitions)
    completed = commands.median(
        [*command, "__complete", "consume", path, "topic-001"], options.repetitions
    )
    return [
        Row(
            f"`streamlog topics list`, {count:,} topics, with the interpreter",
            "under 0.3 s",
            f"{_text(listed)}; the interpreter alone {_text(bare)}",
            listed.wall < 0.3,
        ),
        Row("the same topics completed in a shell", "", _text(completed), None),
    ]


def rates(options: Options, commands: Commands) -> Table:
    """Records a second through the commands, the process's start included."""
    count = options.pick(500_000, 2_000)
    path, text = options.scratch / "rates", options.scratch / "text"
    with streamlog.open(path) as log, log.producer(acks=1) as producer:
        log.create_topic("source")
        values = [b"%0100d" % number for number in range(count)]
        producer.send_many("source", values, [b"%010d" % number for number in range(count)])
    lines = {"produce": ["`produce`"], "consume": ["`consume`"]}
    for name, arguments in _FORMATS.items():
        consume = ["-m", "streamlog", "consume", path, "source", *arguments]
        produce = ["-m", "streamlog", "produce", path, name, text, *arguments, "--acks", "1"]
        commands.run(["-m", "streamlog", "topics", "create", path, name])
        samples = [
            (commands.run(consume, text).wall, commands.run(produce).wall)
            for _ in range(max(options.repetitions // 2, 1))
        ]
        for line, seconds in zip(("consume", "produce"), zip(*samples, strict=True), strict=True):
            lines[line].append(f"{count / statistics.median(seconds):,.0f}")
        with streamlog.open(path, read_only=True) as log:
            first, last = next(log.read(name)), log.admin.describe_partitions(name)[0].log_end
        assert (first.value, last) == (values[0], count * len(samples)), (first, last)
    return Table(
        f"Records/s of the command line (100-byte values, keys, acks=1: {WRITTEN})",
        ("", *_FORMATS),
        list(lines.values()),
    )


def _text(took: Took) -> str:
    return f"{took.wall * 1e3:.0f} ms ({took.processor * 1e3:.0f} ms of a processor)"


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
