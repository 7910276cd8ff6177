"""A program is killed, torn or refused something at every call by which it changes the disk.

In every run some of the calls, below the C library and, with strace, in the kernel's own door.
All of them, at some seven a second:

    python -m pytest -m soak tests/faults/test_sweep.py

`strace --seccomp-bpf` silently injects nothing, and is not used.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sweep import STRIKES, Strike, Sweep, check_directory, enter
from tests.machine.disks import KINDS, loop_disk
from tests.machine.shim import compile_shim
from tests.machine.sizes import SEED
from tests.multiprocess.ledger import BrokenPromiseError
from tests.multiprocess.nursery import ROOT, Nursery, open_nursery

STEP = 24
KERNELS = ("compiled", "pure")
#: The system calls behind the shim's; an openat is one of them where it creates.
TRACED = {
    "create": "openat",
    "pwrite": "pwrite64",
    "truncate": "ftruncate",
    "allocate": "fallocate",
    "fdatasync": "fdatasync",
    "fsync": "fsync",
    "mkdir": "mkdir",
    "rmdir": "rmdir",
    "rename": "rename",
    "unlink": "unlink",
}

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def nursery(kernel: str, library: Path) -> Iterator[Nursery]:
    roles = ["tests.faults.roles"]
    with open_nursery(kernel, roles=roles, quiet=True, LD_PRELOAD=str(library)) as opened:
        yield opened


@pytest.fixture(scope="module")
def ext4() -> Iterator[Path]:
    """A disk of its own: in memory nothing would be synced."""
    with loop_disk(KINDS["ext4"]) as disk:
        yield disk.path


@pytest.fixture
def folder(ext4: Path, request: pytest.FixtureRequest) -> Path:
    path = ext4 / re.sub(r"\W+", "-", request.node.name)
    path.mkdir()
    return path


@pytest.mark.system
@pytest.mark.parametrize("what", STRIKES, ids=lambda what: what.name)
def test_some_calls(nursery: Nursery, folder: Path, what: Strike) -> None:
    sweep = Sweep(nursery, folder)
    count = sweep.count(what.calls)
    assert count > 50
    sweep.strike(what, range(1 + SEED % STEP, count + 1, STEP))


@pytest.mark.soak
@pytest.mark.parametrize("what", STRIKES, ids=lambda what: what.name)
def test_all_calls(nursery: Nursery, folder: Path, what: Strike) -> None:
    sweep = Sweep(nursery, folder)
    sweep.strike(what, range(1, sweep.count(what.calls) + 1))


@pytest.mark.system
def test_the_sweep_finds_a_planted_bug(library: Path, folder: Path) -> None:
    roles = ["tests.faults.roles"]
    with open_nursery("pure", roles=roles, quiet=True, LD_PRELOAD=str(library)) as pure:
        sweep = Sweep(pure, folder, plant="deaf to errors")
        strike = Strike("EIO", "fail", errno.EIO, frozenset(["pwrite"]))
        with pytest.raises(BrokenPromiseError):
            sweep.strike(strike, range(20, 50, 3))


# ---------------------------------------------------------------- in the kernel's own door


def run_traced(
    path: Path, kernel: str, *options: str
) -> tuple[subprocess.CompletedProcess[str], bytes]:
    """The program under strace; what it said."""
    reports = path.with_suffix(".reports")
    command = ["strace", "-qq", *options, sys.executable, "-m", "tests.faults.program"]
    environment = {**os.environ, "STREAMLOG_KERNEL": kernel, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        [*command, str(path), str(reports)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return finished, reports.read_bytes() if reports.exists() else b""


def traced_calls(path: Path, kernel: str) -> list[tuple[str, bool]]:
    """Each write-side system call in its order, and whether it is about the directory."""
    output = path.with_suffix(".trace")
    names = ",".join([*TRACED.values(), "renameat2"])
    finished, _ = run_traced(path, kernel, "-f", "-y", "-o", str(output), "-e", f"trace={names}")
    assert finished.returncode == 0, finished.stderr
    inside = re.compile(re.escape(str(path)) + r'(\.backup(\.new)?)?[/">]')
    found = []
    for line in output.read_text().splitlines():
        called = re.match(r"(?:\d+ +)?(\w+)\((.*)", line)
        if called is None:
            continue
        creates = called[1] != "openat" or "O_CREAT" in called[2]
        found.append((called[1], creates and bool(inside.search(called[2]))))
    return found


@pytest.mark.system
@needs_strace
def test_the_shim_sees_the_calls_that_the_kernel_sees(
    nursery: Nursery, folder: Path, kernel: str
) -> None:
    seen = Counter(name for name, ours in traced_calls(folder / "traced", kernel) if ours)
    seen["rename"] += seen.pop("renameat2")  # the shim calls both a rename
    sweep = Sweep(nursery, folder)
    counted = {TRACED[call]: sweep.count([call]) for call in TRACED}
    assert {name: count for name, count in counted.items() if count} == seen


def strike_in_the_kernel(folder: Path, kernel: str, call: str, how: str, step: int) -> None:
    """Strike every `step`-th of the program's calls of one kind."""
    calls = traced_calls(folder / "counted", kernel)
    numbers = [n for n, (_, ours) in enumerate(_only(calls, TRACED[call]), 1) if ours]
    for number in numbers[SEED % step :: step]:
        path = folder / f"{call}-{number}"
        inject = f"inject={TRACED[call]}:{how}:when={number}"
        finished, said = run_traced(path, kernel, "-f", "-e", f"trace={TRACED[call]}", "-e", inject)
        ledger, end = enter(said)
        killed = finished.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert (end is not None) != killed, f"{inject}: {finished.stderr[-2000:]}"
        if path.exists():
            check_directory(path, ledger)
            shutil.rmtree(path)


def _only(calls: list[tuple[str, bool]], name: str) -> list[tuple[str, bool]]:
    return [one for one in calls if one[0] == name]


HOWS = ["signal=KILL", "error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EMFILE"]


@pytest.mark.system
@needs_strace
@pytest.mark.parametrize("how", HOWS[:2])
@pytest.mark.parametrize("call", ["create", "pwrite", "fdatasync", "fsync", "rename", "unlink"])
def test_some_calls_in_the_kernel(folder: Path, call: str, how: str) -> None:
    strike_in_the_kernel(folder, "compiled", call, how, 24)


@pytest.mark.soak
@needs_strace
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("call", TRACED)
def test_all_calls_in_the_kernel(folder: Path, kernel: str, call: str, how: str) -> None:
    strike_in_the_kernel(folder, kernel, call, how, 1)
