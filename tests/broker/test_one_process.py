"""Where processes cannot share a directory (no barriers, no locks of open files), one has it."""

from __future__ import annotations

import multiprocessing

import pytest

import streamlog
from streamlog.errors import DirectoryInUseError
from streamlog.storage import system


def open_alone(directory: str) -> None:
    system.can_share = lambda: False  # type: ignore[assignment]
    with pytest.raises(DirectoryInUseError, match="only one at a time"):
        streamlog.open(directory)


def test_a_second_process_is_refused_by_name(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "can_share", lambda: False)
    with streamlog.open(directory) as log:
        log.create_topic("orders")
        other = multiprocessing.get_context("spawn").Process(target=open_alone, args=(directory,))
        other.start()
        other.join()
        assert other.exitcode == 0
    with streamlog.open(directory) as log:
        assert list(log.topics()) == ["orders"]
