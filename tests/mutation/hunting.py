"""Hunting mutants: who notices that a sync or a check is not there, by name.

A killer is a story of the crash explorer with its seed, or a test. The one that killed a mutant is
written down in `killers.txt`, so that a run needs it alone:

    python -m tests.mutation.hunting [-k WORDS] [--every N --from M]
    python -m tests.mutation.hunting --search [-k WORDS]    finds new killers and writes them down
    python -m tests.mutation.hunting --useless ...          changes nothing: all are to survive

It runs on the pure kernel, the one that is mutated. The exit code is 1 if a mutant survived that
is not on the list of `spared.py`.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

from tests.crash.explorer import Explorer, Plan
from tests.crash.stories import STORIES, more
from tests.mutation.applying import apply
from tests.mutation.sites import ROOT, Mutant, find_mutants
from tests.mutation.spared import SPARED

#: The tests that are searched where no crash told, by the beginning of the mutant's name.
TESTS = {
    "record.batch_run": "tests/record/test_cleaning_damage.py",
    "record.": "tests/record",
    "storage.damage": "tests/faults/test_damage.py tests/storage",
    "storage.read_only": "tests/broker/test_read_only.py tests/faults/test_damage.py",
    "storage.segment.": "tests/storage/test_segment.py tests/faults/test_damage.py",
    "storage.clean": "tests/storage/test_log_cleaner_damage.py tests/storage",
    "storage.producer": "tests/storage/test_producer_state.py tests/storage",
    "storage.filesystem": "tests/storage/test_filesystem_syncs.py",
    "storage.poison": "tests/broker/test_poison.py",
    "storage.": "tests/broker/test_orders.py tests/storage",
    "broker.backup": "tests/broker/test_backup.py tests/broker/test_backup_failures.py",
    "broker.": "tests/broker/test_orders.py tests/broker",
    "clients.": "tests/faults/test_damage.py tests/clients",
}
KILLERS = Path(__file__).with_name("killers.txt")
#: How many states of a story are looked at, and of how many seeds a search tries.
_STATES, _SEEDS = 300, 4
_LONGEST_HUNT_S = 900

Places = set[tuple[str, int]]
Hunter = Callable[[Mutant], str]


class Fate(NamedTuple):
    """What became of a mutant: who killed it, "" if nobody did."""

    name: str
    killer: str
    seconds: float


def read_killers() -> dict[str, str]:
    lines = KILLERS.read_text().splitlines() if KILLERS.exists() else []
    return dict(line.rsplit(" | ", 1) for line in lines)


def without_a_fate(names: list[str]) -> set[str]:
    """Mutants that nobody is said to kill, and of which nobody said why they live."""
    return set(names) - set(read_killers()) - set(SPARED)


# ---------------------------------------------------------------- killers


def kills(killer: str) -> bool:
    """Whether a killer finds something wrong with this process."""
    if killer.startswith("story "):
        _, name, seed = killer.split()
        return explore(name, int(seed)) is not None
    return bool(failing_test(killer))


def explore(name: str, seed: int) -> str | None:
    """What is broken after a crash of a story; None if nothing is."""
    try:
        plan = Plan(states=_STATES, disordered=True)
        found = Explorer(name, STORIES[name], plan, seed, after=more).run()
    except BaseException as error:  # noqa: BLE001  # a story that cannot be told tells as well
        return f"{type(error).__name__}: {error}"
    return None if found is None else str(found)


class _FirstFailure:
    """Remembers which test failed first."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid


def failing_test(selection: str) -> str:
    """Run tests until one fails: its name, "" if none does."""
    logging.disable(logging.NOTSET)  # some tests are about what is logged
    first = _FirstFailure()
    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "-m", "not soak"]
    status = pytest.main([*options, str(ROOT / selection)], plugins=[first])
    logging.disable(logging.CRITICAL)
    assert status not in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}, (
        f"there is no {selection}"
    )
    return first.name or (selection if status else "")


def known_killer(mutant: Mutant) -> str:
    """The killer that is written down, if it still kills."""
    apply(mutant)
    return useless_killer(mutant)


def useless_killer(mutant: Mutant) -> str:
    """The killer that is written down, if it kills without a mutation: then it is none."""
    killer = read_killers().get(mutant.name, "")
    return killer if killer and kills(killer) else ""


