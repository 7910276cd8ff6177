"""What a future does, once for both kernels: wait, report, call back.

A future points at its batch and its place in it; everything that can happen to it happens to
the batch. Callbacks are run by whoever settles the batch, after its locks are released.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from streamlog.clients.batch_state import DONE, FAILED, FORKED
from streamlog.errors import ForkedHandleError
from streamlog.types import RecordMetadata

if TYPE_CHECKING:
    from streamlog.clients.accumulators import ProducerBatch, RecordFuture

    Callback = Callable[[Any], object]


def complete(future: RecordFuture, batch: ProducerBatch, timeout: float | None) -> None:
    """See the future's batch through, and raise what became of it unless it is well.

    With `acks=0` the outcome is known beforehand and nothing is waited for.
    """
    accumulator = batch.queue.accumulator
    if accumulator.unusable == FORKED:
        raise forked("a future")
    if batch.queue.acks == 0:
        return
    if batch.state < DONE:
        accumulator.see_through(batch, timeout)
    if batch.state == FAILED:
        future.observe()
        assert batch.error is not None, "a failed batch has its error"
        raise batch.error.with_traceback(None)


def record_metadata(batch: ProducerBatch, index: int, timestamp: int) -> RecordMetadata:
    """Where record `index` of a batch that is done went."""
    queue = batch.queue
    if queue.acks == 0:
        return RecordMetadata(queue.topic, queue.partition, -1, timestamp, "buffered")
    if batch.append_time_ms >= 0:
        timestamp = batch.append_time_ms
    offset = batch.base_offset + index
    return RecordMetadata(queue.topic, queue.partition, offset, timestamp, batch.durability)


def exception_of(
    future: RecordFuture, batch: ProducerBatch, timeout: float | None
) -> Exception | None:
    """The batch's error, or None; waits like `result`, and raises only for the wait itself."""
    try:
        complete(future, batch, timeout)
    except Exception as error:
        if error is not batch.error:
            raise
        return error.with_traceback(None)
    return None


def add_callback(future: Any, batch: ProducerBatch, callback: Callback) -> None:
    """Call `callback(future)` once the outcome is known: now, if it is.

    First added, then looked at: whoever settles the batch in between takes the callback, and
    each is taken once.
    """
    if batch.callbacks is None:
        batch.callbacks = deque()
    batch.callbacks.append((callback, future))
    if future.done():
        run_callbacks(batch)


def run_callbacks(batch: ProducerBatch) -> None:
    """Call what was added to a settled batch. What a callback raises is logged, as elsewhere."""
    callbacks = batch.callbacks
    while callbacks:
        try:
            callback, future = callbacks.popleft()
        except IndexError:  # another thread took the last one
            return
        try:
            callback(future)
        except Exception:
            import logging

            logging.getLogger("streamlog.clients").exception("a callback of %r failed", future)


def when_settled(batch: ProducerBatch, callback: Callable[[ProducerBatch], object]) -> None:
    """Call `callback(batch)` once the batch is done or failed: now, if it is. As `add_callback`."""
    if batch.callbacks is None:
        batch.callbacks = deque()
    batch.callbacks.append((callback, batch))
    if batch.state >= DONE:
        run_callbacks(batch)


def wait_async(future: Any, batch: ProducerBatch) -> Generator[Any, None, Any]:
    """The body of `await future`: the batch is written when this turn of the loop is over."""
    producer = batch.queue.accumulator
    if producer.unusable == FORKED:
        raise forked("a future")
    while not future.done():
        from streamlog.clients.asynchronous.turns import turn_of

        yield from turn_of(producer).settled(producer, batch)
    return future.result()


def forked(what: str) -> ForkedHandleError:
    return ForkedHandleError(
        f"{what} of the parent process cannot be used in a forked child; "
        "the StreamLog can: make a new producer from it"
    )


def describe(batch: ProducerBatch, index: int) -> str:
    """The repr of a record's future."""
    queue = batch.queue
    if batch.state == FAILED:
        state = f"failed: {batch.error!r}"
    elif batch.state == DONE:
        state = f"offset {batch.base_offset + index}"
    else:
        state = "pending"
    return f"<RecordFuture {queue.topic}-{queue.partition}, {state}>"
