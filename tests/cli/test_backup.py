from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import streamlog
from tests.cli.conftest import Run


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def test_a_backup_is_told_in_a_line(run: Run, directory: Path, target: Path) -> None:
    done = run("backup", directory, target)
    assert (done.code, done.err) == (0, "")
    assert len(done.lines) == 1
    assert done.out.startswith(f"{target}: 3 partitions; ")
    assert run("verify", target).code == 0
    with streamlog.open(target, read_only=True) as copy:
        assert sum(1 for _ in copy.read("orders")) == 40


def test_json_says_where_each_partition_ends(run: Run, directory: Path, target: Path) -> None:
    with streamlog.open(directory):  # while it is in use
        done = run("backup", directory, target, "--json", "--no-link", "--progress")
    (said,) = done.objects
    assert done.code == 0
    assert said["path"] == str(target)
    ends = {(each["topic"], each["partition"]): each["end"] for each in said["ends"]}
    assert ends == {("orders", 0): 20, ("orders", 1): 20, ("odd", 0): 3}
    assert said["segments_linked"] == said["bytes_linked"] == 0
    assert said["segments_copied"] == 4
    assert said["bytes_copied"] > 0


def test_a_second_backup_takes_the_place_of_the_first(
    run: Run, directory: Path, target: Path
) -> None:
    assert run("backup", directory, target).code == 0
    with streamlog.open(directory) as log, log.producer() as producer:
        producer.send("odd", b"new").result()
    assert run("backup", directory, target).code == 0
    with streamlog.open(target, read_only=True) as copy:
        assert [record.value for record in copy.read("odd")][-1] == b"new"


@pytest.mark.parametrize("case", ["absent", "inside", "occupied"])
def test_what_cannot_be_done_is_one_line(
    run: Run, directory: Path, target: Path, case: str
) -> None:
    source = directory
    if case == "absent":
        source = directory.with_name("absent")
    elif case == "inside":
        target = directory / "backup"
    else:
        shutil.copytree(directory, target)
    done = run("backup", source, target)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert not directory.with_name("absent").exists()