def searching() -> Hunter:
    """Tries whoever comes by the mutant: stories first, then tests, till one kills it."""
    places = places_of_stories()

    def search(mutant: Mutant) -> str:
        if killer := known_killer(mutant):
            return killer
        for seed in range(1, _SEEDS + 1):
            for name in STORIES:
                if (mutant.path, mutant.line) in places[name] and explore(name, seed):
                    return f"story {name} {seed}"
        return next(
            (found for path in _tests_for(mutant.name) if (found := failing_test(path))), ""
        )

    return search


def places_of_stories() -> dict[str, Places]:
    """The functions that each story, its crashes and its recoveries come by."""
    found = {}
    for name in STORIES:
        places: Places = set()

        def note(frame: FrameType, event: str, _: Any, places: Places = places) -> None:
            if event == "call":
                places.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

        sys.setprofile(note)
        try:
            Explorer(name, STORIES[name], Plan(states=60), 1, after=more).run()
        finally:
            sys.setprofile(None)
        found[name] = places
    return found


def _tests_for(name: str) -> list[str]:
    return next(paths for start, paths in TESTS.items() if name.startswith(start)).split()


# ---------------------------------------------------------------- one process a mutant


class _Hunt(NamedTuple):
    """A mutant that is hunted in a forked process, which says who killed it through a pipe."""

    mutant: Mutant
    pipe: int
    began: float


def fates(mutants: list[Mutant], hunter: Hunter) -> Iterator[Fate]:
    """What becomes of each, as it comes; as many at a time as there are processors.

    Forked without threads: whoever forks beside one inherits its locks, held by nobody.
    """
    waiting, hunts = list(mutants), dict[int, _Hunt]()
    while waiting or hunts:
        while waiting and len(hunts) < (os.cpu_count() or 1):
            pid, begun = _begin_hunt(waiting.pop(0), hunter)
            hunts[pid] = begun
        pid, status = os.wait()
        yield _end_hunt(hunts.pop(pid), status)


def _begin_hunt(mutant: Mutant, hunter: Hunter) -> tuple[int, _Hunt]:
    """Fork the process; its number with what is to be known of it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.chdir(ROOT)
        signal.alarm(_LONGEST_HUNT_S)
        killer = "an exception"
        try:
            killer = hunter(mutant)
        finally:
            os.write(writing, killer.encode())
            os._exit(0)
    os.close(writing)
    return pid, _Hunt(mutant, reading, time.monotonic())


def _end_hunt(hunt: _Hunt, status: int) -> Fate:
    said = os.read(hunt.pipe, 4096).decode()
    os.close(hunt.pipe)
    assert (status, said != "an exception") == (0, True), f"{hunt.mutant.name}: {status} {said}"
    return Fate(hunt.mutant.name, said, time.monotonic() - hunt.began)


# ---------------------------------------------------------------- the program


def preload() -> None:
    """Import all of streamlog: what is not there cannot be mutated."""
    logging.disable(logging.CRITICAL)
    for layer in ("record", "storage", "broker", "clients", "protocol", "config"):
        package = importlib.import_module(f"streamlog.{layer}")
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"streamlog.{layer}.{module.name}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Leave syncs and checks out, one by one.")
    parser.add_argument("-k", default="", help="only mutants whose name has this")
    parser.add_argument("--every", type=int, default=1, help="only every N-th")
    parser.add_argument("--from", type=int, default=0, dest="first", help="from the M-th on")
    parser.add_argument("--search", action="store_true", help="find killers and write them down")
    parser.add_argument("--useless", action="store_true", help="leave nothing out")
    asked = parser.parse_args()
    preload()
    mutants = [one for one in find_mutants() if asked.k in one.name]
    if not asked.search:
        mutants = [one for one in mutants if one.name not in SPARED]
        mutants = mutants[asked.first :: asked.every]
    killers = read_killers()
    survived = 0
    hunter = searching() if asked.search else useless_killer if asked.useless else known_killer
    for name, killer, seconds in fates(mutants, hunter):
        spared = SPARED.get(name, "")
        survived += not (killer or spared)
        verdict = f"killed by {killer}" if killer else f"spared: {spared}" if spared else "SURVIVED"
        print(f"{name}: {verdict} ({seconds:.1f} s)", flush=True)
        killers[name] = killer
        if asked.search:
            write_killers({name: killer for name, killer in killers.items() if killer})
    print(f"{len(mutants)} mutants, {survived} survived")
    return 1 if survived else 0


def write_killers(killers: dict[str, str]) -> None:
    names = [mutant.name for mutant in find_mutants()]
    lines = [f"{name} | {killers[name]}\n" for name in names if name in killers]
    KILLERS.write_text("".join(lines))


if __name__ == "__main__":
    sys.exit(main())
