"""The structure byte: segments that are exchanged under readers, and by processes that die.

There is no cleaner here: the exchange is spelled out step by step, as the protocol of the files
says it, so that it can end after each.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlog.errors import CorruptDirectoryError, LockTimeoutError
from streamlog.record.kernel import RecordBatch
from streamlog.storage.loading import load_partition_files
from streamlog.storage.partition_log import PartitionLog
from streamlog.storage.structure import structure_lock, undo_unpublished_locked
from tests.storage.logs import Machine, bases, fill, read

STEPS = range(8)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def log(machine: Machine) -> PartitionLog:
    log = machine.open(cleanup_policy="compact")
    fill(log, 4)
    return log


def exchange(log: PartitionLog) -> Iterator[None]:
    """Put one segment without the odd offsets in the place of the first two; a yield a step."""
    folder = Path(log.directory)
    first, second, third = bases(log)[:3]
    old = [path for path in folder.iterdir() if path.name[:20] in (f"{first:020}", f"{second:020}")]
    data = b"".join(
        bytes(batch.view) for batch in batches(log, third) if batch.base_offset % 2 == 0
    )
    names = [f"{first:020}.{suffix}" for suffix in ("index", "timeindex", "log")]
    for name in names:
        (folder / f"{name}.cleaned").write_bytes(data if name.endswith("log") else b"")
    yield
    for name in names:
        os.rename(folder / f"{name}.cleaned", folder / f"{name}.swap")
    yield
    publish(log, restructuring=1)
    yield
    for path in old[::2]:
        path.unlink()
    yield
    for path in old[1::2]:
        path.unlink()
    yield
    for name in names[:2]:
        os.rename(folder / f"{name}.swap", folder / name)
    yield
    os.rename(folder / f"{names[2]}.swap", folder / names[2])
    yield
    state = log.state()
    publish(
        log,
        restructuring=0,
        generation=state.generation + 1,
        swap_generation=state.swap_generation + 1,
    )
    yield


def publish(log: PartitionLog, **changes: int) -> None:
    with log.locked():
        log._slots.publish_state(log.slot, log.state()._replace(**changes))


def batches(log: PartitionLog, end: int) -> list[RecordBatch]:
    found: list[RecordBatch] = []
    while not found or found[-1].next_offset < end:
        offset = found[-1].next_offset if found else 0
        found.append(RecordBatch(log.fetch(offset, 1).view))
    return found


def die_exchanging(machine: Machine, steps: int) -> tuple[list[int], list[int]]:
    """A process is killed after so many steps; the offsets of before, and of a whole exchange."""
    dying = machine.open(cleanup_policy="compact")
    before = read(dying)
    third = bases(dying)[2]
    after = [offset for offset in before if offset >= third or offset % 2 == 0]
    dying._writer.lock_structure()
    work = exchange(dying)
    for _ in range(steps):
        next(work)
    machine.kill(dying)
    return before, after


@pytest.mark.parametrize("steps", STEPS)
def test_a_reader_finishes_what_a_dead_process_left(
    machine: Machine, log: PartitionLog, steps: int
) -> None:
    before, after = die_exchanging(machine, steps)
    other = machine.open(cleanup_policy="compact")
    expected = before if steps < 3 else after
    assert read(other) == expected
    assert read(log) == expected
    assert other.state().restructuring == 0
    assert other.state().swap_generation == (steps >= 3)
    assert Path(log.directory, f"{0:020}.timeindex").exists(), "it was a swap, or is the old one"


@pytest.mark.parametrize("steps", STEPS)
def test_the_next_holder_finishes_or_undoes_it(
    machine: Machine, log: PartitionLog, steps: int
) -> None:
    before, after = die_exchanging(machine, steps)
    other = machine.open(cleanup_policy="compact")
    with structure_lock(other):
        undo_unpublished_locked(other)
    names = {path.suffix for path in Path(other.directory).iterdir()}
    assert not names & {".swap", ".cleaned"}
    assert read(other) == (before if steps < 3 else after)


@pytest.mark.parametrize("steps", STEPS)
def test_so_does_loading(machine: Machine, log: PartitionLog, steps: int) -> None:
    """After a power cut the slots say nothing: the files have to."""
    before, after = die_exchanging(machine, steps)
    load_partition_files(machine.filesystem, log.directory)
    publish(log, restructuring=0, swap_generation=1, generation=99)
    assert read(log) == (before if steps < 2 else after)


@pytest.mark.parametrize("steps", STEPS)
def test_readers_in_the_middle_see_the_old_or_the_new(
    machine: Machine, log: PartitionLog, steps: int
) -> None:
    """One with everything open, one in the middle with a cursor, one that comes anew.

    Who reads while it happens may have had the beginning before it, and the rest behind it.
    """
    before = read(log)
    cursor = log.fetch(before[1], 1).cursor
    assert cursor is not None
    writer = machine.open(cleanup_policy="compact")
    third = bases(log)[2]
    after = [offset for offset in before if offset >= third or offset % 2 == 0]
    with structure_lock(writer):
        work = exchange(writer)
        for _ in range(steps):
            next(work)
        # Maps that are open may be read from, whatever becomes of the files.
        assert RecordBatch(log.fetch(cursor.offset, 1, cursor).view).base_offset >= cursor.offset
        seen: list[list[int]] = []
        fresh = machine.open(cleanup_policy="compact")
        reading = threading.Thread(target=lambda: seen.append(read(fresh)))
        reading.start()
        for _ in work:
            pass
    reading.join()
    assert seen[0] in [
        [each for each in before if each < met] + [each for each in after if each >= met]
        for met in range(before[-1] + 2)
    ]
    assert read(log) == after


def test_a_reader_does_not_wait_for_ever(machine: Machine, log: PartitionLog) -> None:
    work = exchange(log)
    with structure_lock(log):
        for _ in range(4):
            next(work)
        fresh = machine.open(lock_timeout_ms=200, cleanup_policy="compact")
        with pytest.raises(LockTimeoutError) as raised:
            read(fresh)
        assert raised.value.pid == os.getpid()
        for _ in work:
            pass
    assert read(fresh)[0] == 0


def test_an_append_is_not_held_up(machine: Machine, log: PartitionLog) -> None:
    other = machine.open(cleanup_policy="compact")
    with structure_lock(log):
        for _ in exchange(log):
            fill(other, len(bases(other)) + 1)
            other.sync(other.log_end)
    assert read(other)[-1] == other.log_end - 1


def test_a_file_that_is_really_missing_is_named(machine: Machine, log: PartitionLog) -> None:
    Path(log.directory, f"{0:020}.log").unlink()
    with pytest.raises(CorruptDirectoryError, match="no segment"):
        machine.open().fetch(0, 1)
