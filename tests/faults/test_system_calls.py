"""What the append path asks of the operating system, seen from outside with strace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALLS = "openat,close,pwrite64,pread64,ftruncate,fdatasync,fsync,fcntl,unlink"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]


def trace(
    path: Path, kernel: str, records: int, size: int, *options: str
) -> subprocess.CompletedProcess[str]:
    command = ["strace", "-qq", *options, sys.executable, "-m", "tests.faults.traced"]
    environment = {**os.environ, "STREAMLOG_KERNEL": kernel, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, str(path), str(records), str(size)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def calls_between_marks(path: Path, kernel: str, records: int, size: int) -> list[str]:
    """The calls of the appends: name and, for locks and writes, what tells them apart."""
    output = path.with_suffix(".trace")
    finished = trace(path, kernel, records, size, "-o", str(output), "-e", f"trace={CALLS},write")
    assert finished.returncode == 0, finished.stderr
    lines = output.read_text().splitlines()
    begin = next(n for n, line in enumerate(lines) if "BEGIN" in line)
    end = next(n for n, line in enumerate(lines) if "END" in line)
    return [shape(line) for line in lines[begin + 1 : end]]


def shape(line: str) -> str:
    name = line.split("(", 1)[0]
    if name == "fcntl":
        kind = re.search(r"F_(?:WRLCK|UNLCK|RDLCK)", line)
        return f"fcntl {kind[0] if kind else ''}"
    if name == "pwrite64":
        size, position = re.search(r", (\d+), (\d+)\) +=", line).groups()  # type: ignore[union-attr]
        return f"pwrite {size} at {position}"
    if name == "openat":
        return "open " + line.split('"')[1].rsplit("/", 1)[-1]
    return name


def test_a_record_costs_a_lock_a_write_and_an_unlock(tmp_path: Path) -> None:
    calls = calls_between_marks(tmp_path / "log", "compiled", 5, 10)
    names = [call.split()[0] for call in calls]
    assert names == ["fcntl", "pwrite", "fcntl"] * 5


def test_the_compiled_kernel_makes_the_calls_of_its_twin(tmp_path: Path) -> None:
    """Appends, index entries and rolls: the same calls, in the same order."""
    found = {
        kernel: calls_between_marks(tmp_path / kernel, kernel, 60, 150)
        for kernel in ("compiled", "pure")
    }
    assert any(call.startswith("open") for call in found["pure"]), "nothing rolled"
    assert any(call.startswith("pwrite 8 ") for call in found["pure"]), "no index entry"
    assert found["compiled"] == found["pure"]
