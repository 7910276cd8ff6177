"""Segments that were rolled: what a process holds of them stays little, whoever rolls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamlog.broker.engine import Engine
from streamlog.storage.filesystem import Filesystem
from tests.broker.conftest import append, read

_ROLLS = 100  # more than a handle has room for
_FEW = 20


class Place(Filesystem):
    """The operating system's files, on the kind of file system that a test wants."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def kind(self, path: str) -> str:
        return self._kind


@pytest.fixture(params=["ext4", "tmpfs"])
def engines(request: pytest.FixtureRequest, path: str) -> Iterator[tuple[Engine, Engine]]:
    """Two engines on one directory, as two processes have them."""
    first = Engine.open(path, filesystem=Place(request.param))
    first.create_topic("orders", 1, {"internal_segment_bytes": 4096})
    second = Engine.open(path, filesystem=Place(request.param))
    yield first, second
    second.close()
    first.close()


def test_one_process_rolls_on_and_on(engines: tuple[Engine, Engine]) -> None:
    log = engines[0].partition("orders", 0)
    for _ in range(_ROLLS):
        append(log, b"x" * 3000)
    assert log.open_descriptors < _FEW
    assert len(read(log)) == _ROLLS


def test_one_process_appends_what_another_rolls(engines: tuple[Engine, Engine]) -> None:
    rolling, small = (engine.partition("orders", 0) for engine in engines)
    for _ in range(_ROLLS):
        append(rolling, b"x" * 3000, acks=-1)
        append(small, b"y")
    assert small.open_descriptors < _FEW
    assert len(read(small)) == 2 * _ROLLS
