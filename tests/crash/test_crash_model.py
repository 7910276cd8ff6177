"""The model of a disk itself: what a power cut may leave, and what it may not."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable

import pytest

from streamlog.testing.crash_sampling import all_kept, all_lost, exhaustive, sample
from streamlog.testing.crash_states import SECTOR, CrashDisk
from streamlog.testing.journal import EMPTY_IMAGE, Image, Operation
from streamlog.testing.memory_filesystem import MemoryFilesystem

CREATE = os.O_RDWR | os.O_CREAT
A, B, C = (letter * SECTOR for letter in (b"a", b"b", b"c"))


class Recorded:
    """A recorded disk with the directory /d, synced, and a file in it."""

    def __init__(self) -> None:
        self.journal: list[Operation] = []
        self.door = MemoryFilesystem(journal=self.journal)
        self.door.mkdir("/d")
        self.door.sync_directory("/")

    def file(self, name: str, data: bytes, *, synced: bool = True) -> int:
        descriptor = self.door.open(f"/d/{name}", CREATE)
        self.door.write_all(descriptor, data, 0)
        if synced:
            self.door.fsync(descriptor)
            self.door.sync_directory("/d")
        return descriptor

    def disk(self) -> CrashDisk:
        disk = CrashDisk(EMPTY_IMAGE)
        for operation in self.journal:
            disk.follow(operation)
        return disk

    def lost(self) -> dict[str, bytes]:
        disk = self.disk()
        return files(disk.image(all_lost(disk)))

    def kept(self) -> dict[str, bytes]:
        return files(self.disk().image(all_kept()))

    def states(self, name: str) -> set[bytes | None]:
        """Every content (None: it is not there) of a file that is found among many states."""
        disk = self.disk()
        generator = random.Random(1)
        drawn = [sample(disk, generator) for _ in range(600)] + list(exhaustive(disk))
        return {files(disk.image(survivors)).get(name) for survivors in drawn}


def files(image: Image) -> dict[str, bytes]:
    return {
        path.removeprefix("/d/"): data
        for path, (_, data) in image.entries.items()
        if data is not None
    }


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


class TestData:
    def test_what_is_synced_is_there_in_every_state(self, recorded: Recorded) -> None:
        recorded.file("f", A + B)
        assert recorded.states("f") == {A + B}

    def test_unsynced_sectors_are_there_or_not_each_for_itself(self, recorded: Recorded) -> None:
        descriptor = recorded.file("f", A + A)
        recorded.door.write_all(descriptor, B + B, 0)
        assert recorded.states("f") == {A + A, A + B, B + A, B + B}

    def test_what_was_appended_may_be_missing_short_or_a_hole(self, recorded: Recorded) -> None:
        descriptor = recorded.file("f", A)
        recorded.door.write_all(descriptor, B + C, SECTOR)
        zeros = bytes(SECTOR)
        expected = {A, A + B + C, A + zeros + C, A + B + zeros, A + zeros + zeros}
        assert recorded.states("f") == expected

    def test_a_sector_has_one_of_its_versions_and_no_mixture(self, recorded: Recorded) -> None:
        descriptor = recorded.file("f", A)
        recorded.door.write_all(descriptor, b"1", 0)
        recorded.door.write_all(descriptor, b"2", 1)
        assert recorded.states("f") == {A, b"1" + A[1:], b"12" + A[2:]}

    def test_a_cut_may_not_have_taken_place(self, recorded: Recorded) -> None:
        descriptor = recorded.file("f", A + B)
        recorded.door.truncate(descriptor, 100)
        assert recorded.states("f") == {A + B, A[:100]}

    def test_what_was_cut_does_not_come_back_behind_a_later_end(self, recorded: Recorded) -> None:
        descriptor = recorded.file("f", A)
        recorded.door.truncate(descriptor, 100)
        recorded.door.truncate(descriptor, 200)
        assert recorded.states("f") == {A, A[:100], A[:100] + bytes(100)}

    def test_a_failed_sync_leaves_data_in_doubt_that_a_second_one_calls_synced(
        self, recorded: Recorded
    ) -> None:
        descriptor = recorded.file("f", A)
        recorded.door.write_all(descriptor, B, 0)
        recorded.door.before = refuse("fsync")
        with pytest.raises(OSError, match="refused"):
            recorded.door.fsync(descriptor)
        recorded.door.before = None
        recorded.door.write_all(descriptor, C, SECTOR)
        recorded.door.fsync(descriptor)
        assert recorded.states("f") == {A + C, B + C}
        recorded.door.write_all(descriptor, B, 0)
        recorded.door.fsync(descriptor)
        assert recorded.states("f") == {B + C}

    def test_a_store_through_a_map_may_be_on_the_disk_at_any_time(self, recorded: Recorded) -> None:
        descriptor = recorded.file("f", bytes(SECTOR))
        words = recorded.door.map_shared(descriptor, SECTOR).cast("q")
        words[0] = 1
        words[1] = 2
        rest = bytes(SECTOR - 16)
        one, two = ((1).to_bytes(8, "little"), (2).to_bytes(8, "little"))
        expected = {bytes(SECTOR), one + bytes(8) + rest, one + two + rest}
        assert recorded.states("f") == expected
        assert recorded.door.pread(descriptor, 16, 0) == one + two


class TestNames:
    def test_a_file_is_gone_without_a_sync_of_its_directory(self, recorded: Recorded) -> None:
        descriptor = recorded.file("f", A, synced=False)
        recorded.door.fsync(descriptor)
        assert recorded.states("f") == {None, A}

    def test_a_name_without_data_is_an_empty_file(self, recorded: Recorded) -> None:
        recorded.file("f", A, synced=False)
        recorded.door.sync_directory("/d")
        assert recorded.states("f") == {b"", A, bytes(SECTOR)}

    def test_renaming_an_unsynced_file_may_empty_the_old_one(self, recorded: Recorded) -> None:
        recorded.file("f", A)
        recorded.file("f.tmp", B, synced=False)
        recorded.door.rename("/d/f.tmp", "/d/f")
        recorded.door.sync_directory("/d")
        assert {b"", B} <= recorded.states("f")
        assert A not in recorded.states("f")

    def test_an_atomic_replacement_is_the_old_or_the_new(self, recorded: Recorded) -> None:
        recorded.file("f", A)
        recorded.door.write_atomically("/d/f", B, sync_parent=False)
        assert recorded.states("f") == {A, B}
        recorded.door.sync_directory("/d")
        assert recorded.states("f") == {B}

    def test_an_unlink_may_be_undone(self, recorded: Recorded) -> None:
        recorded.file("f", A)
        recorded.door.unlink("/d/f")
        assert recorded.states("f") == {A, None}

    def test_changes_of_one_directory_survive_in_their_order(self, recorded: Recorded) -> None:
        recorded.file("f", A)
        recorded.file("g", B)
        recorded.door.unlink("/d/f")
        recorded.door.unlink("/d/g")
        disk = recorded.disk()
        generator = random.Random(2)
        images = [files(disk.image(sample(disk, generator))) for _ in range(300)]
        assert {tuple(sorted(image)) for image in images} == {("f", "g"), ("g",), ()}

    def test_a_directory_takes_what_is_in_it_along(self, recorded: Recorded) -> None:
        recorded.door.mkdir("/d/e")
        descriptor = recorded.file("e/f", A, synced=False)
        recorded.door.fsync(descriptor)
        recorded.door.sync_directory("/d/e")
        assert recorded.states("e/f") == {None, A}
        recorded.door.sync_directory("/d")
        assert recorded.lost() == recorded.kept() == {"e/f": A}


class TestProcesses:
    def test_locks_exclude_other_processes_and_die_with_theirs(self) -> None:
        one = MemoryFilesystem()
        two = one.another_process()
        mine = one.open("/f", CREATE)
        other = two.open("/f", CREATE)
        assert one.lock(mine, 0, 10, exclusive=True)
        assert not two.lock(other, 9, 1, exclusive=False)
        assert two.lock_holder(other, 0, 1, exclusive=True) == 0
        assert two.lock(other, 10, 1, exclusive=True)
        one.unlock(mine, 3, 2)
        assert two.lock(other, 3, 2, exclusive=True)
        assert not two.lock(other, 5, 1, exclusive=False)
        one.kill()
        assert two.lock(other, 0, 10, exclusive=True)

    def test_a_failed_upgrade_keeps_the_shared_lock(self) -> None:
        one = MemoryFilesystem()
        two = one.another_process()
        mine, other = one.open("/f", CREATE), two.open("/f", CREATE)
        assert one.lock(mine, 0, 1, exclusive=False)
        assert two.lock(other, 0, 1, exclusive=False)
        assert not one.lock(mine, 0, 1, exclusive=True)
        assert not two.lock(other, 0, 1, exclusive=True)

    def test_an_image_is_what_processes_see(self) -> None:
        door = MemoryFilesystem()
        door.mkdir("/d")
        door.write_file("/d/f", A)
        copy = MemoryFilesystem(door.image(), boot=2)
        copy.write_file("/d/f", B)
        assert door.read_file("/d/f") == A
        assert copy.read_file("/d/f") == B
        assert copy.boot_id() != door.boot_id()

    @pytest.mark.parametrize(
        ("number", "act"),
        [
            (errno.ENOENT, lambda door: door.open("/no", os.O_RDWR)),
            (errno.ENOENT, lambda door: door.rename("/no", "/f")),
            (errno.ENOENT, lambda door: door.listdir("/no")),
            (errno.ENOTDIR, lambda door: door.listdir("/f")),
            (errno.EEXIST, lambda door: door.mkdir("/f")),
            (errno.EEXIST, lambda door: door.open("/f", CREATE | os.O_EXCL)),
            (errno.EISDIR, lambda door: door.unlink("/d")),
            (errno.ENOTEMPTY, lambda door: door.rmdir("/d")),
            (errno.EBADF, lambda door: door.pread(99, 1, 0)),
        ],
    )
    def test_what_is_wrong_is_said_as_the_system_says_it(
        self, number: int, act: Callable[[MemoryFilesystem], object]
    ) -> None:
        door = MemoryFilesystem()
        door.write_file("/f", A)
        door.mkdir("/d")
        door.write_file("/d/f", A)
        with pytest.raises(OSError, match=r"\[Errno") as caught:
            act(door)
        assert caught.value.errno == number


def refuse(refused: str) -> Callable[[str, str | int], None]:
    def before(operation: str, target: str | int) -> None:
        if operation == refused:
            raise OSError(errno.EIO, "refused")

    return before
