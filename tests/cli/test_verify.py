from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import streamlog
from streamlog.cli.progress import Progress, render
from streamlog.testing.clock import ManualClock
from tests.cli.conftest import Run

SEGMENT = "00000000000000000000"


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)


def flip_record(directory: Path) -> None:
    flip(directory / f"orders-1/{SEGMENT}.log", 100)


def flip_index(directory: Path) -> None:
    path = directory / f"orders-1/{SEGMENT}.timeindex"
    path.write_bytes(path.read_bytes() or bytes(12))
    flip(path, 3)


def remove_segment(directory: Path) -> None:
    (directory / f"orders-1/{SEGMENT}.log").unlink()


def remove_folder(directory: Path) -> None:
    shutil.rmtree(directory / "orders-1")


def remove_identity(directory: Path) -> None:
    (directory / "meta.properties").unlink()


def break_checkpoint(directory: Path) -> None:
    (directory / "recovery-point-offset-checkpoint").write_text("0\n7\n")


def cut_segment(directory: Path) -> None:
    path = directory / f"orders-1/{SEGMENT}.log"
    path.write_bytes(path.read_bytes()[:-5])


DAMAGE = [
    (flip_record, f"orders-1/{SEGMENT}.log"),
    (flip_index, f"orders-1/{SEGMENT}.timeindex"),
    (remove_segment, "orders-1"),
    (remove_folder, "orders-1"),
    (remove_identity, "meta.properties"),
    (break_checkpoint, "recovery-point-offset-checkpoint"),
    (cut_segment, f"orders-1/{SEGMENT}.log"),
]


def test_clean(run: Run, directory: Path) -> None:
    done = run("verify", directory)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("clean; ")
    done = run("verify", directory, "--json")
    assert (done.code, done.out) == (0, "")
    assert "clean; " in done.err


@pytest.mark.parametrize(("damage", "place"), DAMAGE)
def test_damage_is_found(
    run: Run, directory: Path, damage: Callable[[Path], None], place: str
) -> None:
    damage(directory)
    done = run("verify", directory)
    assert done.code == 1
    assert done.lines[0].split() == ["SEVERITY", "KIND", "WHERE", "WHAT"]
    assert any(line.startswith("error ") and place in line for line in done.lines)
    assert "error" in done.lines[-1]
    found = run("verify", directory, "--json")
    assert found.code == 1
    assert any(str(each["file"]).endswith(place) for each in found.objects)


def test_a_directory_in_use_is_verified_up_to_what_is_published(run: Run, directory: Path) -> None:
    with streamlog.open(directory) as log, log.producer(acks=1) as producer:
        producer.send("orders", b"x", partition=0, timestamp_ms=1_700_000_040_000).result()
        with open(directory / f"orders-0/{SEGMENT}.log", "ab") as file:
            file.write(b"half a batch that is being written")
        assert run("verify", directory).code == 0
        done = run("dump", directory, "orders-0", "--json")
        assert (done.code, done.objects[-1]["type"]) == (0, "batch")
        file = directory / f"orders-0/{SEGMENT}.log"
        assert run("dump", file).code == 0


@pytest.mark.parametrize("name", ["missing", "file", "empty"])
def test_what_cannot_be_verified(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    done = run("verify", tmp_path / name)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert list((tmp_path / "empty").iterdir()) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_drawn_over_itself_and_removed() -> None:
    clock, stream = ManualClock(), Terminal()
    with Progress(stream=stream, clock=clock) as progress:
        for done in range(0, 1001, 10):
            clock.advance(10)
            progress.update(done * 1_048_576, 1000 * 1_048_576)
    drawings = [text for text in stream.getvalue().split("\r") if text.strip()]
    assert len(drawings) == 9
    assert drawings[4] == (
        "[###############---------------]  51%  510.0 MiB of 1000.0 MiB  980.8 MiB/s  0:00:01 left"
    )
    assert stream.getvalue().endswith("\r" + " " * len(drawings[-1]) + "\r")


def test_without_a_terminal_there_is_no_bar_unless_asked_for() -> None:
    for wanted, lines in ((None, 0), (False, 0), (True, 3)):
        clock, stream = ManualClock(), io.StringIO()
        with Progress(wanted, stream=stream, clock=clock) as progress:
            for _ in range(100):
                clock.advance(70)
                progress.update(1, 0)
        assert stream.getvalue().count("\n") == lines
        assert "\r" not in stream.getvalue()


def test_the_bar_says_nothing_that_it_cannot_know() -> None:
    assert render(0, 100, 0.0).endswith("0 B/s  -:--:-- left")
    assert render(2048, 0, 2.0) == "2.0 KiB  1.0 KiB/s"
    assert "100%" in render(100, 100, 1.0)
