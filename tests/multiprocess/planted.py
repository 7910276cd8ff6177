"""Bugs that are planted in a child, for the harness to find, and a way of dying that is not one.

They replace parts of the pure kernel: the specification is what can be patched.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import Any

from streamlog.clients.admin import Admin
from streamlog.clients.stream_log import StreamLog
from streamlog.storage import expiry, partition_sync, shared, sync
from streamlog.storage.append import PartitionWriter
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.log_cleaner import LogCleaner
from streamlog.storage.names import METADATA_TOPIC
from streamlog.storage.partition_log import PartitionLog
from streamlog.storage.shared_map import SharedMap
from streamlog.storage.slots import SharedState

#: Bugs of others than writers, by whose they are.
PLANTED_IN = {
    "skipping reader": "reader",
    "greedy retention": "housekeeper",
    "idle deletion": "housekeeper",
    "greedy compaction": "compactor",
    "records of the dead": "administrator",
}
KILL_PLANTS = ("early acknowledgement", "no repair", "publish before write", *PLANTED_IN)
POWER_PLANTS = ("no data sync", "no metadata sync", "no sync of rolled segments")
SWEEP_PLANTS = ("deaf to errors",)
HISTORY_PLANTS = ("stale end", "early end", "no lock")
SOAK_PLANTS = ("lost memory", "lost descriptors", "idle retention")
PLANTS = KILL_PLANTS + POWER_PLANTS + SWEEP_PLANTS + HISTORY_PLANTS + SOAK_PLANTS

#: How often something leaks: much more than noise, and less than a process may have.
_LEAK_EVERY_S = 0.04
_HIGH_WATERMARK = shared.PartitionState._fields.index("high_watermark")


def plant(name: str) -> None:
    """Plant the bug of that name in this process; "" plants none, and some are the roles' own."""
    assert name in ("", *PLANTS), name
    for owner, attribute, change in _CHANGES.get(name, ()):
        setattr(owner, attribute, change(getattr(owner, attribute)))


def _answering(answer: Any) -> Any:
    """Nothing is done, and that is said."""
    return lambda _: lambda *_, **__: answer


def _without_repair(genuine: Any) -> Any:
    """What a dead writer left is taken for this writer's own."""

    def refusal_locked(self: Any, state: Any, expected_end: int, caught_up: int) -> Any:
        self._set_word(shared.SLOT_INTENDED_END, state.end_position)
        return genuine(self, state, expected_end, caught_up)

    return refusal_locked


def _publishing_first(genuine: Any) -> Any:
    """The new end is visible while its bytes are on their way."""

    def write_locked(self: Any, state: Any, data: Any, batches: Any, rolled: bool) -> Any:
        end = state.log_end + sum(batch.last_delta + 1 for batch in batches)
        early = state._replace(
            log_end=end, high_watermark=end, end_position=state.end_position + len(data)
        )
        self._slots.publish_state(self.slot, early)
        return genuine(self, state, data, batches, rolled)

    return write_locked


def _looking_seldom(genuine: Any) -> Any:
    """What was looked up stands for the next time, too."""
    known: dict[tuple[int, int], list[int]] = {}

    def state_word(self: Any, slot: int, index: int) -> int:
        kept = known.setdefault((slot, index), [])
        if not kept:
            kept += [genuine(self, slot, index)] * 3
        return kept.pop()

    return state_word


def _running_ahead(genuine: Any) -> Any:
    """The next record is there as soon as it is looked for, now and then."""
    looks = 0

    def state_word(self: Any, slot: int, index: int) -> int:
        nonlocal looks
        looks += 1
        return int(genuine(self, slot, index)) + (index == _HIGH_WATERMARK and looks % 500 == 0)

    return state_word


def _keeping_one_less(genuine: Any) -> Any:
    """Retention takes one segment more than it may."""

    def first_kept(segments: Any, *arguments: Any, **named: Any) -> int:
        found = genuine(segments, *arguments, **named)
        bases = [segment.base_offset for segment in segments if segment.base_offset > found]
        return int(bases[0]) if bases else int(found)

    return first_kept


