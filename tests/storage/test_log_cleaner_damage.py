"""A pass over a damaged log, or one that ends early: an error that says where, nothing changed."""

from __future__ import annotations

import errno
import os

import pytest

from streamlog.errors import CorruptDirectoryError, CorruptRecordError, StreamlogError
from streamlog.storage.names import CLEANED, segment_name
from tests.record.cleaning_model import batch, encode
from tests.storage.cleaning_world import (
    ABORT,
    DIRECTORY,
    CleaningWorld,
    keyed,
)


def some_log() -> CleaningWorld:
    """Two sealed segments, which are two groups."""
    world = CleaningWorld(segment_bytes="200")
    world.append(*keyed(b"a", b"b"))
    world.append(*keyed(b"a"), attributes=2)
    world.roll()
    world.produce(1, 0, *keyed(b"b"))
    world.end(1, 0, ABORT)
    world.roll()
    return world.write()


class TestDamage:
    def test_a_flipped_bit_anywhere_is_an_error_that_says_where(self):
        """But in a leader epoch, which nothing covers."""
        whole = some_log().files()
        for base in (0, 3):
            name = segment_name(base, ".log")
            for bit in range(8 * len(whole[name])):
                world = some_log()
                damaged = bytearray(whole[name])
                damaged[bit // 8] ^= 1 << bit % 8
                world.put(name, bytes(damaged))
                if is_leader_epoch(whole[name], bit // 8):
                    world.run()
                    continue
                with pytest.raises(StreamlogError) as caught:
                    world.run()
                assert caught.value.context.get("file", "").endswith((name, DIRECTORY)), bit
                assert caught.value.context.get("topic", "orders") == "orders"
                assert not any(each.endswith(CLEANED) for each in world.files())

    def test_a_cut_anywhere_is_an_error_and_changes_nothing(self):
        name = segment_name(0, ".log")
        whole = some_log().files()[name]
        first = len(encode(some_log().segments[0][0]))
        for size in {*range(len(whole))} - {0, first}:
            world = some_log()
            world.put(name, whole[:size])
            before = world.files()
            with pytest.raises(CorruptRecordError) as caught:
                world.run()
            assert caught.value.file.endswith(name)
            assert world.files() == before

    def test_the_error_names_the_batch_whatever_window_it_is_in(self):
        world = CleaningWorld()
        for key in range(9):
            world.append((b"%d" % key, bytes(300_000)))
        world.roll()
        name = segment_name(0, ".log")
        whole = world.write().files()[name]
        for at, position in enumerate(batch_positions(whole)[:-1]):
            damaged = bytearray(whole)
            damaged[position + 1000] ^= 1
            world.put(name, bytes(damaged))
            with pytest.raises(CorruptRecordError, match=f"at byte {position} of .*CRC") as caught:
                world.run()
            assert caught.value.position == position
            assert (caught.value.topic, caught.value.partition) == ("orders", 0)
            assert at or "offset 0 or behind" in str(caught.value)

    def test_batches_that_reach_into_the_next_segment_are_damage(self):
        world = some_log()
        world.put(segment_name(0, ".log"), encode([*world.segments[0], batch(3, *keyed(b"z"))]))
        with pytest.raises(CorruptRecordError, match="the next begins at 3"):
            world.run()

    def test_damage_in_the_part_that_is_clean(self):
        world = some_log()
        world.run()
        world.reread()
        world.append(*keyed(b"new"))
        world.roll()
        own = [*world.write().segments[0], batch(3, *keyed(b"z"))]
        world.put(segment_name(0, ".log"), encode(own))
        before = world.files()
        with pytest.raises(CorruptRecordError, match="the next begins at 3"):
            world.run()
        assert world.files() == before

    @pytest.mark.parametrize("data", [b"odd", b"\0\1" + bytes(32), bytes(2) + b"\xff" * 32])
    def test_a_transaction_index_that_makes_no_sense(self, data):
        world = some_log()
        world.put(segment_name(3, ".txnindex"), data)
        with pytest.raises(CorruptDirectoryError) as caught:
            world.run()
        assert caught.value.file.endswith(segment_name(3, ".txnindex"))


class TestEndings:
    """A pass that ends early leaves the log as it was, and no files."""

    @pytest.mark.parametrize("operation", ["open", "pwrite", "fsync", "sync_directory"])
    def test_a_disk_that_refuses(self, operation):
        calls = 0
        while True:
            world = some_log()
            before = world.files()
            countdown = [calls]

            def refuse(name, target, countdown=countdown):
                if name == operation and not str(target).endswith((".log", ".index", ".timeindex")):
                    countdown[0] -= 1
                    if countdown[0] < 0:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            cleaner = world.cleaner()
            world.filesystem.before = refuse
            refused = None
            try:
                next(cleaner.run())
            except OSError as error:
                refused = error
            if refused is None:
                break
            assert refused.errno == errno.ENOSPC
            world.filesystem.before = None
            assert world.files() == before
            assert world.filesystem.open_descriptors == 0
            calls += 1
        assert calls >= 1, "the operation took place at all"

    def test_who_looks_on_can_end_it_between_windows(self):
        seen = []

        def stop_after(count):
            def on_progress(size):
                seen.append(size)
                if len(seen) == count:
                    raise KeyboardInterrupt

            return on_progress

        for count in (1, 2, 3):  # two segments into the map, one cleaned
            world, seen[:] = some_log(), []
            before = world.files()
            with pytest.raises(KeyboardInterrupt):
                next(world.cleaner(on_progress=stop_after(count)).run())
            assert world.files() == before
            assert world.filesystem.open_descriptors == 0


def batch_positions(log: bytes) -> list[int]:
    """Where batches begin, and where the last one ends."""
    positions = [0]
    while positions[-1] < len(log):
        at = positions[-1]
        positions.append(at + 12 + int.from_bytes(log[at + 8 : at + 12], "big"))
    return positions


def is_leader_epoch(log: bytes, at: int) -> bool:
    start = max(position for position in batch_positions(log) if position <= at)
    return 12 <= at - start < 16
