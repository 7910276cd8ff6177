"""Sealed batches into the log, in order, and onto the disk: the per-batch half of a producer.

A partition's batches are written by whichever thread comes with one, under the partition's lock,
oldest first. Each step can be interrupted anywhere and is then taken up again by the next caller:
a batch leaves its queue only after its state says what became of it, and a batch that was
stamped but not settled is looked for in the log before it is written again.
"""

from __future__ import annotations

from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from streamlog.broker import produce
from streamlog.broker.parallel import THREADS, in_parallel
from streamlog.clients.accumulators import PartitionQueue, ProducerBatch
from streamlog.clients.batch_state import DONE, FAILED, OPEN, SEALED, WRITTEN
from streamlog.clients.delivery import run_callbacks
from streamlog.clients.finishing import Sequence, finish
from streamlog.clients.flows import Call, Flow
from streamlog.clients.known_topics import KnownTopics
from streamlog.clients.room import Room
from streamlog.clients.runs import RUN_BATCHES, gather
from streamlog.clients.targets import gone
from streamlog.clients.written import find_written, written_sequence
from streamlog.errors import (
    FailedWriteError,
    RecordTooLargeError,
    SendError,
    UsageError,
)
from streamlog.record import layout
from streamlog.storage.append_outcome import WouldWait

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.broker.engine import Engine
    from streamlog.clock import Clock
    from streamlog.config import ProducerConfig
    from streamlog.storage.partition_log import PartitionLog

_ACKS_ALL = -1
_ACKS_WRITTEN = 1
_LONGEST_RUN_MS = 5
_MOMENT_S = 0.0005


