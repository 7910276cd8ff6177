"""What an interrupted deletion or compaction left is finished or undone, never mixed."""

from __future__ import annotations

import pytest

from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.loading import load_partition_files
from tests.storage.folder_builder import Folder, contents


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "orders-0")
    for number in range(3):
        if number:
            folder.roll()
        folder.append_many(3)
    return folder.close()


def load(folder):
    return load_partition_files(OS_FILESYSTEM, str(folder.path))


def rename(folder, base, suffix, ending):
    path = folder.file(suffix, base)
    path.rename(f"{path}{ending}")


def test_segments_and_snapshots_in_order(folder):
    for offset in (18, 9):
        folder.path.joinpath(f"{offset:020d}.snapshot").touch()
    folder.path.joinpath("notes.txt").touch()
    files = load(folder)
    assert (files.segments, files.snapshots) == ([0, 9, 18], [9, 18])
    assert "notes.txt" in files.names


def test_deleted_files_go_and_orphan_indexes_with_them(folder):
    rename(folder, 0, ".log", ".deleted")
    files = load(folder)
    assert files.segments == [9, 18]
    assert not [path for path in folder.path.iterdir() if path.name.startswith(f"{0:020d}")]


def test_an_incomplete_compaction_is_undone(folder):
    before = contents(folder.path)
    folder.path.joinpath(f"{0:020d}.log.cleaned").write_bytes(b"half")
    folder.path.joinpath(f"{9:020d}.log.swap").write_bytes(b"renamed already")
    files = load(folder)
    assert files.segments == [0, 9, 18]
    assert contents(folder.path) == before


def test_a_complete_one_is_finished(folder):
    merged = folder.file(".log", 0).read_bytes() + folder.file(".log", 9).read_bytes()
    folder.path.joinpath(f"{0:020d}.log.swap").write_bytes(merged)
    files = load(folder)
    assert files.segments == [0, 18]
    assert folder.file(".log", 0).read_bytes() == merged
    assert not folder.file(".index", 9).exists()
    assert load(folder).segments == [0, 18]


def test_a_dead_writers_temporary_goes_and_snapshots_of_metadata_stay(folder):
    folder.path.joinpath("leader-epoch-checkpoint.tmp").touch()
    kept = folder.path / f"{9:020d}-0000000001.checkpoint.deleted"
    kept.touch()
    load(folder)
    assert kept.exists()
    assert not (folder.path / "leader-epoch-checkpoint.tmp").exists()


def test_there_is_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_partition_files(OS_FILESYSTEM, str(tmp_path / "gone"))
