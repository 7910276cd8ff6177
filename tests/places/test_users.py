"""Directories of another user: what the modes of its files allow, and nothing beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import streamlog
from tests.multiprocess.nursery import Nursery
from tests.places.conftest import append

pytestmark = pytest.mark.system

ALICE, BOB, STAFF, NOBODY = 20_001, 20_002, 20_100, 65_534


def make(path: Path, mode: int) -> None:
    with streamlog.open(path, mode=mode) as log:
        log.create_topic("flights")
        append(log, "first")


def test_private_files_are_closed_to_others(nursery: Nursery, open_place: Path) -> None:
    make(open_place / "log", 0o600)
    for read_only in (False, True):
        child = nursery.start(
            "open_as", path=str(open_place / "log"), user=BOB, group=NOBODY, read_only=read_only
        )
        name, text = child.answer()
        assert name == "InputOutputError"
        assert "Permission denied" in text
        assert "mode=" in text


def test_files_that_others_may_read_are_read(nursery: Nursery, open_place: Path) -> None:
    make(open_place / "log", 0o644)
    where = {"path": str(open_place / "log"), "user": BOB, "group": NOBODY}
    reader = nursery.start("open_as", read_only=True, **where)
    assert reader.answer() == "open"
    reader.go_on()
    assert reader.answer() == ["first"]
    name, text = nursery.start("open_as", **where).answer()
    assert (name, "Permission denied" in text) == ("InputOutputError", True)


def test_a_group_shares_a_directory(nursery: Nursery, open_place: Path) -> None:
    """Two users at once: each reads and continues what the other one made."""
    os.chown(open_place, 0, STAFF)
    where = {"path": str(open_place / "log"), "group": STAFF, "mode": 0o660}
    maker = nursery.start("make_as", user=ALICE, **where)
    assert maker.answer() == "open"
    other = nursery.start("open_as", user=BOB, **where)
    assert other.answer() == "open"
    maker.go_on()
    assert maker.answer() == [f"by {ALICE}", f"by {BOB}"]
    assert maker.wait() == 0
    other.go_on()
    assert other.answer() == [f"by {ALICE}", f"by {BOB}"]
    assert other.wait() == 0
    assert os.path.exists(open_place / "log" / ".kafka_cleanshutdown")
    last = nursery.start("open_as", user=ALICE, **where)
    assert last.answer() == "open"
    last.go_on()
    assert last.answer() == [f"by {ALICE}", f"by {BOB}", f"by {ALICE}"]
