"""Which of the legal states to look at: the telling ones all, and a sample of the rest.

`exhaustive`: nothing unsynced was lost; all of it was; each single part of it (a sector, a
size) is one version behind, or there alone; each directory stands at each of its changes.
`sample` draws states from a random generator, in the manners in which disks surprise: in order
up to a point, every file for itself, all but little, almost nothing. `sample_disordered` lets
directories forget the order of what was renamed and removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.testing.crash_states import CrashDisk, FileHistory, Survivors
from streamlog.testing.journal import Link

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator


def all_kept() -> Survivors:
    """Everything that was done, synced or not: also what killed processes leave."""
    return Survivors()


def all_lost(disk: CrashDisk) -> Survivors:
    """Only what was synced."""
    survivors = Survivors()
    for node, file in disk.doubtful_files():
        survivors.files[node] = file.lost()
    for node, _ in disk.doubtful_directories():
        survivors.directories[node] = ()
    return survivors


def exhaustive(disk: CrashDisk) -> Iterator[Survivors]:
    """All kept, all lost, and each single part lost alone or kept alone."""
    yield all_kept()
    yield all_lost(disk)
    for node, file in disk.doubtful_files():
        yield from _single_file(disk, node, file)
    for node, folder in disk.doubtful_directories():
        for made in range(len(folder.pending) + 1):
            survivors = Survivors()
            survivors.directories[node] = range(made)
            yield survivors
            survivors = all_lost(disk)
            survivors.directories[node] = range(made)
            yield survivors


def _single_file(disk: CrashDisk, node: int, file: FileHistory) -> Iterator[Survivors]:
    newest = {sector: len(versions) - 1 for sector, versions in file.sectors.items()}
    largest = len(file.sizes) - 1
    alone = Survivors()
    alone.files[node] = file.lost()
    yield alone
    alone = all_lost(disk)
    alone.files[node] = file.kept()
    yield alone
    for sector, at in newest.items():
        survivors = Survivors()
        survivors.files[node] = file.assemble({**newest, sector: at - 1}, largest)
        yield survivors
        survivors = all_lost(disk)
        survivors.files[node] = file.assemble({sector: at}, largest)
        yield survivors
    for size_at in range(largest):
        survivors = Survivors()
        survivors.files[node] = file.assemble(newest, size_at)
        yield survivors


def sample_disordered(disk: CrashDisk, generator: random.Random) -> Survivors:
    """As `sample`, but of each directory's renames and removals any may have been made.

    New names appear in their order all the same, as file systems that journal have it.
    """
    survivors = sample(disk, generator)
    for node, folder in disk.doubtful_directories():
        kept = survivors.directories.get(node, range(len(folder.pending)))
        share = generator.choice((0.1, 0.5, 0.9, 1.0))
        survivors.directories[node] = [
            at
            for at, (_, change) in enumerate(folder.pending)
            if (at in kept if isinstance(change, Link) else generator.random() < share)
        ]
    return survivors


def sample(disk: CrashDisk, generator: random.Random) -> Survivors:
    """One state, drawn from `generator`."""
    manner = generator.randrange(8)
    if manner == 0:
        return _in_order(disk, generator.randrange(disk.number + 1))
    if manner in (1, 2):
        return _nearly(all_kept(), disk, generator)
    if manner == 3:
        return _nearly(all_lost(disk), disk, generator)
    survivors = Survivors()
    for node, file in disk.doubtful_files():
        survivors.files[node] = _some_of_file(file, disk, generator)
    for node, folder in disk.doubtful_directories():
        survivors.directories[node] = _some_of(len(folder.pending), generator)
    return survivors


def _in_order(disk: CrashDisk, number: int) -> Survivors:
    """The disk wrote everything in the order of time, up to an operation."""
    survivors = Survivors()
    for node, file in disk.doubtful_files():
        survivors.files[node] = file.until(number)
    for node, folder in disk.doubtful_directories():
        survivors.directories[node] = [
            at for at, (made, _) in enumerate(folder.pending) if made <= number
        ]
    return survivors


def _nearly(survivors: Survivors, disk: CrashDisk, generator: random.Random) -> Survivors:
    """A state, but for one or two files or directories, which are anyhow."""
    nodes = [node for node, _ in disk.doubtful_files()]
    nodes += [node for node, _ in disk.doubtful_directories()]
    for node in generator.sample(nodes, min(len(nodes), generator.randint(1, 2))):
        file = disk.files.get(node)
        if file is None:
            count = len(disk.directories[node].pending)
            survivors.directories[node] = _some_of(count, generator)
        else:
            survivors.files[node] = _some_of_file(file, disk, generator)
    return survivors


def _some_of_file(file: FileHistory, disk: CrashDisk, generator: random.Random) -> bytes:
    manner = generator.randrange(6)
    if manner == 0:
        return file.kept()
    if manner == 1:
        return file.lost()
    if manner == 2:
        return file.until(generator.randrange(disk.number + 1))
    chosen: dict[int, int] = {}
    for sector, versions in file.sectors.items():
        newest = len(versions) - 1
        if manner == 3:
            chosen[sector] = generator.randint(-1, newest)
        else:  # one sector in a few is behind, or missing
            behind = generator.random() < 0.25
            chosen[sector] = generator.randint(-1, newest) if behind else newest
    largest = len(file.sizes) - 1
    size_at = generator.randint(0, largest) if generator.random() < 0.4 else largest
    return file.assemble(chosen, size_at)


def _some_of(count: int, generator: random.Random) -> range:
    return range(count if generator.random() < 0.25 else generator.randrange(count + 1))
