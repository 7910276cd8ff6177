"""Processes that other users run, and places to put a log directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamlog
from tests.multiprocess.nursery import Nursery, open_nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with open_nursery(roles=["tests.places.roles"]) as opened:
        yield opened


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that any user may search, as those of pytest are not."""
    path = Path(tempfile.mkdtemp(prefix="streamlog-place-"))
    os.chmod(path, 0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)  # where a process is, that is gone with its nursery


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A closed log directory with the topic "flights" and the record "first"."""
    path = str(tmp_path / "log")
    with streamlog.open(path) as log:
        log.create_topic("flights")
        log.producer().send("flights", b"first").result()
    return path


def values(log: streamlog.StreamLog, topic: str = "flights") -> list[str]:
    return [record.value.decode() for record in log.read(topic)]


def append(log: streamlog.StreamLog, *sent: str, acks: int | str = 1) -> None:
    with log.producer(acks=acks) as producer:
        for value in sent:
            producer.send("flights", value.encode()).result()
