"""Each sync, directory sync, rename and CRC check is missed by somebody when it is left out.

Mutants are found in the source, their killers are in `killers.txt`; `spared.py` has those that
may live, each with its reason. After a change of the source, killers for what is new are found by
`python -m tests.mutation.hunting --search`, with STREAMLOG_KERNEL=pure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine.sizes import SEED
from tests.mutation.hunting import read_killers, without_a_fate
from tests.mutation.sites import ROOT, find_mutants, mutants_of
from tests.mutation.spared import SPARED

#: Which part of their killers is tried where nothing is left out.
EVERY = 16

PLANTED = """
def append(filesystem, directory, data):
    filesystem.write_file(directory + "/data", data)
    filesystem.rename(directory + "/data", directory + "/done")
    filesystem.sync_directory(directory)
    if crc32c(data) != 7:
        raise ValueError(data)
"""


def test_every_mutant_has_a_fate() -> None:
    names = [mutant.name for mutant in find_mutants()]
    assert len(set(names)) == len(names)
    assert without_a_fate(names) == set()


def test_nobody_is_said_to_kill_what_is_not_there() -> None:
    names = {mutant.name for mutant in find_mutants()}
    fates = [*read_killers(), *SPARED]
    assert set(fates) <= names
    assert len(set(fates)) == len(fates)


def test_a_planted_sync_that_nobody_misses_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(PLANTED)
    names = [mutant.name for mutant in mutants_of(planted, tmp_path)]
    assert {name.partition(": ")[2] for name in names} == {
        "filesystem.write_file(directory + '/data', data) does not sync",
        "filesystem.rename(directory + '/data', directory + '/done') left out",
        "filesystem.rename(directory + '/data', directory + '/done') late",
        "filesystem.rename(directory + '/data', directory + '/done') early",
        "filesystem.sync_directory(directory) left out",
        "crc32c(data) != 7 is not looked at",
    }
    assert without_a_fate(names) == set(names)


def hunt(*arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """The hunting program, on the pure kernel."""
    return subprocess.run(
        [sys.executable, "-m", "tests.mutation.hunting", *arguments],
        env={**os.environ, "STREAMLOG_KERNEL": "pure"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


@pytest.mark.system
def test_killers_find_nothing_where_nothing_is_left_out() -> None:
    """The planted useless test: one that fails anyway would be said to kill everything."""
    done = hunt("--useless", "--every", str(EVERY), "--from", str(SEED % EVERY), seconds=300)
    said = done.stdout.splitlines()
    assert said[:-1], done.stderr
    assert all("SURVIVED" in line for line in said[:-1]), done.stdout
    assert done.returncode == 1


@pytest.mark.system
def test_all_mutants_are_killed() -> None:
    done = hunt(seconds=900)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
