"""What the door asks of the operating system for things to be on the disk, in order."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlog.storage.filesystem import OS_FILESYSTEM


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The syncs and renames of this process from now on, each with the name it is about."""
    made: list[str] = []

    def noted(name: str, genuine: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: int | str, *more: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            made.append(f"{name} {Path(path).name}")
            return genuine(target, *more)

        return call

    for name in ("fsync", "fdatasync", "rename"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    return made


def test_a_file_and_a_directory_are_synced(tmp_path: Path, calls: list[str]) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    OS_FILESYSTEM.fdatasync(descriptor)
    OS_FILESYSTEM.fsync(descriptor)
    os.close(descriptor)
    (tmp_path / "folder").mkdir()
    OS_FILESYSTEM.sync_directory(str(tmp_path / "folder"))
    assert calls == ["fdatasync file", "fsync file", "fsync folder"]


def test_a_written_file_is_synced_unless_nobody_asks(tmp_path: Path, calls: list[str]) -> None:
    OS_FILESYSTEM.write_file(str(tmp_path / "kept"), b"data")
    OS_FILESYSTEM.write_file(str(tmp_path / "lost"), b"data", sync=False)
    assert calls == ["fsync kept"]


def test_a_file_is_replaced_when_its_content_is_there_and_the_name_follows(
    tmp_path: Path, calls: list[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    OS_FILESYSTEM.write_atomically(str(folder / "file"), b"data")
    assert calls == ["fsync file.tmp", "rename file.tmp", "fsync folder"]
    assert (folder / "file").read_bytes() == b"data"
