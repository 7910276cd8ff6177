"""One coordinator and its log: the cycle of deciding, appending, replaying and applying."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from streamlog.broker.produce import ACKS_ALL, is_flush_due
from streamlog.coordinator import (
    CoordinatorRecord,
    ErrorCode,
    GroupCoordinator,
    Instant,
    MemberPolled,
    MembersDied,
    Reply,
    RequestContext,
    Result,
    TopicsDeleted,
)
from streamlog.coordinator.groups.table import subject_of
from streamlog.errors import CorruptDirectoryError, StreamlogError
from streamlog.record.kernel import RecordBatchBuilder
from streamlog.storage.append_outcome import AppendOutcome

if TYPE_CHECKING:
    from streamlog.broker.groups.calls import Call
    from streamlog.broker.groups.topics_view import TopicsView
    from streamlog.clock import Clock
    from streamlog.coordinator import ExpireOffsets, GroupSettings, TopicsImage
    from streamlog.storage.fetched import FetchCursor
    from streamlog.storage.partition_log import PartitionLog

_FETCH_BYTES = 1 << 20
_NEVER_DUE_MS = -1 << 62  # for who only looks, and decides nothing, time does not pass

Event = MembersDied | MemberPolled | TopicsDeleted
Decide = Callable[[Instant], Result | None]
NewId = Callable[[], str]


class Surroundings(NamedTuple):
    """What the coordinators of one engine share.

    `polls` tells when each member in a process polled last. `changed` is called, by whoever holds
    the mutex, when there is another deadline or there are other members: it must not wait.
    """

    clock: Clock
    topics: TopicsView
    new_id: NewId
    polls: Callable[[], dict[str, int]]
    changed: Callable[[], None]


class PartitionCoordinator:
    """The groups of one partition of `__consumer_offsets`, as this process sees and changes them.

    Thread-safe. Loaded at the first use, which reads the log; what others appended is replayed
    before anything is decided. What an append raises is raised here, and nothing has happened.
    """

    def __init__(
        self, log: PartitionLog, settings: GroupSettings, surroundings: Surroundings
    ) -> None:
        self.log = log
        self._settings = settings
        self._around = surroundings
        self._mutex = threading.Lock()
        self._cursor: FetchCursor | None = None
        self._image: TopicsImage = surroundings.topics.image
        self._machine = self._new_machine()
        self._deadline_ms: int | None = None
        self._members_are_known = False  # `members` is as the groups are
        self._is_ahead = False  # of the log: what was left out is not in it
        self._gone: set[str] = set()  # topics that are, and whose offsets may still be here
        #: Moves whenever groups or topics changed: then members may have news.
        self.version = 0
        #: By the client host of every process that has members here, as last seen: who they are.
        self.members: dict[str, list[MembersDied]] = {}

    def _new_machine(self) -> GroupCoordinator:
        return GroupCoordinator(
            self._settings, self._image, self._around.new_id, self.log.log_start
        )

    # ---------------------------------------------------------------- what is asked of it

    def submit(self, call: Call, context: RequestContext, acks: int) -> None:
        """Decide on a request; `context` has `call` as its token, which gets the reply.

        Perhaps not before this returns: a request may be parked. With `acks=-1` what the reply
        tells is on the disk by then.
        """
        self._perform(lambda now: self._machine.handle(call.request, context, now), acks)

    def tell(self, events: Iterable[Event | ExpireOffsets]) -> None:
        """Decide on what happened, as often as an event asks for."""
        for event in events:
            more: bool = True
            while more:
                result = self._perform(partial(self._handle_event, event))
                more = result is not None and result.more

    def leave_out(self, events: Iterable[MembersDied]) -> None:
        """Have members be gone for who only reads, as if that was in the log.

        Until others append: then the groups are as the log has them again, and these are to be
        left out anew.
        """
        with self._mutex:
            for event in events:
                self._catch_up_locked()
                result = self._machine.handle_event(event, self._now())
                for record in result.records:
                    self._machine.replay(record, self._machine.next_offset - 1)
                self._machine.apply(result)
                self._is_ahead = True
            self.members = self._machine.members_in_processes()

    def _handle_event(self, event: Event | ExpireOffsets, now: Instant) -> Result | None:
        if isinstance(event, TopicsDeleted):
            # Of the topics as they are now, and not before the log was replayed: what was
            # committed for another topic of the same name is not forgotten.
            gone = frozenset(name for name in event.topics if self._image.topic(name) is None)
            event = TopicsDeleted(gone, event.limit)
        return self._machine.handle_event(event, now)

    def settle(self) -> None:
        """Replay what others appended, and do what is due by now."""
        self._perform(None)

    def has_news(self, group_id: str, member_id: str, epoch: int) -> bool:
        """Whether a heartbeat would tell that member, who is in `epoch`, anything."""
        return self.quiet_version(group_id, member_id, epoch) is None

    def quiet_version(self, group_id: str, member_id: str, epoch: int) -> int | None:
        """The version as of which a heartbeat would tell that member nothing; None: it would."""
        self.settle()
        with self._mutex:
            has_news = self._machine.has_news(group_id, member_id, epoch, self._now())
            return None if has_news else self.version

    @property
    def is_behind(self) -> bool:
        """Whether others appended what was not replayed yet; one load."""
        return self._machine.next_offset != self.log.log_end

    @property
    def deadline_ms(self) -> int | None:
        """When, on the monotonic clock, `settle` has something to do."""
        return self._deadline_ms

    def take_settings(self, settings: GroupSettings) -> None:
        """Go by these settings from now on."""
        with self._mutex:
            self._settings = settings
            self._machine.take_settings(settings)

    def take_over(self) -> None:
        """Coordinate members in the network. For who holds the coordinator's byte."""
        self.settle()
        with self._mutex:
            self._machine.take_over(self._now())
            self._note_changes_locked()

    def resign(self) -> None:
        """Coordinate no members in the network any more; who is parked is sent elsewhere."""
        with self._mutex:
            replies = self._machine.resign(self._now())
            self._note_changes_locked()
        _deliver(replies)

    # ---------------------------------------------------------------- the cycle

    def _perform(self, decide: Decide | None, acks: int = 1) -> Result | None:
        """One decision, then all that is due, then what was said, when it is safe to say it.

        None: there is only to be done what is due.
        """
        replies: list[Reply] = []
        with self._mutex:
            result = None
            if decide is not None:
                result = self._carry_out_locked(decide, replies)
            try:
                self._settle_locked(replies)
            except StreamlogError:
                if decide is None:
                    raise
                self._around.changed()  # it is still due, and who sees to that will meet it
            end = self._machine.next_offset
        try:
            if self._sync_is_due(acks, result, end):
                self.log.sync(end)
        except BaseException:
            for call, _ in replies:
                call.refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)
            raise
        _deliver(replies)
        return result

    def _sync_is_due(self, acks: int, result: Result | None, end: int) -> bool:
        """Whether what was decided, or what it rests on, has to be on the disk now."""
        if acks == ACKS_ALL:
            return self.log.synced_end < end
        if result is None or not result.records:
            return False
        outcome = AppendOutcome(end - len(result.records), end - 1, end)
        return is_flush_due(self.log, outcome)

    def _carry_out_locked(self, decide: Decide, replies: list[Reply]) -> Result | None:
        """Decide on what is there now, as often as something comes between."""
        while True:
            self._catch_up_locked()
            self._look_at_topics_locked()
            result = decide(self._now())
            if result is None:
                return None
            if not result.records or self._append_locked(result.records):
                replies += self._machine.apply(result)
                if _changes_groups(result):
                    self._members_are_known = False
                    self.version += 1
                return result

    def _append_locked(self, records: list[CoordinatorRecord]) -> bool:
        """Append and replay. False, and nothing is changed, when something came between."""
        machine, now_ms = self._machine, self._around.clock.now_ms()
        builder = RecordBatchBuilder()
        for record in records:
            builder.append(now_ms, *record.encode())
        outcome = self.log.append(
            builder.build(), expected_log_end=machine.next_offset, now_ms=now_ms
        )
        if outcome is None:
            return False
        for offset, record in enumerate(records, outcome.base_offset):
            machine.replay(record, offset)
        return True

    def _catch_up_locked(self) -> None:
        """Replay what others appended."""
        if self._is_ahead and self.is_behind:
            self._begin_anew_locked()
        while (position := self._machine.next_offset) < self.log.log_end:
            if position < self.log.log_start:  # somebody had the topic's records deleted
                self._begin_anew_locked()
                continue
            fetched = self.log.fetch(position, _FETCH_BYTES, self._cursor)
            if not fetched.view:
                raise CorruptDirectoryError(
                    f"{self.log.directory} ends at {self.log.log_end}, but has nothing at "
                    f"{position}",
                    file=self.log.directory,
                )
            self._machine.replay_log(fetched.view)
            self._cursor = fetched.cursor

    def _begin_anew_locked(self) -> None:
        self._cursor, self._machine, self._is_ahead = None, self._new_machine(), False

    def _look_at_topics_locked(self) -> None:
        before, image = self._image, self._around.topics.refresh()
        if image is not before:
            self._image = image
            self.version += 1
            self._machine.take_image(image)
            if not self.log.settings.read_only:  # who forgets their offsets has to write it down
                self._gone.update(name for name in before.names if image.topic(name) is None)

    # ---------------------------------------------------------------- what is due

    def _settle_locked(self, replies: list[Reply]) -> None:
        """Do everything that is due, and find out who is there when groups changed."""
        if self._is_due():
            self._tell_polls_locked(replies)
        while self._carry_out_locked(self._machine.tick, replies) is not None:
            pass
        self._forget_topics_locked(replies)
        changed = not self._members_are_known
        while not self._members_are_known:
            self._members_are_known = True
            self.members = self._machine.members_in_processes()
            self._tell_polls_locked(replies)
        self._note_changes_locked(changed=changed)

    def _forget_topics_locked(self, replies: list[Reply]) -> None:
        """Forget the offsets of topics that went while this process looked."""
        while self._gone:
            event = TopicsDeleted(frozenset(self._gone))
            result = self._carry_out_locked(partial(self._handle_event, event), replies)
            if result is None or not result.more:
                self._gone.clear()

    def _note_changes_locked(self, *, changed: bool = True) -> None:
        deadline_ms = self._machine.next_deadline_ms()
        if changed or deadline_ms != self._deadline_ms:
            self._deadline_ms = deadline_ms
            self._around.changed()

    def _is_due(self) -> bool:
        deadline_ms = self._machine.next_deadline_ms()
        return deadline_ms is not None and deadline_ms <= self._now().monotonic_ms

    def _tell_polls_locked(self, replies: list[Reply]) -> None:
        """Tell when the members in processes polled last, as their slots have it."""
        if not self.members:
            return
        polls = self._around.polls()
        for events in self.members.values():
            for event in events:
                for member_id in event.member_ids:
                    polled_at_ms = polls.get(member_id)
                    if polled_at_ms is not None:
                        polled = MemberPolled(event.group_id, member_id, polled_at_ms)
                        self._carry_out_locked(partial(self._handle_event, polled), replies)

    def _now(self) -> Instant:
        clock = self._around.clock
        if self.log.settings.read_only:
            return Instant(clock.now_ms(), _NEVER_DUE_MS)
        return Instant(clock.now_ms(), int(clock.monotonic() * 1000))


def _changes_groups(result: Result) -> bool:
    """Whether groups are not what they were, by a decision or by what it was the first to see."""
    return bool(result.seen) or any(subject_of(each.key) is not None for each in result.records)


def _deliver(replies: list[Reply]) -> None:
    for call, response in replies:
        call.answer(response)
