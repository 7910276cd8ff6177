"""A consumer as a member of its group: joins, hears what it is to have, gives up, leaves.

Everything happens in the consumer's own calls: when it polls, and while it waits for records. So
what the user works on is never given up meanwhile, and callbacks run where the records are used.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.broker.topics import draw_uuid
from streamlog.clients.flows import Flow, Invoke, call
from streamlog.clients.group_client import (
    JOINING,
    LEAVING,
    LEFT_FOR_NOW,
    NOBODY,
    GroupClient,
    Heartbeat,
    Member,
    TopicIdPartition,
)
from streamlog.clients.group_offsets import GroupOffsets
from streamlog.clients.subscription import NamedTopics, OwnedPartitions, TopicPattern
from streamlog.errors import GroupError, MemberFencedError, UnknownGroupError, UsageError
from streamlog.types import TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.broker.groups.member_slots import MemberSlot
    from streamlog.broker.groups.partition_coordinator import PartitionCoordinator
    from streamlog.clients.fetcher import Fetcher
    from streamlog.config import ConsumerConfig

_LOOKS_AN_INTERVAL = 3

Callback = Callable[[list[TopicPartition]], Any] | None
_NOTHING: frozenset[TopicIdPartition] = frozenset()


class RebalanceCallbacks(NamedTuple):
    """The user's: each is called with partitions, in the consumer's own thread or task."""

    on_assign: Callback
    on_revoke: Callback
    on_lost: Callback


class GroupMembership:
    """One consumer's place in its group. For one thread at a time; `is_stale` from any.

    `owned` is what is read; `assigned` is what the coordinator last said that it is to be. An
    interrupt may come between: then the next poll goes on.
    """

    def __init__(self, engine: Engine, config: ConsumerConfig, fetcher: Fetcher) -> None:
        assert config.group_id is not None
        self._engine = engine
        self._config = config
        self._fetcher = fetcher
        self._groups = engine.groups
        self._client = GroupClient(
            engine, config.group_id, config.client_id, acks=config.commit_acks
        )
        self.offsets = GroupOffsets(engine, config, fetcher, self._client, self._member)
        self._callbacks = RebalanceCallbacks(config.on_assign, config.on_revoke, config.on_lost)
        self._is_calling = False
        self._failure: Exception | None = None  # what a callback raised, until a poll raises it
        self._wanted: NamedTopics | TopicPattern | None = None
        self._coordinator: PartitionCoordinator | None = None
        self._seen = -1  # the coordinator's version when there was nothing new
        self._looked_at = 0.0
        self._slot: MemberSlot | None = None  # None: it is no member
        self._finalizer: weakref.finalize[Any, GroupMembership] | None = None
        self._is_fenced = False
        self._forget_member()

    def _forget_member(self) -> None:
        if self._slot is not None and self._finalizer is not None:
            self._finalizer.detach()
            self._slot.release()
        self._slot = self._finalizer = None
        self._member_id, self._epoch = NOBODY
        self._told: tuple[str, ...] = ()
        self._is_certain = False  # what the coordinator last said was heard
        self._assigned = self._owned = _NOTHING
        self._is_fenced = False

    def _member(self) -> Member:
        return self._member_id, self._epoch

    # ---------------------------------------------------------------- what is wanted

    def subscribe(
        self,
        wanted: NamedTopics | TopicPattern,
        on_assign: Callback,
        on_revoke: Callback,
        on_lost: Callback,
    ) -> Flow[None]:
        """Be a member that reads these topics; what it gets now is settled when this is over."""
        kept = self._callbacks
        self._callbacks = RebalanceCallbacks(
            on_assign or kept.on_assign, on_revoke or kept.on_revoke, on_lost or kept.on_lost
        )
        self._wanted = wanted
        self._is_certain = False  # so everything is said anew
        self._fetcher.drop()
        if self._slot is None:  # what was assigned by hand is not this member's
            yield from self._fetcher.exchange(OwnedPartitions(_NOTHING))
        yield from self.poll()

    def topics(self) -> frozenset[str] | None:
        """The topics that it reads as a member; None where it is none."""
        return None if self._wanted is None else frozenset(self._names_wanted())

    def _names_wanted(self) -> tuple[str, ...]:
        if isinstance(self._wanted, NamedTopics):
            return tuple(sorted(self._wanted.topics))
        assert self._wanted is not None
        return tuple(sorted({each.topic for each in self._wanted.resolve(self._engine.topics())}))

    # ---------------------------------------------------------------- polling

    def poll(self) -> Flow[None]:
        """What a member does before it is given records.

        Raises `MemberFencedError` when it was found not to be one any more, `GroupError`, and
        what a callback raised.
        """
        if self._is_calling:
            raise UsageError("a rebalance callback cannot poll: its consumer is doing so")
        if self._is_fenced:
            yield from self._lose()
        try:
            yield from self.offsets.commit_if_due()
            if self._wanted is not None:
                yield from self._stay()
        except MemberFencedError:
            yield from self._lose()
            self.raise_failure()
            raise
        self.raise_failure()

    def _stay(self) -> Flow[None]:
        """Be a member, and have what the coordinator says."""
        if self._slot is None:
            yield from self._join()
            return
        self._slot.polled(int(self._engine.clock.monotonic() * 1000))
        if self._owned != self._assigned or not self._is_certain or (yield from self._has_news()):
            yield from self._come_to_assigned()
            yield from self._reconcile()

    def is_stale(self) -> bool:
        """Whether others decided something, or it is time to look."""
        coordinator = self._coordinator
        if self._slot is None or coordinator is None:
            return False
        if coordinator.is_behind or coordinator.version != self._seen:
            return True
        return self._engine.clock.monotonic() >= self.next_look

    @property
    def next_look(self) -> float:
        """When, on the monotonic clock, a member that waits polls again; who is none never does."""
        if self._slot is None:
            return float("inf")
        interval_ms = self._config.max_poll_interval_ms / _LOOKS_AN_INTERVAL
        between_ms = self._groups.settings().group_consumer_assignment_interval_ms
        return self._looked_at + min(interval_ms, between_ms or interval_ms) / 1000

    def _has_news(self) -> Flow[bool]:
        """Whether there is anything to say or to hear."""
        coordinator = self._coordinator
        assert coordinator is not None
        if not self.is_stale() and not self._fetcher.assignment.is_stale():
            return False
        self._looked_at = self._engine.clock.monotonic()
        look = partial(
            coordinator.quiet_version, self._client.group_id, self._member_id, self._epoch
        )
        quiet_version = yield from call(look)
        if quiet_version is None or (yield from call(self._names_wanted)) != self._told:
            return True
        self._seen = quiet_version
        return False

    # ---------------------------------------------------------------- being a member

    def _join(self) -> Flow[None]:
        member_id = draw_uuid()
        self._coordinator = yield from call(
            partial(self._groups.coordinator_of, self._client.group_id)
        )
        self._slot = yield from call(partial(self._groups.new_member, member_id))
        self._member_id, self._epoch = str(member_id), JOINING
        # Who lets go of a consumer without closing it leaves its partitions to others.
        self._finalizer = weakref.finalize(
            self, self._groups.abandon, self._client.group_id, self._member_id, self._slot
        )
        self._finalizer.atexit = False
        try:
            yield from self._reconcile()
        except GroupError:  # refused; whatever else came, it may be one without having heard it
            if self._epoch == JOINING:
                self._forget_member()
            raise

    def _reconcile(self) -> Flow[None]:
        """Say what this member has, and come to what it is told, until there is no more to say."""
        while True:
            names = yield from call(self._names_wanted)
            beat = self._heartbeat(names)
            self._is_certain = False
            self._hear((yield from call(beat)), names)
            given_up = yield from self._come_to_assigned()
            if not given_up:
                return

    def _heartbeat(self, names: tuple[str, ...]) -> Callable[[], Heartbeat]:
        """What is to be said: everything, where it is not certain what was heard."""
        told: dict[str, Any] = {}
        if self._config.group_instance_id is not None:
            told["instance_id"] = self._config.group_instance_id
        if not self._is_certain or names != self._told:
            told["subscribed_topic_names"] = list(names)
        if not self._is_certain:
            told["rebalance_timeout_ms"] = self._config.max_poll_interval_ms
            told["server_assignor"] = self._config.group_remote_assignor
        return partial(self._client.beat, self._member(), self._owned, **told)

    def _hear(self, answer: Heartbeat, names: tuple[str, ...]) -> None:
        self._epoch, self._told = answer.epoch, names
        if answer.assigned is not None:
            self._assigned = answer.assigned
        self._is_certain = True
        self._looked_at = self._engine.clock.monotonic()

    def _come_to_assigned(self) -> Flow[bool]:
        """Give up and take what is to be; whether anything was given up, which is to be said."""
        given_up, given = self._owned - self._assigned, self._assigned - self._owned
        if given_up:
            partitions = self._named(given_up)
            self._fetcher.drop()
            yield from self.offsets.commit_at_end()
            yield from self._call(self._callbacks.on_revoke, partitions)
            yield from self._fetcher.exchange(OwnedPartitions(self._owned - given_up))
            self._owned -= given_up
        if given:
            yield from self._fetcher.exchange(OwnedPartitions(self._owned | given))
            partitions = self._named(given)
            table = self._fetcher.table
            yield from self.offsets.begin_there(table.indexes(partitions))
            self._owned |= given
            yield from self._call(self._callbacks.on_assign, partitions)
        return bool(given_up)

    def _named(self, partitions: Iterable[TopicIdPartition]) -> list[TopicPartition]:
        """Those of them that are read, under their names."""
        wanted = {(str(topic_id), number) for topic_id, number in partitions}
        return [
            each.topic_partition
            for each in self._fetcher.table.partitions
            if (each.topic_id, each.topic_partition.partition) in wanted
        ]

    def _call(self, callback: Callback, partitions: list[TopicPartition]) -> Flow[None]:
        if callback is None or not partitions:
            return
        self._is_calling = True
        try:
            yield Invoke(callback, (partitions,))
        except Exception as error:  # noqa: BLE001  # others wait for the rebalance: raised behind it
            if self._failure is None:
                self._failure = error
        finally:
            self._is_calling = False

    def raise_failure(self) -> None:
        """Raise what a callback raised first, once; what it was called about happened all the same.

        As Kafka's Java client does, and unwrapped.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    # ---------------------------------------------------------------- not being one any more

    def commit_failed(self) -> None:
        """A commit found out that this is no member: the next poll joins again."""
        self._is_fenced = self._slot is not None

    def _lose(self) -> Flow[None]:
        """Everything is others' by now."""
        partitions = self._named(self._owned)
        self._forget_member()
        yield from self._fetcher.exchange(OwnedPartitions(_NOTHING))
        yield from self._call(self._callbacks.on_lost or self._callbacks.on_revoke, partitions)

    def leave(self, *, commits: bool = True, in_the_middle: bool = False) -> Flow[None]:
        """Commit what is due, give everything up, and say goodbye; a static member for now.

        `commits` not: another thread is still at it. Does nothing for who is no member, but commit.
        What a callback raises is kept for `raise_failure`.
        """
        try:
            if commits:
                yield from self._give_everything_up(in_the_middle=in_the_middle)
        finally:
            self._wanted = None
            if self._slot is not None:
                yield from self._say_goodbye()

    def _give_everything_up(self, *, in_the_middle: bool) -> Flow[None]:
        on_revoke, on_lost = self._callbacks.on_revoke, self._callbacks.on_lost
        try:
            yield from self.offsets.commit_at_end(in_the_middle=in_the_middle)
            if self._owned and on_revoke is not None:  # is it still this member's to give?
                yield from call(partial(self._client.committed, (), self._member()))
        except MemberFencedError:
            on_revoke = on_lost or on_revoke
        yield from self._call(on_revoke, self._named(self._owned))

    def _say_goodbye(self) -> Flow[None]:
        instance_id, member_id = self._config.group_instance_id, self._member_id
        epoch = LEAVING if instance_id is None else LEFT_FOR_NOW
        self._forget_member()
        with suppress(MemberFencedError, UnknownGroupError):  # it is gone already
            yield from call(
                partial(self._client.beat, (member_id, epoch), None, instance_id=instance_id)
            )
