"""A disk that is recorded, and the power cuts after which only little of it is left."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from streamlog.testing.crash_sampling import all_lost, sample_disordered
from streamlog.testing.crash_states import CrashDisk
from streamlog.testing.journal import EMPTY_IMAGE, Image, Operation
from streamlog.testing.memory_filesystem import MemoryFilesystem


class RecordedDisk:
    """A disk with all that is done to it from `image` on. `door` is a process's filesystem."""

    def __init__(self, image: Image = EMPTY_IMAGE, boot: int = 1) -> None:
        self._image = image
        self._boot = boot
        self.journal: list[Operation] = []
        self.door = MemoryFilesystem(image, boot=boot, journal=self.journal)

    def after_power_cut(self) -> RecordedDisk:
        """What the machine finds when it starts again: what was synced, and nothing else."""
        disk = self._follow(len(self.journal))
        return RecordedDisk(disk.image(all_lost(disk)), self._boot + 1)

    def after_each_cut(self, since: int) -> Iterator[RecordedDisk]:
        """The same of cuts behind each operation from the journal's number `since` on."""
        for end in range(since, len(self.journal) + 1):
            disk = self._follow(end)
            yield RecordedDisk(disk.image(all_lost(disk)), self._boot + 1)

    def after_some_cuts(self, count: int) -> Iterator[RecordedDisk]:
        """States behind each operation, of a disk that keeps no order among renames."""
        draw = random.Random(1)
        for end in range(len(self.journal) + 1):
            disk = self._follow(end)
            for _ in range(count):
                image = disk.image(sample_disordered(disk, draw))
                yield RecordedDisk(image, self._boot + 1)

    def _follow(self, end: int) -> CrashDisk:
        disk = CrashDisk(self._image)
        for operation in self.journal[:end]:
            disk.follow(operation)
        return disk


def image_of(folder: Path) -> Image:
    """A disk that has the files of `folder` on it, in a folder of the same name."""
    entries: dict[str, tuple[int, bytes | None]] = {"/": (1, None), f"/{folder.name}": (2, None)}
    for number, path in enumerate(sorted(folder.iterdir()), 3):
        entries[f"/{folder.name}/{path.name}"] = (number, path.read_bytes())
    return Image(entries)


def files(door: MemoryFilesystem, folder: str) -> dict[str, bytes]:
    """What a folder holds."""
    return {name: door.read_file(f"{folder}/{name}") for name in door.listdir(folder)}
