"""`SendManyFuture`: one future for the many batches of a `send_many`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from streamlog.clients.batch_state import DONE, FAILED, FORKED
from streamlog.clients.delivery import add_callback, forked, wait_async
from streamlog.errors import DeliveryError
from streamlog.types import AppendedBatch

if TYPE_CHECKING:
    from streamlog.clients.accumulators import ProducerBatch


class SendManyFuture:
    """The outcome of one `send_many()`: `result()` waits for it, and so does `await`."""

    __slots__ = ("_batches",)

    def __init__(self, batches: list[ProducerBatch]) -> None:
        self._batches = batches

    def done(self) -> bool:
        """Whether the outcome of every batch is known."""
        return all(_settled(batch) for batch in self._batches)

    def result(self, timeout: float | None = None) -> list[AppendedBatch]:
        """Where the records went, batch by batch, once as durable as `acks` asks.

        Raises `DeliveryError` if any of it failed: `failures` has the errors, `results` an
        `AppendedBatch` or an error for each batch. `timeout` as in `RecordFuture.result`.
        """
        for batch in self._batches:
            self._see_through(batch, timeout)
        failed = [batch for batch in self._batches if _error_of(batch) is not None]
        if failed:
            raise self._failure(failed)
        return [place for batch in self._batches for place in _places(batch)]

    def exception(self, timeout: float | None = None) -> DeliveryError | None:
        """What `result` would raise, or None; waits like it."""
        try:
            self.result(timeout)
        except DeliveryError as error:
            return error
        return None

    def add_done_callback(self, callback: Callable[[SendManyFuture], object]) -> None:
        """Call `callback(future)` once every batch's outcome is known."""
        if self.done():
            callback(self)
            return
        turn = [callback]

        def settled(_: object) -> None:
            if self.done() and turn:
                try:
                    chosen = turn.pop()
                except IndexError:  # another batch was settled by another thread just now
                    return
                chosen(self)

        for batch in self._batches:
            add_callback(_BatchFuture(batch), batch, settled)

    def __await__(self) -> Generator[Any, None, list[AppendedBatch]]:
        for batch in self._batches:
            if not _settled(batch):
                yield from wait_async(_BatchFuture(batch), batch)
        return self.result()

    def __repr__(self) -> str:
        records = sum(batch.count for batch in self._batches)
        return f"<SendManyFuture of {records} records, {'done' if self.done() else 'pending'}>"

    def _see_through(self, batch: ProducerBatch, timeout: float | None) -> None:
        accumulator = batch.queue.accumulator
        if accumulator.unusable == FORKED:
            raise forked("a future")
        if not _settled(batch):
            accumulator.see_through(batch, timeout)

    def _failure(self, failed: list[ProducerBatch]) -> DeliveryError:
        for batch in failed:
            batch.observed = batch.count
        errors = [batch.error for batch in failed]
        results = [
            result
            for batch in self._batches
            for result in ([batch.error] if _error_of(batch) is not None else _places(batch))
        ]
        unknown = any(getattr(error, "outcome", None) == "unknown" for error in errors)
        return DeliveryError(
            f"{len(failed)} of {len(self._batches)} writes failed: {errors[0]}",
            outcome="unknown" if unknown else "not_written",
            failures=errors,
            results=results,
        )


class _BatchFuture:
    """What `wait_async` and `add_callback` want to see of one batch."""

    __slots__ = ("_batch",)

    def __init__(self, batch: ProducerBatch) -> None:
        self._batch = batch

    def done(self) -> bool:
        return _settled(self._batch)

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        add_callback(self, self._batch, callback)

    def result(self) -> None:
        """Nothing: the whole is looked at once every part is settled."""


def _settled(batch: ProducerBatch) -> bool:
    return batch.queue.acks == 0 or bool(batch.state >= DONE)


def _error_of(batch: ProducerBatch) -> Exception | None:
    """With `acks=0` errors surface in `flush()` only."""
    return batch.error if batch.state == FAILED and batch.queue.acks != 0 else None


def _places(batch: ProducerBatch) -> list[AppendedBatch]:
    queue = batch.queue
    offset = batch.base_offset if queue.acks != 0 else -1
    places = []
    for count in batch.parts or ():
        places.append(AppendedBatch(queue.topic, queue.partition, offset, count))
        offset += count if offset >= 0 else 0
    return places
