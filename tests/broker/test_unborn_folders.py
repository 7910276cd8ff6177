"""A folder whose maker died before he had said whose it is, of a topic that is gone since."""

from __future__ import annotations

from pathlib import Path

import pytest

import streamlog
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory

#: What he got to: by name what is in the files.
UNBORN: list[dict[str, bytes]] = [
    {},
    {"partition.metadata": b""},
    {"partition.metadata": b"version: 0\ntop"},
    {"partition.metadata": b"", "leader-epoch-checkpoint": b"", "00000000000000000000.log": b""},
]


def leave_behind(path: Path, folder: str, files: dict[str, bytes]) -> None:
    (path / folder).mkdir()
    for name, content in files.items():
        (path / folder / name).write_bytes(content)


def folders_of(path: Path) -> list[str]:
    return sorted(each.name.split(".")[0] for each in path.iterdir() if each.is_dir())


@pytest.mark.parametrize("files", UNBORN)
def test_it_goes_at_the_next_opening(tmp_path: Path, files: dict[str, bytes]) -> None:
    streamlog.open(tmp_path).close()
    leave_behind(tmp_path, "gone-0", files)
    streamlog.open(tmp_path).close()
    assert folders_of(tmp_path) == ["__cluster_metadata-0"]
    assert list(verify_directory(OS_FILESYSTEM, str(tmp_path))) == []


@pytest.mark.parametrize("files", UNBORN)
def test_it_goes_when_a_topic_needs_its_name(tmp_path: Path, files: dict[str, bytes]) -> None:
    with streamlog.open(tmp_path) as log:
        log.create_topic("again")
        leave_behind(tmp_path, "again-0", files)
        with log.producer() as producer:
            producer.send("again", b"x").result()
        assert [record.value for record in log.read("again")] == [b"x"]
    assert folders_of(tmp_path) == ["__cluster_metadata-0", "again-0"]


def test_what_holds_anything_is_kept(tmp_path: Path) -> None:
    streamlog.open(tmp_path).close()
    leave_behind(tmp_path, "gone-0", {"00000000000000000000.log": b"records"})
    streamlog.open(tmp_path).close()
    (kept,) = tmp_path.glob("gone-0.*-stray")
    assert (kept / "00000000000000000000.log").read_bytes() == b"records"
