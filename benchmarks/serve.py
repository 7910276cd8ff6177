"""How long from `import streamlog` to the first answer over the wire?

A fresh interpreter, already running, notes the time, imports streamlog, opens a directory, listens
and says where. This process connects, asks for the API's versions, as every client does first, and
notes the time when it has read the answer. (One clock: CLOCK_MONOTONIC.) In a directory that did
not exist, in the same one opened again, and in memory. Beside it `streamlog serve`, from the start
of its process to the same answer, interpreter included. Byte code is cached, as it is after an
installation.

What is fair: the client's connecting, and its own encoding and decoding, are part of the time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rig.benchmark import SYNCED, WRITTEN, Options, Result, Row, run_benchmark
from rig.listening import Connection

import streamlog

_TARGET_S = 0.15

_PROGRAM = """
import sys, time
began = time.perf_counter()
import streamlog
with streamlog.open(sys.argv[1]) as log, log.listen() as listener:
    print(began)
    print(f"bootstrap.servers={listener.bootstrap_servers}", flush=True)
    sys.stdin.read()
"""


class Listeners:
    """Starts listeners in new processes, again and again."""

    def __init__(self, scratch: Path) -> None:
        kept = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}
        self._environment = {
            **kept,
            "PYTHONPYCACHEPREFIX": str(scratch / "bytecode"),
            "PYTHONPATH": str(Path(streamlog.__file__).parent.parent),
        }

    def program(self, path: str) -> float:
        """Seconds from the import to the first answer."""
        with self._python("-c", _PROGRAM, path) as process:
            assert process.stdout is not None
            began = float(process.stdout.readline())
            ended = _first_answer(process.stdout.readline())
        return ended - began

    def command(self, path: str) -> float:
        """Seconds from the start of the process to the first answer."""
        began = time.perf_counter()
        with self._python("-m", "streamlog", "serve", path, "--port", "0") as process:
            assert process.stdout is not None
            ended = _first_answer(process.stdout.readline())
            process.terminate()
        return ended - began

    def _python(self, *arguments: str) -> subprocess.Popen[str]:
        """A process whose standard input is closed when its `with` block ends."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def _first_answer(line: str) -> float:
    """When the listener that `line` speaks of had answered."""
    with Connection(line.rstrip().partition("bootstrap.servers=")[2]) as connection:
        answer = connection.ask(
            "ApiVersions", 4, client_software_name="benchmark", client_software_version="1"
        )
        ended = time.perf_counter()
    assert answer.error_code == 0
    assert answer.api_keys
    return ended


def measure(options: Options) -> list[Result]:
    listeners = Listeners(options.scratch)
    samples: dict[str, list[float]] = {"new": [], "old": [], "memory": [], "command": []}
    for number in range(options.repetitions + 1):
        path = str(options.scratch / f"log-{number}")
        samples["new"].append(listeners.program(path))
        samples["old"].append(listeners.program(path))
        samples["memory"].append(listeners.program(":memory:"))
        samples["command"].append(listeners.command(path))
    # The first one of each filled the caches.
    new, old, memory, command = (statistics.median(each[1:]) for each in samples.values())
    return [
        Row(
            "from `import streamlog` to a served ApiVersions, in a new directory",
            "under 150 ms",
            f"{new * 1e3:.0f} ms",
            new < _TARGET_S,
            SYNCED,
        ),
        Row("the same in a directory that is there", "", f"{old * 1e3:.0f} ms", None, SYNCED),
        Row("the same in `:memory:`", "", f"{memory * 1e3:.0f} ms", None, WRITTEN),
        Row(
            "from the start of `streamlog serve` to it, interpreter included",
            "",
            f"{command * 1e3:.0f} ms",
            None,
            SYNCED,
        ),
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
