"""Lock and slot files that somebody removes by hand: beforehand, or under who uses them."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

import streamlog
from streamlog.errors import DirectoryInUseError
from streamlog.storage.names import LOCK, STREAMLOG_LOCKS, STREAMLOG_PROPERTIES, STREAMLOG_SHARED
from tests.multiprocess.nursery import Nursery
from tests.places.conftest import append, values

FILES = [LOCK, STREAMLOG_LOCKS, STREAMLOG_SHARED]


@pytest.mark.parametrize("name", FILES)
def test_from_a_closed_directory_nothing_is_lost(path: str, name: str) -> None:
    os.unlink(f"{path}/{name}")
    with streamlog.open(path) as log:
        assert log.engine().report is not None
        append(log, "second")
        assert values(log) == ["first", "second"]
    assert os.path.exists(f"{path}/{name}")


@pytest.mark.parametrize("name", FILES)
def test_after_a_kill_everything_written_is_there(nursery: Nursery, path: str, name: str) -> None:
    child = nursery.start("write_and_be_killed", path=path + "-killed", count=3)
    assert child.answer() == "written"
    child.kill()
    os.unlink(f"{path}-killed/{name}")
    with streamlog.open(path + "-killed") as log:
        assert values(log) == ["0", "1", "2"]
        assert log.verify() == []


def test_with_all_three_gone_only_the_number_of_the_format_is_ours(path: str) -> None:
    for name in FILES:
        os.unlink(f"{path}/{name}")
    with streamlog.open(path) as log:
        assert (log.read_only, values(log)) == (False, ["first"])


def test_without_the_number_as_well_it_is_a_brokers(path: str) -> None:
    for name in (*FILES, STREAMLOG_PROPERTIES):
        os.unlink(f"{path}/{name}")
    with streamlog.open(path) as log:
        assert (log.read_only, values(log)) == (True, ["first"])
    with streamlog.open(path, read_only=False) as log:
        append(log, "second")
    with streamlog.open(path) as log:
        assert (log.read_only, values(log)) == (False, ["first", "second"])


@pytest.mark.parametrize("how", ["removed", "replaced"])
@pytest.mark.parametrize("name", FILES)
def test_under_who_uses_it_nobody_joins_and_nothing_breaks(
    nursery: Nursery, path: str, name: str, how: str
) -> None:
    """Who has it open goes on and closes cleanly; who comes is told to wait for that."""
    child = nursery.start("stay_open", path=path)
    assert child.answer() == "open"
    child.wait_until_stopped()
    shutil.copy(f"{path}/{name}", f"{path}.copy")
    os.unlink(f"{path}/{name}")
    if how == "replaced":
        shutil.copy(f"{path}.copy", f"{path}/{name}")
    for _ in range(2):
        with pytest.raises(DirectoryInUseError, match=name):
            streamlog.open(path, lock_timeout_ms=100)
    with streamlog.open(path, read_only=True) as log:
        assert values(log) == ["first"]
    child.signal(signal.SIGCONT)
    assert child.answer() == ["first", "child's"]
    assert child.answer() == "closed"
    assert child.wait() == 0
    with streamlog.open(path) as log:
        report = log.engine().report
        assert report is not None
        assert report.clean
        assert values(log) == ["first", "child's"]