class Dispatcher(KnownTopics):
    """Writes and syncs what the accumulator seals. `Producer` puts the public calls on top."""

    def __init__(
        self,
        engine: Engine,
        config: ProducerConfig,
        clock: Clock,
        random_below: Callable[[int], int],
    ) -> None:
        super().__init__(engine, config, clock, random_below)
        self._producer_id = -1
        self._failures: dict[ProducerBatch, None] = {}
        self._room = Room(self, config, clock)
        self._announce = engine.announce
        self._at_once = not 0 < config.linger_ms <= _LONGEST_RUN_MS
        #: Those who await records, by their event loop; `asynchronous.turns` fills it.
        self.turns: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    # ------------------------------------------------------------------ writing

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def append_encoded(
        self, queue: PartitionQueue, runs: list[tuple[bytearray, list[int]]]
    ) -> Flow[list[ProducerBatch]]:
        """Write encoded batches behind what is queued; each run is one append."""
        created_s = self._clock.monotonic()
        batches = [
            ProducerBatch(queue, wire, counts, sum(counts), created_s) for wire, counts in runs
        ]
        queue.seal()
        queue.sealed.extend(batches)
        self.pending[queue] = None
        yield self._drained(queue)
        if self._unsynced and not self.armed:
            self._arm()
        return batches

    def _refresh(self, wait: bool) -> None:
        """As `refresh_targets`; without `wait`, `WouldWait` where that has to look anything up."""
        if self._metadata_end() != self._metadata_version:
            if not wait:
                raise WouldWait
            self.refresh_targets()

    def _drained(self, queue: PartitionQueue) -> Call:
        """What a flow yields to have written what is sealed in `queue`."""
        return Call(partial(self._drain, queue), partial(self._try_drain, queue))

    def _try_drain(self, queue: PartitionQueue) -> bool:
        """Write what is sealed in `queue`, unless that takes waiting; whether all is written."""
        try:
            self._drain(queue, _MOMENT_S, wait=False)
        except (WouldWait, TimeoutError):
            return False
        return not queue.sealed

    def _drain(
        self, queue: PartitionQueue, timeout: float | None = None, *, wait: bool = True
    ) -> None:
        """Write what is sealed in `queue`. Raises `TimeoutError` if others write for too long.

        Without `wait` it raises `WouldWait` at the first batch that cannot be written at once.
        """
        if queue.owner == get_ident() and queue.lock.locked():
            return  # called again by a finalizer or signal handler: the outer call goes on with it
        settled: list[ProducerBatch] = []
        try:
            if timeout is None:
                with queue.lock:
                    self._drain_locked(queue, settled, wait)
            elif queue.lock.acquire(timeout=max(timeout, 0)):
                try:
                    self._drain_locked(queue, settled, wait)
                finally:
                    queue.lock.release()
            elif queue.sealed:
                raise TimeoutError(f"{queue} is being written by another thread")
        finally:
            for batch in settled:
                if batch.state >= DONE and batch.callbacks:
                    run_callbacks(batch)
            if settled:
                self._room.was_made()

    def _drain_locked(
        self, queue: PartitionQueue, settled: list[ProducerBatch], wait: bool
    ) -> None:
        try:
            queue.owner = get_ident()
            if queue.sealed:  # else another thread wrote it meanwhile, and may have closed the log
                self._refresh(wait)
            while queue.sealed:
                batch = queue.sealed[0]
                settled.append(batch)
                if batch.state == SEALED:
                    self._write(queue, batch, wait)
                batch.release()
                queue.sealed.pop(0)
            queue.rest()
        finally:
            queue.owner = None

    def _write(self, queue: PartitionQueue, batch: ProducerBatch, wait: bool) -> None:
        """Append one batch, or have its error; an interrupt (or `WouldWait`) changes nothing."""
        try:
            if self._targets.get(queue.topic) is not queue.target:
                raise gone(queue.topic)
            if self._clock.monotonic() - batch.created_s > self._config.delivery_timeout_ms / 1000:
                raise _expired(queue, self._config.delivery_timeout_ms)
            self._append(queue, batch, wait)
        except Exception as error:  # noqa: BLE001  # whatever it is, the batch's future has it
            if getattr(error, "outcome", None) == "unknown" and queue.sequence is not None:
                queue.sequence = self._renumbered(queue.sequence)
            self._fail(batch, error)

    def _drain_full(self, queue: PartitionQueue) -> None:
        """A batch is full: write it, or wait for some more that go with it.

        Only where the linger thread comes by soon: a full batch does not wait for long.
        """
        if self._at_once or len(queue.sealed) >= RUN_BATCHES:
            self._drain_soon(queue)

    def _drain_soon(self, queue: PartitionQueue) -> None:
        """Write what is sealed in `queue`, for who goes on with something else then."""
        self._drain(queue)

    def _append(self, queue: PartitionQueue, batch: ProducerBatch, wait: bool) -> None:
        log = queue.log
        if not wait and (log is None or self._config.enable_idempotence):
            raise WouldWait
        if log is None:
            log = queue.log = self._open_log(queue)
        if not self._config.enable_idempotence and self._append_run(queue, log, wait):
            return
        base_offset = None if batch.wire is None else find_written(log, batch.wire)
        if base_offset is None:
            if self._config.enable_idempotence and queue.sequence is None:
                queue.sequence = self._first_sequence()
            base_offset = self._append_finished(queue, log, batch, wait)
        if queue.sequence is not None and batch.wire is not None:
            queue.sequence = written_sequence(batch.wire).after(batch.count)
        self._note_written(queue, batch, base_offset)

    def _append_finished(
        self, queue: PartitionQueue, log: PartitionLog, batch: ProducerBatch, wait: bool
    ) -> int:
        """Finish and append one batch; the offset of its first record."""
        while True:
            config = queue.target.config
            wire = finish(batch, queue.target, queue.sequence)
            now_ms = self._clock.now_ms()
            try:
                outcome = produce.append(log, wire, acks=_ACKS_WRITTEN, now_ms=now_ms, wait=wait)
            except RecordTooLargeError:
                # Another thread may have heard of a lower limit since: finished again, it fits.
                self._refresh(wait)
                if queue.target.config is config:
                    raise
                continue
            if queue.target.append_time:
                batch.append_time_ms = now_ms
            return outcome.base_offset

    def _open_log(self, queue: PartitionQueue) -> PartitionLog:
        """The partition's log. Whatever failed there, nothing of the batch is written yet."""
        try:
            return self._engine.partition(queue.topic, queue.partition)
        except FailedWriteError as error:
            error.outcome = error.context["outcome"] = "not_written"
            raise

    def _append_run(self, queue: PartitionQueue, log: PartitionLog, wait: bool) -> bool:
        """Append what can go together, or take up where that was interrupted; False if nothing.

        A run that is refused falls apart: each batch by itself then has its own error.
        """
        if queue.run is None and len(queue.sealed) > 1:
            queue.run = gather(queue)
        run = queue.run
        if run is None:
            return False
        try:
            base_offset = find_written(log, run.wire)
            if base_offset is None:
                now_ms = self._clock.now_ms()
                outcome = produce.append(
                    log, run.wire, acks=_ACKS_WRITTEN, now_ms=now_ms, wait=wait
                )
                base_offset = outcome.base_offset
        except Exception as error:  # noqa: BLE001  # the batches' futures have it
            if getattr(error, "outcome", None) == "unknown":
                for batch in run.batches:
                    self._fail(batch, error)
            queue.run = None
            return getattr(error, "outcome", None) == "unknown"
        for batch in run.batches:
            if batch.state == SEALED:  # else an interrupted call noted it
                self._note_written(queue, batch, base_offset)
            base_offset += batch.count
        queue.run = None
        return True

    def _note_written(self, queue: PartitionQueue, batch: ProducerBatch, base_offset: int) -> None:
        batch.base_offset = base_offset
        batch.durability = "written"
        if self.acks == _ACKS_ALL:
            # Listed, then said: whoever sees WRITTEN finds the batch among those to be synced.
            queue.list_unsynced(batch)
        batch.state = WRITTEN if self.acks == _ACKS_ALL else DONE

    def _first_sequence(self) -> Sequence:
        if self._producer_id < 0:
            self._producer_id = self._engine.producer_ids.next_id()
        return Sequence(self._producer_id, 0, 0)

    def _renumbered(self, sequence: Sequence) -> Sequence:
        """A new epoch, since nobody knows whether the last batch is there (KIP-360)."""
        if sequence.producer_epoch < layout.MAX_INT16:
            return Sequence(sequence.producer_id, sequence.producer_epoch + 1, 0)
        self._producer_id = -1
        return self._first_sequence()

    def _fail(self, batch: ProducerBatch, error: Exception) -> None:
        batch.error = error.with_traceback(None)
        self._failures[batch] = None
        batch.state = FAILED

    # ------------------------------------------------------------------ syncing

    def _sync(self, queue: PartitionQueue) -> None:
        """Have the disk what was written to this partition so far, for everyone who waits."""
        batches = list(queue.unsynced)
        try:
            if batches:
                self._sync_batches(queue, batches)
        finally:
            for batch in batches:
                if batch.state >= DONE:
                    queue.unsynced.pop(batch, None)
                    run_callbacks(batch)
            queue.rest()

    def _sync_all(self) -> None:
        """Sync every partition that waits for it."""
        self._sync_queues(list(self._unsynced))

    def _sync_queues(self, queues: list[PartitionQueue]) -> None:
        """Sync these partitions; on a disk, several files at a time."""
        synced = self._engine.durability(_ACKS_ALL) == "synced"
        in_parallel(self._sync, queues, threads=THREADS if synced else 1)

    def _sync_batches(self, queue: PartitionQueue, batches: list[ProducerBatch]) -> None:
        log = queue.log
        assert log is not None, "what is to be synced was written through it"
        try:
            log.sync(batches[-1].base_offset + batches[-1].count)
            durability = self._engine.durability(_ACKS_ALL)
        except Exception as error:  # noqa: BLE001  # as above
            for batch in batches:
                if batch.state == WRITTEN:
                    self._fail(batch, error)
            return
        for batch in batches:
            if batch.state == WRITTEN:
                batch.durability = durability
                batch.state = DONE

    # ------------------------------------------------------------------ waiting

    def see_through(self, batch: ProducerBatch, timeout: float | None) -> None:
        """Bring a batch to its end, inline: write it, and sync it if that was asked for."""
        queue = batch.queue
        if batch.state <= SEALED:
            self._announce()
        if batch.state == OPEN:
            queue.seal()
        if batch.state == SEALED:
            self._drain(queue, timeout)
        if batch.state == WRITTEN:
            self._sync(queue)
        if batch.state < DONE:
            raise UsageError(
                f"{queue} is being written by this very thread, which cannot wait for itself: "
                "a finalizer or signal handler must not call result()"
            )

    def _make_room(self, size: int) -> None:
        """Return when `size` bytes fit in `buffer_memory`: write inline, else wait for others.

        Raises `BufferExhaustedError` after `max_block_ms`.
        """
        deadline = self._room.deadline()
        while not self._write_for_room(size):
            self._room.wait(size, deadline)

    def _write_for_room(self, size: int) -> bool:
        """Write what is buffered until `size` bytes fit; whether they do."""
        for queue in list(self.pending):
            if self._room.has(size):
                return True
            queue.seal()
            self._drain_soon(queue)
        return self._room.has(size)


def _expired(queue: PartitionQueue, limit_ms: int) -> SendError:
    return SendError(
        f"records for {queue.topic}-{queue.partition} waited for longer than "
        f"delivery_timeout_ms={limit_ms} and were given up",
        topic=queue.topic,
        partition=queue.partition,
    )
