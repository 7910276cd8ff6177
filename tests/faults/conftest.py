"""Child processes, and a disk whose syncs fail when told to."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.report import CELLS, LEGEND, render
from tests.multiprocess.nursery import Nursery, open_nursery

ROLES = ["tests.faults.roles"]

# Fails the syncs of files of the topic "flights" while the file named by FAILING_SYNCS is there.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int fdatasync(int descriptor) {
    static int (*genuine)(int);
    char link[64], target[4096];
    const char *failing = getenv("FAILING_SYNCS");
    if (!genuine) genuine = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    if (failing && !access(failing, F_OK) && strstr(target, "flights")) { errno = EIO; return -1; }
    return genuine(descriptor);
}
"""


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with open_nursery(roles=ROLES) as opened:
        yield opened


@pytest.fixture(scope="session")
def pure_nursery() -> Iterator[Nursery]:
    with open_nursery("pure", roles=ROLES) as opened:
        yield opened


@pytest.fixture(scope="session")
def failing_syncs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While this file is there, the disk refuses to sync the topic "flights"."""
    return tmp_path_factory.mktemp("shim") / "failing"


@pytest.fixture(scope="session")
def shimmed_nursery(failing_syncs: Path) -> Iterator[Nursery]:
    """Children whose C library fails syncs, below compiled code and Python alike."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for the shim; the pure kernel's case covers the rest")
    source = failing_syncs.parent / "shim.c"
    library = failing_syncs.parent / "shim.so"
    source.write_text(SHIM)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=60
    )
    with open_nursery(
        roles=ROLES, LD_PRELOAD=str(library), FAILING_SYNCS=str(failing_syncs)
    ) as opened:
        yield opened


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A directory where nothing is ever synced, for what happens thousands of times."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="streamlog-test-", dir="/dev/shm") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def memory_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """As `memory_path`, for the tests of a module together."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path_factory.mktemp("log")
        return
    with tempfile.TemporaryDirectory(prefix="streamlog-test-", dir="/dev/shm") as path:
        yield Path(path)


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of faults that this run found, and all of it in a file."""
    if not CELLS:
        return
    folder = Path(tempfile.mkdtemp(prefix="streamlog-faults-"))
    for how, cells in CELLS.items():
        terminalreporter.section(f"faults by operations: {how}")
        terminalreporter.write_line(render(cells))
        with (folder / "table.txt").open("a") as file:
            file.writelines(f"{how}: {cell}\n" for cell in cells)
    terminalreporter.write_line(LEGEND)
    terminalreporter.write_line(f"in words: {folder / 'table.txt'}")
