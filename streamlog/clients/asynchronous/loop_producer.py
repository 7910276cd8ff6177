"""The `Producer` under an `AsyncProducer`: it lets nobody wait.

What cannot be done at once is raised as `Postponed` (a record that has to wait), or given to a
worker (batches whose partition somebody has locked, or has to be opened; syncs). Everything else
is the synchronous producer, down to the batches' order.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from streamlog.clients.asynchronous.turns import fail_waiting, is_awaited
from streamlog.clients.asynchronous.waking import Waiters
from streamlog.clients.postponed import NoRoom, TopicNotOpen
from streamlog.clients.producer import Producer
from streamlog.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.broker.engine import Engine
    from streamlog.clients.accumulators import PartitionQueue, TopicTarget
    from streamlog.clients.asynchronous.workers import Workers
    from streamlog.clients.room import Room
    from streamlog.config import ProducerConfig


class LoopProducer(Producer):
    """As `Producer`; `send` and `put` raise `Postponed` where that would wait."""

    def __init__(
        self, engine: Engine, config: ProducerConfig, workers: Workers, **injected: Any
    ) -> None:
        super().__init__(engine, config, **injected)
        self._workers = workers
        self._on_worker: set[PartitionQueue] = set()
        self._is_syncing = self._sync_is_wanted = False
        #: Those who wait for room.
        self.room_waiters = Waiters()
        self._room.listener = self.room_waiters.wake

    @property
    def room(self) -> Room:
        """The room in `buffer_memory`."""
        return self._room

    # ---------------------------------------------------------------- what `send` needs

    def _open_topic(self, topic: str) -> TopicTarget:
        if isinstance(topic, str):
            raise TopicNotOpen(topic)
        return self.open_topic(topic)  # which says that it is none

    def added_partition(self, target: TopicTarget, partition: object) -> PartitionQueue:
        """As the producer's; where the metadata moved, it is looked at by a worker first."""
        self.look_again(target)
        return self.find_partition(target, partition)

    def _metadata_moved(self, target: TopicTarget) -> None:
        raise TopicNotOpen(target.topic)

    def look_up(self, topic: str) -> None:
        """What `TopicNotOpen` asks for; for a worker. Raises `UnknownTopicError`."""
        self.open_topic(topic)
        self.refresh_targets()

    def _make_room(self, size: int) -> None:
        if not self._write_for_room(size):
            raise NoRoom(size)

    # ---------------------------------------------------------------- writing and syncing

    def _drain_soon(self, queue: PartitionQueue) -> None:
        self._drain_here_or_elsewhere(queue)

    def _drain_here_or_elsewhere(self, queue: PartitionQueue) -> None:
        if queue not in self._on_worker and not self._try_drain(queue):
            self._drain_elsewhere(queue)

    def _drain_elsewhere(self, queue: PartitionQueue) -> None:
        """Have a worker write what is sealed: it may wait for whoever has the partition."""
        if queue not in self._on_worker:
            self._on_worker.add(queue)
            self._start(partial(self._drain_on_worker, queue))

    def _drain_on_worker(self, queue: PartitionQueue) -> None:
        try:
            self._drain(queue)
        except BaseException as error:
            self._on_worker.discard(queue)
            fail_waiting(self, queue, error)
            raise
        # Taken off first: whoever seals a batch from here on sees that nobody is at it.
        self._on_worker.discard(queue)
        if queue.sealed:
            self._drain_elsewhere(queue)
        if is_awaited(self, queue):
            self._sync_elsewhere()

    def _sync_elsewhere(self) -> None:
        """Have a worker sync everything; one at a time, which takes what came meanwhile along."""
        self._sync_is_wanted = True
        if not self._is_syncing:
            self._is_syncing = True
            self._start(self._sync_on_worker)

    def _sync_on_worker(self) -> None:
        try:
            while self._sync_is_wanted:
                self._sync_is_wanted = False
                self._sync_all()
        finally:
            self._is_syncing = False
        if self._sync_is_wanted:  # by somebody who saw this still at it
            self._sync_elsewhere()

    def _start(self, work: Callable[[], object]) -> None:
        try:
            self._workers.start(work)
        except (ClosedError, RuntimeError):  # the log is closed, or the interpreter ends
            work()
