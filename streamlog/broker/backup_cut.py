"""One instant of all partitions: what a backup holds, while others go on writing.

First the structure bytes of all partitions, so that no segment goes or is exchanged until it is
copied; then the locks of all of them, the metadata log's first, under which slots are assigned.
A writer holds one lock at a time and waits for none with it, so that this ends: it is given up and
tried again when it takes longer than writers should have to wait. While all are held the states
are read, and that is the cut: whatever was appended because of a record came behind it, in
whichever partition, and so no effect is in the backup without its cause.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, Self

from streamlog.broker.log_factory import check_files
from streamlog.errors import LockTimeoutError, UnknownTopicError
from streamlog.storage import append_outcome as codes
from streamlog.storage import failures
from streamlog.storage.patience import check_patience
from streamlog.storage.structure import finish_exchange_locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.broker.engine import Engine
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState

_FIRST_HOLD_S = 0.05  # how long writers are kept waiting, at most
_LONGEST_HOLD_S = 1.0


class PartitionCut(NamedTuple):
    """A partition at the cut. Below `synced_end` the disk has everything."""

    log: PartitionLog
    state: PartitionState
    synced_end: int


class _Candidates(NamedTuple):
    """The partitions that anybody used, by slot, and the metadata that names them."""

    logs: list[PartitionLog]
    metadata_end: int
    slot_count: int


class _BusyError(Exception):
    """Somebody else holds a lock."""

    def __init__(self, log: PartitionLog, holder: int) -> None:
        super().__init__(log, holder)
        self.log, self.holder = log, holder


class _SlowError(Exception):
    """All locks were to be had, but not at once: writers waited as long as they should."""

    def __init__(self, log: PartitionLog) -> None:
        super().__init__(log)
        self.log = log


class Freeze:
    """`with Freeze(engine) as freeze:` has the cut in `freeze.partitions`, the metadata log first.

    Their structure bytes are held until `let_go(partition)`, or the end of the block. Used by the
    thread that entered it. Raises `LockTimeoutError` naming the process that holds a partition for
    too long; `PartitionPoisonedError` for one whose sync failed, which has to be recovered first;
    `CorruptDirectoryError` for one whose folder is gone.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: dict[int, Callable[[], None]] = {}  # by slot, how to let go
        self.partitions: list[PartitionCut] = []

    def __enter__(self) -> Self:
        started, hold = time.monotonic(), _FIRST_HOLD_S
        try:
            while not self._try(hold, started):
                hold = min(hold * 2, _LONGEST_HOLD_S)
        except BaseException:
            self._let_go_of_all()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._let_go_of_all()

    def let_go(self, partition: PartitionCut) -> None:
        """Let others remove and exchange the partition's segments again."""
        self._held.pop(partition.log.slot)()

    def _let_go_of_all(self) -> None:
        while self._held:
            self._held.popitem()[1]()

    # ---------------------------------------------------------------- one try

    def _try(self, hold_s: float, started: float) -> bool:
        """Take everything and read the states; False when something came between."""
        try:
            found = self._find()
            self._hold_structures(found.logs)
            states = self._read_states(found, hold_s)
        except UnknownTopicError:
            states = None
        except _BusyError as busy:
            self._let_go_of_all()
            check_patience(busy.log, started, busy.holder)
            return False
        except _SlowError as slow:
            self._let_go_of_all()
            if hold_s >= _LONGEST_HOLD_S:  # until then a longer hold may do
                _check_pace(slow.log, started)
            return False
        if states is None:
            self._let_go_of_all()
            return False
        self.partitions = [
            self._cut(log, state) for log, state in zip(found.logs, states, strict=True)
        ]
        return True

    def _find(self) -> _Candidates:
        """Every partition that has a slot; those without have no records."""
        engine = self._engine
        shared = engine._opening.shared
        slot_count = shared.slot_count
        with engine.metadata.lock:
            image = engine.refresh()
            metadata_end = engine.metadata.next_offset
            named = [
                (topic.topic_id, partition, topic.name)
                for topic in image.topics.values()
                for partition in topic.partitions
                if shared.find_slot(topic.topic_id, partition) is not None
            ]
        logs = [engine.partitions.get(*each) for each in named]
        logs.sort(key=lambda log: log.slot)
        return _Candidates([engine.metadata.log, *logs], metadata_end, slot_count)

    def _hold_structures(self, logs: list[PartitionLog]) -> None:
        for log in logs:
            _take_lock(log, log.writer.lock_structure)
            self._held[log.slot] = log.writer.unlock_structure
            finish_exchange_locked(log)

    def _read_states(self, found: _Candidates, hold_s: float) -> list[PartitionState] | None:
        """The states of all at one instant; None when the partitions are others meanwhile."""
        shared = self._engine._opening.shared
        deadline = time.monotonic() + hold_s
        with ExitStack() as locks:
            for log in found.logs:
                if time.monotonic() > deadline:
                    raise _SlowError(log)
                _take_lock(log, log.writer.lock)
                locks.callback(log.writer.unlock)
            states = [log.state() for log in found.logs]
            is_same = (
                states[0].log_end == found.metadata_end
                and shared.slot_count == found.slot_count
                and not any(shared.is_deleted(log.slot) for log in found.logs)
            )
        return states if is_same else None

    def _cut(self, log: PartitionLog, state: PartitionState) -> PartitionCut:
        opening = self._engine._opening
        check_files(opening, log)
        if state.poisoned:
            raise failures.poisoned(log, state.poisoned, outcome="not_written")
        synced_end = state.log_end
        if log.settings.durable:
            synced = opening.shared.read_synced(log.slot)
            synced_end = 0 if synced is None else min(synced.offset, state.log_end)
        return PartitionCut(log, state, synced_end)


def _take_lock(log: PartitionLog, take: Callable[[], tuple[int, int]]) -> None:
    """Take one of a log's locks. Raises `_BusyError` after a slice of waiting."""
    code, holder = take()
    if code == codes.SYSTEM_ERROR:
        raise failures.lock_failed(log, holder, outcome="not_written")
    if code != codes.OK:
        raise _BusyError(log, holder)


def _check_pace(log: PartitionLog, since: float) -> None:
    """Raises `LockTimeoutError` when all locks could not be had at once for too long."""
    timeout_ms = log.settings.lock_timeout_ms
    if (time.monotonic() - since) * 1000 < timeout_ms:
        return
    raise LockTimeoutError(
        f"the locks of all partitions could not be had within {_LONGEST_HOLD_S:g} s, tried for "
        f"{timeout_ms} ms up to {log.topic}-{log.partition}: back up while less is written, or "
        "raise lock_timeout_ms",
        topic=log.topic,
        partition=log.partition,
        outcome="not_written",
        pid=0,
        path=log.directory,
    )
