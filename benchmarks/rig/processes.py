"""Functions run in several processes at once, started together and timed by one clock.

`time.perf_counter()` is CLOCK_MONOTONIC on Linux: the same in all processes.
"""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple

START_TIMEOUT_S = 60.0
RESULT_TIMEOUT_S = 600.0
_spawn = multiprocessing.get_context("spawn")

#: What a job is given first: call it when ready, and go on when it returns.
Ready = Callable[[], None]


class Job(NamedTuple):
    """`function(ready, *arguments)`, of a module's top level, in a process of its own."""

    function: Callable[..., Any]
    arguments: Sequence[Any]


class Team:
    """Processes that run jobs; their results come in the order of the jobs.

    The caller may be one of those who start together: `Team(jobs, callers=1)`, then `ready()`.
    """

    def __init__(self, jobs: Sequence[Job], callers: int = 0) -> None:
        self._barrier = _spawn.Barrier(len(jobs) + callers)
        self._results = _spawn.SimpleQueue()
        self._processes: list[BaseProcess] = [
            _spawn.Process(target=_work, args=(job, number, self._barrier, self._results))
            for number, job in enumerate(jobs)
        ]
        for process in self._processes:
            process.start()

    def ready(self) -> None:
        """Wait until everybody is ready."""
        self._barrier.wait(START_TIMEOUT_S)

    def results(self) -> list[Any]:
        """Wait for the end of all processes. Raises `RuntimeError` when one failed."""
        found: dict[int, Any] = {}
        deadline = time.monotonic() + RESULT_TIMEOUT_S
        while len(found) < len(self._processes):
            while not self._results.empty():
                number, result = self._results.get()
                found[number] = result
            for number, process in enumerate(self._processes):
                if number not in found:
                    process.join(0.01)
                failed = process.exitcode not in {None, 0}
                if failed or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"process {number} ended with {process.exitcode}")
        self.join()
        return [found[number] for number in range(len(self._processes))]

    def kill(self) -> None:
        """End all processes that still run."""
        for process in self._processes:
            process.kill()

    def join(self) -> None:
        """Wait until all processes have ended, however they did."""
        for process in self._processes:
            process.join()


def run_together(jobs: Sequence[Job]) -> list[Any]:
    """Run all jobs at once and return their results."""
    return Team(jobs).results()


def anonymous_mib(pid: int | None = None) -> float:
    """What a process, this one where none is named, has of its own: `RssAnon`."""
    status = Path(f"/proc/{pid or 'self'}/status").read_text()
    (kib,) = re.findall(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
    return int(kib) / 1024


def _work(job: Job, number: int, barrier: Barrier, results: Any) -> None:
    def ready() -> None:
        barrier.wait(START_TIMEOUT_S)

    results.put((number, job.function(ready, *job.arguments)))
