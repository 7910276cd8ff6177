"""System calls of a Python program, counted by strace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

SYNC_CALLS = frozenset({"fsync", "fdatasync", "msync", "sync", "syncfs", "sync_file_range"})
MISSING = "strace is not there: not counted"

_LINE = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)


def can_trace() -> bool:
    """Whether strace is there and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


def count_calls(script: str, *arguments: str, all_threads: bool = True) -> Counter[str]:
    """How often a Python script made each system call, from its start to its end."""
    follow = ["-f"] if all_threads else []
    with tempfile.NamedTemporaryFile() as summary:
        strace = ["strace", *follow, "-c", "-o", summary.name]
        subprocess.run([*strace, sys.executable, "-c", script, *arguments], check=True)
        lines = _LINE.findall(Path(summary.name).read_text())
    return Counter({name: int(calls) for calls, name in lines if name != "total"})
