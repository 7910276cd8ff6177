"""What `poll()` returns: records or batches of what is there, in one list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.clients.flows import Flow
from streamlog.errors import StreamlogError
from streamlog.types import TopicPartition

if TYPE_CHECKING:
    from streamlog.clients.fetcher import Fetcher
    from streamlog.clients.positions import AssignedPartition
    from streamlog.clients.record_streams import PartitionBatch, RecordStream
    from streamlog.record.kernel import Record

_PAST = float("-inf")

#: The records of one partition, consecutive in the result.
Run = tuple[TopicPartition, list["Record"]]


class Polling:
    """Gathers from the fetcher's stream, fetch after fetch, without waiting once something is
    there. What a poll that fails had gathered is handed out by the next one.
    """

    __slots__ = ("_fetcher", "_stream")

    def __init__(self, fetcher: Fetcher, stream: RecordStream) -> None:
        self._fetcher = fetcher
        self._stream = stream

    def records(self, limit: int, timeout: float | None) -> Flow[list[Run]]:
        """At most `limit` records in runs, each of one partition; waits `timeout` s for one."""
        runs: list[Run] = []
        before: list[tuple[AssignedPartition, int]] = []
        if self._fetcher.loaded is not None:  # otherwise loading does
            yield from self._fetcher.begin_poll()
        try:
            yield from self._gather(runs, before, limit, self._fetcher.deadline(timeout))
        except BaseException:
            for partition, offset in reversed(before):
                self._fetcher.rewind(partition, offset)
            raise
        return runs

    def _gather(
        self,
        runs: list[Run],
        before: list[tuple[AssignedPartition, int]],
        limit: int,
        deadline: float | None,
    ) -> Flow[None]:
        fetcher, stream = self._fetcher, self._stream
        missing = limit
        while missing > 0:
            try:
                if fetcher.loaded is None:
                    found = yield from fetcher.load_next(
                        _PAST if runs else deadline, polls=not runs
                    )
                    if not found:
                        return
                index = fetcher.loaded
                if index is None:  # closed by another thread
                    return
                partition = fetcher.table.partitions[index]
                before.append((partition, stream.position))
                taken = stream.take(missing)
            except StreamlogError:
                # It comes again at the next poll, after what is there is handed out.
                if runs:
                    return
                raise
            if taken:
                runs.append((partition.topic_partition, taken))
                missing -= len(taken)
            if missing > 0:
                fetcher.drop()

    def batches(self, timeout: float | None) -> Flow[list[PartitionBatch]]:
        """The batches of the next fetch that has any; waits `timeout` seconds for one."""
        fetcher, deadline = self._fetcher, self._fetcher.deadline(timeout)
        # A fetch that records were taken from may stand in the middle of a batch.
        fetcher.drop()
        while (yield from fetcher.load_next(deadline)):
            taken = self._stream.batches()
            fetcher.drop()
            if taken:
                return taken
        return []
