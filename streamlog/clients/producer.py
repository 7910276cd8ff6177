"""`Producer`: what users call to write."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from streamlog.clients import bulk, sender
from streamlog.clients.batch_state import CLOSED, FORKED, OPEN, SEALED, USABLE, WRITTEN
from streamlog.clients.delivery import forked, run_callbacks
from streamlog.clients.dispatch import Dispatcher
from streamlog.clients.flows import Call, Flow, call, run, synchronous
from streamlog.clients.futures import SendManyFuture
from streamlog.clients.leaving import leaving
from streamlog.clients.partitioner import random_below as system_random_below
from streamlog.clock import SYSTEM_CLOCK
from streamlog.errors import ClosedError, DeliveryError, SendError

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.accumulators import PartitionQueue, ProducerBatch
    from streamlog.clock import Clock
    from streamlog.config import ProducerConfig

R = TypeVar("R")

_IDLE_TICKS = 20
_SHORTEST_TICK_S = 0.001
_SYNC_TICK_S = 0.005


class Producer(Dispatcher):
    """Writes records to topics. Thread-safe; made by `StreamLog.producer(**settings)`.

    `send(topic, value=None, key=None, headers=None, partition=None, timestamp_ms=None)` takes one
    record and returns a `RecordFuture`. Keys and values are bytes-like or None, or what the
    serializers take; headers a dict or (str, bytes or None) pairs. Without a partition the key
    decides (murmur2), without a key the record sticks to a partition for a batch. Records wait
    for their batch to fill, at most `linger_ms`; `result()` and `await` send it at once.

    What is wrong with the record itself is raised by `send` at once: `TypeError`,
    `UnknownTopicError`, `RecordTooLargeError`, `InvalidTimestampError`, `InvalidRecordError`,
    `SerializationError`, and `BufferExhaustedError` when there is no room within `max_block_ms`.
    What goes wrong later is in the future, and in `flush()` and `close()` if nobody looked there.
    When a topic is deleted, what is buffered for it fails (`UnknownTopicError`, not written); when
    it is made again, what is sent then goes into the new one.
    """

    def __init__(
        self,
        engine: Engine,
        config: ProducerConfig,
        *,
        clock: Clock = SYSTEM_CLOCK,
        random_below: Callable[[int], int] = system_random_below,
        process_sender: sender.Sender | None = None,
    ) -> None:
        super().__init__(engine, config, clock, random_below)
        self._sender = process_sender or sender.process_sender()
        self._idle_ticks = 0
        self._hurried = False
        self._ended = threading.Event()
        self._closer: int | None = None
        sender.register(self)

    def __repr__(self) -> str:
        acks = "all" if self.acks == self._config.ACKS_ALL else self.acks
        state = "" if self.unusable == USABLE else " closed"
        return f"<{type(self).__name__} acks={acks} on {self._engine.place.path}{state}>"

    @synchronous
    def send_many(
        self,
        topic: str,
        values: Iterable[Any],
        keys: Sequence[Any] | None = None,
        partition: int | None = None,
        timestamps_ms: Sequence[int | None] | None = None,
    ) -> Flow[SendManyFuture]:
        """Send many records at once, in big batches: the fast path.

        They are written when this returns, those before them too. The future's result lists an
        `AppendedBatch(topic, partition, base_offset, count)` for each batch, in the order of
        writing; records of one partition keep their order. Raises what `send` raises, naming the
        position (`values[3]`), before anything is written. Failed batches: see `SendManyFuture`.
        """
        self._check_usable()
        return (
            yield from bulk.send_many(
                self, self._config, topic, values, keys, partition, timestamps_ms
            )
        )

    @synchronous
    def flush(self) -> Flow[None]:
        """Return when every record sent before is as durable as `acks` asks.

        Raises `DeliveryError` with the failures since the last `flush` whose future nobody
        looked at.
        """
        self._check_usable()
        for queue in list(self.pending):
            queue.seal()
            yield self._drained(queue)
        if self._unsynced:
            yield Call(self._sync_all)
        self.raise_failures()

    @synchronous
    def partitions_for(self, topic: str) -> Flow[list[int]]:
        """The partitions of a topic. Raises `UnknownTopicError` naming the nearest."""
        self._check_usable()
        description = yield from call(partial(self._engine.topic, topic))
        return list(range(description.partitions))

    def close(self, timeout: float | None = None) -> None:
        """Flush, and take no more records. A second call, or one in a forked child, does nothing.

        After `timeout` seconds what is not written yet is given up and fails, `not_written`.
        Raises `DeliveryError` like `flush`.
        """
        if self.end(timeout):
            self.raise_failures()

    def end(self, timeout: float | None = None) -> bool:
        """What `close` does, and raises nothing; False if somebody did it already.

        Returns when it is done, or after `timeout`, also where another thread does it.
        """
        if self.unusable != USABLE:
            if self.unusable == CLOSED and self._closer != get_ident():
                self._ended.wait(timeout)
            return False
        self.unusable, self._closer = CLOSED, get_ident()
        try:
            self._finish(None if timeout is None else self._clock.monotonic() + timeout)
        finally:
            self._sender.disarm(self)
            sender.unregister(self)
            self._ended.set()
        return True

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with leaving(error):
            self.close()

    def _run(self, flow: Flow[R]) -> R:
        return run(flow, self._engine)

    # ------------------------------------------------------------------ for the sender

    def tick(self) -> float | None:
        """Send batches that lingered long enough and sync what nobody waits for.

        Seconds until it is due again; None when nothing was on its way for a while.
        """
        linger = self._config.linger_ms / 1000
        due = linger or _SYNC_TICK_S
        now = self._clock.monotonic()
        for queue in list(self.pending):
            batch = queue.open
            if batch is not None:
                left = batch.created_s + linger - now
                if left <= 0:
                    queue.seal()
                else:
                    due = min(due, left)
            if queue.sealed:
                self._drain_soon(queue)
        due = min(due, self._sync_due(now))
        return max(due, _SHORTEST_TICK_S) if self._stays_armed() else None

    def _sync_due(self, now: float) -> float:
        """Sync what nobody waits for; seconds until the rest of it is due.

        Who waits for a record syncs it at once, and has the disk to himself: so what is younger
        than a tick is left alone. A sync begun here would make him wait for two.
        """
        due = math.inf
        hurried, self._hurried = self._hurried, False
        queues = []
        for queue in list(self._unsynced):
            oldest = list(queue.unsynced)[:1]
            left = oldest[0].created_s + _SYNC_TICK_S - now if oldest and not hurried else 0.0
            if left > 0:
                due = min(due, left)
            else:
                queues.append(queue)
        if queues:
            self._sync_queues(queues)
        return due

    def _stays_armed(self) -> bool:
        if self.pending or self._unsynced:
            self._idle_ticks = 0
            return True
        self._idle_ticks += 1
        if self._idle_ticks < _IDLE_TICKS:
            return True
        # Disarmed, then looked at: who opens a batch meanwhile arms again.
        self._idle_ticks = 0
        self.armed = False
        if self.pending or self._unsynced:
            self.armed = True
        return self.armed

    def hurry(self, batches: Iterable[ProducerBatch]) -> None:
        """Write these now, and have them synced: for those who `await`. Waits for nothing."""
        for batch in batches:
            if batch.state == OPEN:
                batch.queue.seal()
            if batch.state == SEALED:
                self._drain_here_or_elsewhere(batch.queue)
        if any(batch.state == WRITTEN for batch in batches):
            self._sync_elsewhere()

    def _drain_here_or_elsewhere(self, queue: PartitionQueue) -> None:
        """Write what is sealed, or have another thread do it if that takes waiting."""
        if not self._try_drain(queue):
            self._sync_elsewhere()  # the sender writes before it syncs

    def _sync_elsewhere(self) -> None:
        """Have everything that waits for it synced by another thread, at once."""
        self._hurried = True
        self._arm()
        self._sender.hurry()

    def flush_at_exit(self, seconds: float) -> None:
        """Close within `seconds`: the interpreter ends."""
        self.close(timeout=seconds)

    def mark_forked(self) -> None:
        """Refuse everything from now on: this process is a child of the owner's."""
        self.unusable = FORKED

    def _arm(self) -> None:
        self._sender.arm(self)

    # ------------------------------------------------------------------ ends

    def _check_usable(self) -> None:
        if self.unusable != USABLE:
            self._refuse()

    def _refuse(self) -> NoReturn:
        if self.unusable == FORKED:
            raise forked("a producer")
        raise ClosedError("the producer is closed; StreamLog.producer() makes another")

    def _finish(self, deadline: float | None) -> None:
        for queue in list(self.pending):
            queue.seal()
            if deadline is not None and self._clock.monotonic() >= deadline:
                self._give_up(queue)
            else:
                self._drain(queue)
        self._sync_all()

    def _give_up(self, queue: PartitionQueue) -> None:
        """Fail what waits in `queue`; what another thread is writing right now is its business."""
        if not queue.lock.acquire(timeout=0):
            return
        given_up = list(queue.sealed)
        try:
            queue.sealed.clear()
            for batch in given_up:
                self._fail(batch, SendError("the producer was closed before this was written"))
                batch.release()
        finally:
            queue.lock.release()
        for batch in given_up:
            run_callbacks(batch)

    def raise_failures(self) -> None:
        """Raise what went wrong and nobody looked at; say it once."""
        failed = list(self._failures)
        for batch in failed:
            del self._failures[batch]
        unseen = [batch for batch in failed if batch.observed < batch.count]
        if not unseen:
            return
        errors = [batch.error for batch in unseen]
        records = sum(batch.count - batch.observed for batch in unseen)
        unknown = any(getattr(error, "outcome", None) == "unknown" for error in errors)
        raise DeliveryError(
            f"{records} records were not delivered, the first to {unseen[0].queue.topic}-"
            f"{unseen[0].queue.partition}: {errors[0]}",
            outcome="unknown" if unknown else "not_written",
            failures=errors,
        ) from errors[0]
