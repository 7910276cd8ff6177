"""Committing, as the half of `Consumer` that has it: for who has a group."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from streamlog.clients.flows import Flow, Invoke, run, synchronous
from streamlog.clients.subscription import given_partitions, typed_partitions
from streamlog.config.checking import check_callable
from streamlog.errors import MemberFencedError, StreamlogError, UsageError
from streamlog.types import OffsetAndMetadata, TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.fetcher import Fetcher
    from streamlog.clients.group_membership import GroupMembership
    from streamlog.clients.group_offsets import Offsets
    from streamlog.clients.guard import Guard

_NO_GROUP = (
    "this consumer has no group, so there is nowhere to commit to: give it a group_id, or keep "
    "position() yourself"
)

CommitCallback = Callable[["Offsets", "StreamlogError | None"], Any]


class Commits:
    """The consumer provides what is named here."""

    fetcher: Fetcher
    group: GroupMembership | None = None
    _engine: Engine
    _guard: Guard

    @synchronous
    def commit(self, offsets: Offsets | None = None) -> Flow[None]:
        """Commit the positions, or these offsets: where the group goes on if others take over.

        In a loop over records it covers the record at hand. It is in the log when this returns,
        and on the disk with `commit_acks="all"`. Raises `MemberFencedError` when others have the
        partitions, and nothing is committed; `GroupError`, `UsageError` without a group, and what
        an append raises.
        """
        group = self._group()
        try:
            yield from group.offsets.commit(offsets)
        except MemberFencedError:
            group.commit_failed()
            raise

    @synchronous
    def commit_async(
        self, offsets: Offsets | None = None, callback: CommitCallback | None = None
    ) -> Flow[None]:
        """As `commit()`; what it raises is given to `callback`, called with the offsets and it.

        In a process a commit takes no longer than it does to ask for it: it is done when this
        returns. Without a callback an error is logged.
        """
        group = self._group()
        check_callable("callback", callback)
        chosen = group.offsets.consumed() if offsets is None else offsets
        error: StreamlogError | None = None
        try:
            yield from group.offsets.commit(chosen)
        except MemberFencedError as fenced:
            group.commit_failed()
            error = fenced
        except StreamlogError as raised:
            error = raised
        if callback is not None:
            yield Invoke(callback, (chosen, error))
        elif error is not None:
            import logging

            logging.getLogger("streamlog.clients").error("a commit failed: %s", error)

    @synchronous
    def committed(
        self, *partitions: TopicPartition | Iterable[TopicPartition]
    ) -> Flow[dict[TopicPartition, OffsetAndMetadata | None]]:
        """What the group has committed of these partitions, or of all that are read.

        They are given one by one, or as one list.
        None where it has committed nothing. Raises `UsageError` without a group.
        """
        group = self._group()
        yield from self.fetcher.refresh()
        given = given_partitions(partitions)
        asked = list(self.fetcher.table) if given is None else typed_partitions(given)
        return (yield from group.offsets.committed(asked))

    def _group(self) -> GroupMembership:
        if self.group is None:
            raise UsageError(_NO_GROUP)
        return self.group

    def _run(self, flow: Flow[Any]) -> Any:
        with self._guard:
            return run(flow, self._engine)