def _keeping(make: Any) -> Any:
    """Calls leave something behind, but so slowly that nobody runs out of it in a test's time."""
    kept: list[object] = []
    last = 0.0

    def change(genuine: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal last
            if time.monotonic() >= last + _LEAK_EVERY_S:
                last = time.monotonic()
                kept.append(make())
            return genuine(*arguments)

        return call

    return change


def _keeping_all(_: Any) -> Any:
    """Retention finds nothing that is due."""
    return lambda *_, log_start, **__: log_start


def _without_survivors(genuine: Any) -> Any:
    """Segments are taken away for which there are none to put in their place."""

    def run(self: LogCleaner) -> Any:
        for group in genuine(self):
            yield group._replace(segments=())

    return run


def _the_last_alone(genuine: Any) -> Any:
    def unsynced_bases(*arguments: Any) -> list[int]:
        return list(genuine(*arguments)[-1:])

    return unsynced_bases


def _without_retired(genuine: Any) -> Any:
    """Descriptors of segments that were rolled are closed without a sync."""

    def sync_segments_locked(*arguments: Any) -> Any:
        return genuine(*arguments[:-1], [])

    return sync_segments_locked


def _unless_there(genuine: Any) -> Any:
    """A topic that is to be created again is the old one."""

    def create_topic(self: StreamLog, name: str, **settings: Any) -> Any:
        return None if name in self.topics() else genuine(self, name, **settings)

    return create_topic


def _unheard(genuine: Any) -> Any:
    """A write that failed is taken for one that was done."""

    def write_all(self: Filesystem, descriptor: int, data: Any, position: int) -> None:
        with suppress(OSError):
            genuine(self, descriptor, data, position)

    return write_all


def _but_for_metadata(genuine: Any) -> Any:
    """A change of topics is acknowledged before it is on the disk."""

    def sync(self: PartitionLog, up_to: int) -> int:
        return self.log_end if self.topic == METADATA_TOPIC else genuine(self, up_to)

    return sync


#: What each bug replaces: an attribute of a class or module, and by what that is made.
_CHANGES: dict[str, list[tuple[Any, str, Any]]] = {
    "no repair": [(PartitionWriter, "_refusal_locked", _without_repair)],
    "publish before write": [(PartitionWriter, "_write_locked", _publishing_first)],
    "greedy retention": [(expiry, "first_kept", _keeping_one_less)],
    "greedy compaction": [(LogCleaner, "run", _without_survivors)],
    "idle deletion": [(PartitionLog, "advance_log_start", _answering(None))],
    "records of the dead": [
        (StreamLog, "delete_topic", _answering(None)),
        (StreamLog, "create_topic", _unless_there),
    ],
    "no data sync": [(Filesystem, "fdatasync", _answering(None))],
    "no metadata sync": [(PartitionLog, "sync", _but_for_metadata)],
    "no sync of rolled segments": [
        (sync, "unsynced_bases", _the_last_alone),
        (partition_sync, "sync_segments_locked", _without_retired),
    ],
    "deaf to errors": [(Filesystem, "write_all", _unheard)],
    "stale end": [(SharedMap, "state_word", _looking_seldom)],
    "early end": [(SharedMap, "state_word", _running_ahead)],
    "no lock": [
        (PartitionWriter, "lock", _answering((0, 0))),
        (PartitionWriter, "unlock", _answering(None)),
    ],
    "lost memory": [(Admin, "apply_retention", _keeping(lambda: bytearray(1 << 20)))],
    "lost descriptors": [(Admin, "apply_retention", _keeping(lambda: os.open("/", os.O_RDONLY)))],
    "idle retention": [(expiry, "first_kept", _keeping_all)],
}


def die_half_way_through_a_write(source: random.Random) -> None:
    """Have one of the next appends write a part of its batch, or all of it, and be killed."""
    left = source.randrange(3, 60)
    genuine = Filesystem.write_all

    def write_all(self: Filesystem, descriptor: int, data: Any, position: int) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            genuine(self, descriptor, data, position)
            return
        part = source.randrange(len(data) + 1)
        genuine(self, descriptor, memoryview(data)[:part], position)
        os.kill(os.getpid(), signal.SIGKILL)

    Filesystem.write_all = write_all  # type: ignore[method-assign]


def die_at_step(wanted: int, *more: str) -> None:
    """Be killed before the `wanted`-th step of appending from now on: a file call or a store.

    `more` are calls of the filesystem that count as well.
    """
    left = wanted

    def stepping(genuine: Any) -> Any:
        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return genuine(*arguments, **named)

        return step

    for name in ("open", "write_all", "truncate", "unlink", "close", *more):
        setattr(Filesystem, name, stepping(getattr(Filesystem, name)))
    for kind, name in (
        (PartitionWriter, "_set_word"),
        (PartitionWriter, "unlock"),
        (SharedState, "publish_state"),
    ):
        setattr(kind, name, stepping(getattr(kind, name)))
