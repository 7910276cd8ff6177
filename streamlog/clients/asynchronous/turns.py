"""Awaiting records: those who do so in one turn of their event loop share batches and appends.

A hundred tasks that each send a record and await it are resumed in one turn of the loop. Their
records join open batches, as everybody's do; when the turn is over, what is awaited is written.
So it needs no linger to be written together, and none is waited for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streamlog.clients.asynchronous.waking import Waiter, wake
from streamlog.clients.delivery import when_settled

if TYPE_CHECKING:
    from streamlog.clients.accumulators import PartitionQueue, ProducerBatch
    from streamlog.clients.producer import Producer


class Turn:
    """Those on one event loop who await records of one producer."""

    __slots__ = ("_hurried", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[ProducerBatch, list[Waiter]] = {}
        self._hurried: list[ProducerBatch] = []

    def settled(self, producer: Producer, batch: ProducerBatch) -> Waiter:
        """What ends when the batch's outcome is known, or at times before: then look again.

        The batch is written when this turn of the loop is over.
        """
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        waiting = self._waiting.get(batch)
        if waiting is not None:
            waiting.append(waiter)
            if self._waiting.get(batch) is not waiting:  # another thread woke those before
                wake([waiter])
        else:
            self._waiting[batch] = [waiter]
            if not self._hurried:
                loop.call_soon(self._hurry, producer)
            self._hurried.append(batch)
            when_settled(batch, self._settle)
        return waiter

    def _hurry(self, producer: Producer) -> None:
        batches, self._hurried = self._hurried, []
        try:
            producer.hurry(batches)
        except Exception as error:  # noqa: BLE001  # those who wait raise it
            for batch in batches:
                self.fail(batch, error)
        except BaseException:  # an interrupt: they look again, which has it tried again
            for batch in batches:
                self._settle(batch)
            raise

    def _settle(self, batch: ProducerBatch) -> None:
        """From whichever thread settled the batch."""
        wake(self._waiting.pop(batch, ()))

    def batches(self) -> list[ProducerBatch]:
        """Those that somebody awaits."""
        return list(self._waiting)

    def fail(self, batch: ProducerBatch, error: BaseException) -> None:
        """Raise `error` from those who await the batch, which may still be written."""
        wake(self._waiting.pop(batch, ()), error)


def turn_of(producer: Producer) -> Turn:
    """The turn of the running loop."""
    loop = asyncio.get_running_loop()
    turn: Turn | None = producer.turns.get(loop)
    if turn is None:
        turn = producer.turns[loop] = Turn()
    return turn


def is_awaited(producer: Producer, queue: PartitionQueue) -> bool:
    """Whether somebody awaits a record of this queue."""
    turns: list[Turn] = list(producer.turns.values())
    return any(batch.queue is queue for turn in turns for batch in turn.batches())


def fail_waiting(producer: Producer, queue: PartitionQueue, error: BaseException) -> None:
    """Raise `error` from everybody who awaits what is sealed in `queue`."""
    for turn in list(producer.turns.values()):
        for batch in list(queue.sealed):
            turn.fail(batch, error)
