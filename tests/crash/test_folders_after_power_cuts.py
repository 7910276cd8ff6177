"""What a partition's folder is found as when the power goes while, or after, it is put in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamlog.storage import tearing
from streamlog.storage.loading import finish_swaps, load_partition_files, undo_swaps
from streamlog.storage.producer_snapshot import write_snapshot
from streamlog.storage.producer_state import ProducerStateTable
from streamlog.storage.shared import PartitionState
from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.crash.power import RecordedDisk, files, image_of
from tests.storage.folder_builder import Folder, three_segments

DIRECTORY = "/orders-0"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return three_segments(Folder(tmp_path / "orders-0"), 3)


def name(base: int, suffix: str) -> str:
    return f"{base:020d}{suffix}"


def add(folder: Folder, base: int, suffix: str, data: bytes) -> None:
    folder.path.joinpath(name(base, suffix)).write_bytes(data)


def merge(folder: Folder) -> bytes:
    """A complete compaction of the first two segments, its swap alone; what the swap holds."""
    merged = folder.file(".log", 0).read_bytes() + folder.file(".log", 9).read_bytes()
    add(folder, 0, ".log.swap", merged)
    return merged


def logs(door: MemoryFilesystem) -> dict[str, bytes]:
    return {name: data for name, data in files(door, DIRECTORY).items() if name.endswith(".log")}


def load(door: MemoryFilesystem) -> dict[str, bytes]:
    load_partition_files(door, DIRECTORY)
    return logs(door)


# -------------------------------------------------------------------- compaction's swap


def test_an_incomplete_exchange_is_undone_wherever_that_is_cut(folder: Folder) -> None:
    """What says that it is incomplete stays until the rest is gone."""
    before = {path.name: path.read_bytes() for path in folder.path.glob("*.log")}
    add(folder, 0, ".log.cleaned", b"half")
    add(folder, 9, ".log.swap", folder.file(".log", 9).read_bytes()[:300])
    for way in (load, lambda door: undo_swaps(door, DIRECTORY)):
        disk = RecordedDisk(image_of(folder.path))
        way(disk.door)
        for cut in disk.after_some_cuts(30):
            assert load(cut.door) == before


def finish(door: MemoryFilesystem) -> None:
    finish_swaps(door, DIRECTORY, 18)


def begin_the_next_exchange(disk: RecordedDisk) -> Iterator[RecordedDisk]:
    """What is left then; a `.cleaned` says of every swap behind it that it is incomplete."""
    disk.door.write_file(f"{DIRECTORY}/{name(0, '.log.cleaned')}", b"half")
    return disk.after_some_cuts(30)


@pytest.mark.parametrize("way", [load, finish])
def test_an_exchange_that_was_finished_is_not_undone_by_the_next(
    folder: Folder, way: Callable[[MemoryFilesystem], object]
) -> None:
    merged = merge(folder)
    disk = RecordedDisk(image_of(folder.path))
    way(disk.door)
    for cut in begin_the_next_exchange(disk):
        assert load(cut.door)[name(0, ".log")] == merged


@pytest.mark.parametrize("alone", [False, True])
def test_nor_is_one_of_which_a_dead_process_had_done_all_but_the_sync(
    folder: Folder, alone: bool
) -> None:
    state = folder.recover(clean=True, recovery_point=folder.next_offset).state
    merged = merge(folder)
    for base in (0, 9):
        for suffix in (".index", ".timeindex", ".log"):
            folder.file(suffix, base).unlink()
    disk = RecordedDisk(image_of(folder.path))
    swap = f"{DIRECTORY}/{name(0, '.log.swap')}"
    disk.door.rename(swap, swap.removesuffix(".swap"))
    if alone:
        folder.path = Path(DIRECTORY)
        found = folder.recover(filesystem=disk.door, slot_state=state._replace(restructuring=1))
        assert found.state.swap_generation == state.swap_generation + 1
    else:
        finish(disk.door)
    for cut in begin_the_next_exchange(disk):
        assert load(cut.door)[name(0, ".log")] == merged


# -------------------------------------------------------------------- shared files


def test_what_is_appended_to_a_file_that_was_shared_is_in_the_file_of_that_name(
    folder: Folder,
) -> None:
    disk = RecordedDisk(image_of(folder.path))
    path = f"{DIRECTORY}/{name(18, '.log')}"
    before = disk.door.read_file(path)
    disk.door.mkdir("/backup", 0o700)
    disk.door.link(path, "/backup/segment")
    for directory in ("/", "/backup"):
        disk.door.sync_directory(directory)
    tearing.unshare(disk.door, path)
    descriptor = disk.door.open(path, os.O_RDWR)
    disk.door.write_all(descriptor, b"more", len(before))
    disk.door.fdatasync(descriptor)
    door = disk.after_power_cut().door
    assert door.read_file(path) == before + b"more"
    assert door.read_file("/backup/segment") == before


# -------------------------------------------------------------------- recovery


def recover(disk: RecordedDisk, folder: Folder, **how: object) -> PartitionState:
    folder.path = Path(DIRECTORY)
    found = folder.recover(filesystem=disk.door, **how)  # type: ignore[arg-type]
    assert found.synced is not None
    assert found.synced.offset == found.state.log_end == folder.next_offset
    return found.state


def test_who_a_recovered_folder_is_and_its_epochs_are_synced_with_its_records(
    folder: Folder,
) -> None:
    """The synced end that a recovery leaves vouches for segments that nobody scans again."""
    disk = RecordedDisk(image_of(folder.path))
    small = {
        "partition.metadata": b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n",
        "leader-epoch-checkpoint": b"0\n1\n0 0\n",
    }
    for one, data in small.items():  # by a broker, which was killed
        disk.door.write_file(f"{DIRECTORY}/{one}", data, sync=False)
    recover(disk, folder)
    left = files(disk.after_power_cut().door, DIRECTORY)
    assert {one: left[one] for one in small} == small


def test_indexes_of_sealed_segments_that_a_recovery_wrote_are_synced(folder: Folder) -> None:
    """Nobody syncs them again: the synced end is behind their segments."""
    for base in (0, 9):
        folder.file(".index", base).unlink()
        folder.file(".timeindex", base).unlink()
    disk = RecordedDisk(image_of(folder.path))
    recover(disk, folder)
    now, left = (files(door, DIRECTORY) for door in (disk.door, disk.after_power_cut().door))
    for index in (name(0, ".timeindex"), name(9, ".timeindex")):
        assert now[index]
        assert left[index] == now[index]


def test_what_a_dead_writer_had_begun_is_cut_on_the_disk(folder: Folder) -> None:
    """The next batch is written over it, and a part of that may be what a power cut leaves."""
    state = folder.recover(clean=True, recovery_point=folder.next_offset).state
    synced, end = folder.synced_end, state.end_position
    folder.append()
    disk = RecordedDisk(image_of(folder.path))
    folder.path = Path(DIRECTORY)
    assert folder.recover(filesystem=disk.door, slot_state=state, synced=synced).state == state
    assert disk.after_power_cut().door.file_size(f"{DIRECTORY}/{name(18, '.log')}") == end


def test_a_poisoned_partition_that_was_written_anew_has_its_new_files(folder: Folder) -> None:
    disk = RecordedDisk(image_of(folder.path))
    state = folder.recover(clean=True, recovery_point=folder.next_offset).state
    before = logs(disk.door)
    for base in folder.bases:
        descriptor = disk.door.open(f"{DIRECTORY}/{name(base, '.log')}", os.O_RDWR)
        disk.door.write_all(descriptor, disk.door.pread(descriptor, 1 << 20, 0), 0)
        disk.door.truncate(descriptor, disk.door.size(descriptor))
    recover(disk, folder, slot_state=state._replace(poisoned=5), synced=None)
    appended = {}
    for base in folder.bases:  # to the files that the names mean now
        path = f"{DIRECTORY}/{name(base, '.log')}"
        descriptor = disk.door.open(path, os.O_RDWR)
        disk.door.write_all(descriptor, b"more", disk.door.size(descriptor))
        disk.door.fdatasync(descriptor)
        appended[name(base, ".log")] = before[name(base, ".log")] + b"more"
    assert logs(disk.after_power_cut().door) == appended


# -------------------------------------------------------------------- producer snapshots


def test_a_snapshot_that_was_written_is_there(folder: Folder) -> None:
    """The batches that it stands for may go next."""
    disk = RecordedDisk(image_of(folder.path))
    path = write_snapshot(disk.door, DIRECTORY, ProducerStateTable((), 9))
    assert disk.after_power_cut().door.exists(path)


def test_a_snapshot_of_what_was_cut_stays_away(folder: Folder) -> None:
    """When the log has grown past its offset again, it would be taken for one of that."""
    add(folder, 30, ".snapshot", b"of what was cut")
    disk = RecordedDisk(image_of(folder.path))
    assert tearing.remove_snapshots_behind(disk.door, DIRECTORY, 27) == 1
    assert not disk.after_power_cut().door.exists(f"{DIRECTORY}/{name(30, '.snapshot')}")
