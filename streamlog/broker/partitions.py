"""The partition logs of one engine: one object a partition, few of them with open files.

A `PartitionLog` is made once and kept, so that all threads share its mutexes; what it costs is
its descriptors, which it opens at first use and again after they were closed. They are
counted here, and those longest out of use are closed when the budget is spent: a quarter of them
at a time, so that their syncs share what the disk does. A log syncs what is unsynced before it
closes: a fresh descriptor may never hear of an old error.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlog.broker.parallel import in_parallel
from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog

Key = tuple[bytes, int]

_SHARE_OF_LIMIT = 4
_FALLBACK_LIMIT = 1024
_SMALLEST_BUDGET = 16
_SHARE_OF_BUDGET = 4


def default_budget() -> int:
    """Descriptors for partitions: a quarter of the process's limit (`RLIMIT_NOFILE`)."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _FALLBACK_LIMIT if soft == resource.RLIM_INFINITY else soft
    return max(limit // _SHARE_OF_LIMIT, _SMALLEST_BUDGET)


class OpenPartitions:
    """Partition logs by topic id and partition. Thread-safe.

    `make` makes a log, by topic id, partition and topic, that has no files open yet. `budget`
    is a number of descriptors; `threads` close several logs at a time.
    """

    def __init__(
        self, make: Callable[[bytes, int, str], PartitionLog], budget: int, threads: int = 1
    ) -> None:
        self._make = make
        self._budget = budget
        self._threads = threads
        # Two locks: making a log looks at the metadata, whose log asks for room under its own.
        self._making = threading.RLock()
        self._counting = threading.Lock()
        self._logs: dict[Key, PartitionLog] = {}
        self._in_use: OrderedDict[Key, PartitionLog] = OrderedDict()  # longest unused first
        self._held: dict[Key, int] = {}  # descriptors of each of those, as last counted
        self._total = 0  # of them all
        self._until_recount = 0

    def make_under(self, lock: threading.RLock) -> None:
        """Make logs under the metadata's own lock from now on.

        Making one looks at the metadata, and who holds its lock asks for logs: with a lock of
        their own, two such threads would wait for each other.
        """
        self._making = lock

    def get(self, topic_id: bytes, partition: int, topic: str) -> PartitionLog:
        """The partition's log."""
        key = (topic_id, partition)
        log = self._logs.get(key)
        if log is None:
            with self._making:
                log = self._logs.get(key)
                if log is None:
                    log = self._logs[key] = self._make(topic_id, partition, topic)
        return log

    def find(self, topic_id: bytes, partition: int) -> PartitionLog | None:
        """The partition's log, if there was a use for it yet."""
        return self._logs.get((topic_id, partition))

    def opened(self, log: PartitionLog) -> None:
        """Count a log that opened files, as the latest used, and close what is over the budget."""
        with self._counting:
            key = (log.topic_id, log.partition)
            self._in_use[key] = log
            self._in_use.move_to_end(key)
            self._count(key, log)
            self._until_recount -= 1
            if self._until_recount < 0:
                # Rolls and reads change what the others hold, unseen. All are counted again
                # after as many openings as there are logs: so an opening costs the same always.
                for other_key, other in self._in_use.items():
                    self._count(other_key, other)
                self._until_recount = len(self._in_use)
            evicted = self._over_budget()
        in_parallel(self._evict, evicted, threads=self._threads)

    def _count(self, key: Key, log: PartitionLog) -> None:
        held = log.open_descriptors
        self._total += held - self._held.get(key, 0)
        self._held[key] = held

    def _over_budget(self) -> list[PartitionLog]:
        """Take the longest unused off the count when it is spent; never the latest."""
        evicted: list[PartitionLog] = []
        if self._total <= self._budget:
            return evicted
        left = self._budget - self._budget // _SHARE_OF_BUDGET
        while self._total > left and len(self._in_use) > 1:
            key, log = self._in_use.popitem(last=False)
            self._total -= self._held.pop(key)
            evicted.append(log)
        return evicted

    def _evict(self, log: PartitionLog) -> None:
        """Close the files of a log that somebody else has to make room.

        What is wrong with it is its own, stays in its slot, and meets whoever writes there. What
        could not even be tried is tried again when it is next its turn.
        """
        try:
            log.close()
        except StreamlogError as error:
            import logging

            logging.getLogger("streamlog").warning("closing %s: %s", log.directory, error)
            with self._counting:
                key = (log.topic_id, log.partition)
                self._in_use[key] = log
                self._count(key, log)

    def close_files(self) -> None:
        """Sync and close the files of every log; the first failure is raised after all."""
        held = [log for log in self.logs() if log.open_descriptors]
        in_parallel(lambda log: log.close(), held, threads=self._threads)

    def logs(self) -> list[PartitionLog]:
        """Every log made so far."""
        with self._making:
            return list(self._logs.values())

    def known(self) -> list[PartitionLog]:
        """As `logs`, in a forked child, where a thread that is not there may hold any lock."""
        return list(self._logs.values())

    def forget(self, topic_id: bytes, partition: int) -> PartitionLog | None:
        """Take out the log of a partition that is gone; who holds it finds it deleted."""
        key = (topic_id, partition)
        with self._counting:
            self._in_use.pop(key, None)
            self._total -= self._held.pop(key, 0)
        with self._making:
            return self._logs.pop(key, None)
