"""A nursery for each kernel, started when a test first asks for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.multiprocess.nursery import Nursery, open_nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Children of the kernel that the tests run with."""
    with open_nursery() as opened:
        yield opened


@pytest.fixture(scope="session")
def pure_nursery() -> Iterator[Nursery]:
    """Children of the pure kernel, whose parts can be replaced."""
    with open_nursery("pure") as opened:
        yield opened


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A directory where nothing is ever synced, for what happens thousands of times."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="streamlog-test-", dir="/dev/shm") as path:
        yield Path(path)
