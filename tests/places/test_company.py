"""Opening while somebody else is at it: restructures, stands still, dies; and after a reboot.

Who recovers, closes or is killed while others wait is the matter of `tests.multiprocess`.
"""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path

import pytest

import streamlog
from streamlog.errors import LockTimeoutError
from streamlog.storage import shared
from streamlog.storage.filesystem import OS_FILESYSTEM
from tests.multiprocess.nursery import Nursery
from tests.places.conftest import append, values

STEPS = range(8)  # of an exchange of segments, which the eighth would end
WHOLE = 2  # from here on the disk has all of it: who loads the files goes on with it
PUBLISHED = 3  # and here whoever has the directory open


@pytest.fixture
def compacted(tmp_path: Path) -> str:
    """A directory with a topic of several segments, and another one."""
    path = str(tmp_path / "log")
    with streamlog.open(path) as log:
        log.create_topic("flights", cleanup_policy="compact", internal_segment_bytes=300)
        log.create_topic("planes")
        with log.producer(acks=1) as producer:
            producer.send("planes", b"first").result()
            for number in range(12):
                producer.send("flights", b"%d" % number * 50, b"%d" % number).result()
    return path


def offsets(log: streamlog.StreamLog) -> list[int]:
    return [record.offset for record in log.read("flights")]


@pytest.mark.parametrize("steps", STEPS)
def test_who_opens_while_another_restructures_gets_in_at_once(
    nursery: Nursery, compacted: str, steps: int
) -> None:
    """Everything else works; what is half exchanged waits, and names who keeps it."""
    other = nursery.start("restructure", path=compacted, steps=steps)
    assert other.answer() == "restructuring"
    other.wait_until_stopped()
    with streamlog.open(compacted, lock_timeout_ms=200) as log:
        assert log.engine().report is None  # not alone: nothing was recovered
        assert values(log, "planes") == ["first"]
        with log.producer(acks=1) as producer:
            producer.send("flights", b"late", b"late").result()
        if steps >= PUBLISHED:
            with pytest.raises(LockTimeoutError) as caught:
                offsets(log)
            assert caught.value.pid == other.pid
        else:
            assert offsets(log)[-1] == 12
        other.signal(signal.SIGCONT)
        assert other.answer() == "closed"
        found = offsets(log)
        assert found[-1] == 12
        assert 1 not in found
        assert log.verify() == []


@pytest.mark.parametrize("beside_others", [True, False])
@pytest.mark.parametrize("steps", STEPS)
def test_what_it_leaves_when_it_dies_is_finished_or_undone(
    nursery: Nursery, compacted: str, steps: int, beside_others: bool
) -> None:
    witness = nursery.start("stay_open", path=compacted) if beside_others else None
    if witness is not None:
        assert witness.answer() == "open"
    other = nursery.start("restructure", path=compacted, steps=steps)
    assert other.answer() == "restructuring"
    other.wait_until_stopped()
    other.kill()
    with streamlog.open(compacted) as log:
        assert (log.engine().report is None) == beside_others
        found = offsets(log)
        assert found[-1] == 11
        assert (1 in found) == (steps < (PUBLISHED if beside_others else WHOLE))
        with log.producer(acks=1) as producer:
            producer.send("flights", b"late", b"late").result()
        if witness is not None:
            witness.kill()
    with streamlog.open(compacted) as log:
        again = offsets(log)
        assert (1 in again) == (steps < WHOLE)
        assert again[-4:] == [*found[-3:], 12]
        assert [str(each) for each in log.verify() if each.severity == "error"] == []


@pytest.mark.parametrize("synced", [True, False])
def test_after_a_reboot_the_slots_are_a_lower_bound(
    nursery: Nursery, path: str, synced: bool
) -> None:
    """They are left over with another boot id. What they say is synced has to be there; anything
    else of them, a holder, a poison, an intention, is of a life that has ended.
    """
    child = nursery.start("send_in_order", path=path, values=["synced" if synced else "one", "two"])
    assert child.answer() == "sent"
    child.kill()
    file = Path(path, "streamlog.shared")
    data = bytearray(file.read_bytes())
    data[8 * shared.HEADER_BOOT_ID :][:16] = b"the boot before!"
    count = struct.unpack_from("=q", data, 8 * shared.HEADER_SLOT_COUNT)[0]
    for slot in range(count):
        first = shared.HEADER_SIZE + slot * shared.SLOT_SIZE
        for word in (shared.SLOT_HOLDER, shared.SLOT_SYNC_HOLDER, shared.SLOT_STRUCTURE_HOLDER):
            struct.pack_into("=q", data, first + 8 * word, os.getpid())
        struct.pack_into("=q", data, first + 8 * shared.SLOT_INTENDED_END, 1 << 40)
    file.write_bytes(data)
    segment = Path(path, "flights-0", f"{0:020}.log")
    with streamlog.open(path, lock_timeout_ms=200) as log:
        report = log.engine().report
        assert report is not None
        assert (report.clean, report.lost, report.problems) == (False, [], [])
        assert [value.strip() for value in values(log)][-1] == "two"
        append(log, "after")
        assert values(log)[-1] == "after"
    assert segment.stat().st_size > 0
    assert file.read_bytes()[8 * shared.HEADER_BOOT_ID :][:16] == OS_FILESYSTEM.boot_id()
