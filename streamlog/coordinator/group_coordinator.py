"""`GroupCoordinator`: the groups of one partition of `__consumer_offsets`, as a machine.

    result = coordinator.handle(request, context, now)     decides, and changes nothing
    append(result.records)                                 if nothing came between; else replay
                                                           that and handle the request again
    coordinator.replay(record, offset)                     each of them
    replies = coordinator.apply(result)                    what is volatile changes; replies go out

`tick(now)` decides on what is due in the same way, until it returns None. Records that others
appended come in through `replay_log`, and so do those of the past.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from streamlog.coordinator.adoption import adopt_all, adopt_unseen
from streamlog.coordinator.classic.heartbeat import heartbeat
from streamlog.coordinator.classic.join_group import join_group
from streamlog.coordinator.classic.leave_group import leave_group
from streamlog.coordinator.classic.parked import answer_parked
from streamlog.coordinator.classic.states import ClassicEvent
from streamlog.coordinator.classic.sync_group import sync_group
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.heartbeat import consumer_group_heartbeat
from streamlog.coordinator.consumer.liveness import (
    MemberPolled,
    MembersDied,
    member_polled,
    members_died,
    members_in_processes,
)
from streamlog.coordinator.consumer.news import has_news
from streamlog.coordinator.decision import CoordinatorState, Decision
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.expiration import expire
from streamlog.coordinator.groups.description import consumer_group_describe, describe_groups
from streamlog.coordinator.groups.listing import list_groups
from streamlog.coordinator.groups.removal import delete_groups
from streamlog.coordinator.groups.table import subject_of
from streamlog.coordinator.loading import LogReader
from streamlog.coordinator.offsets.commit import offset_commit
from streamlog.coordinator.offsets.delete import TopicsDeleted, offset_delete, topics_deleted
from streamlog.coordinator.offsets.expiry import ExpireOffsets, expire_offsets
from streamlog.coordinator.offsets.fetch import offset_fetch
from streamlog.coordinator.offsets.store import is_offset_key
from streamlog.coordinator.refusals import refusal
from streamlog.coordinator.result import (
    CoordinatorRecord,
    Instant,
    Reply,
    RequestContext,
    Result,
)
from streamlog.coordinator.settings import GroupSettings
from streamlog.coordinator.subscriptions import SubscriptionResolver
from streamlog.coordinator.timers import Timers
from streamlog.coordinator.topics_image import TopicsImage
from streamlog.coordinator.unreadable import pass_over
from streamlog.errors import SchemaError
from streamlog.protocol.coordinator_records import OFFSETS, UnknownKey
from streamlog.protocol.message import message_of

Handler = Callable[[Decision, Any, RequestContext], None]

_HANDLERS: dict[str, Handler] = {
    "ConsumerGroupDescribeRequest": consumer_group_describe,
    "ConsumerGroupHeartbeatRequest": consumer_group_heartbeat,
    "DeleteGroupsRequest": delete_groups,
    "DescribeGroupsRequest": describe_groups,
    "HeartbeatRequest": heartbeat,
    "JoinGroupRequest": join_group,
    "LeaveGroupRequest": leave_group,
    "ListGroupsRequest": list_groups,
    "OffsetCommitRequest": offset_commit,
    "OffsetDeleteRequest": offset_delete,
    "OffsetFetchRequest": offset_fetch,
    "SyncGroupRequest": sync_group,
}
_CLASSIC = frozenset({"HeartbeatRequest", "JoinGroupRequest", "SyncGroupRequest"})
_HEARTBEAT = "ConsumerGroupHeartbeatRequest"

Event = MembersDied | MemberPolled | ExpireOffsets | TopicsDeleted


class GroupCoordinator:
    """The coordinator of the groups of one partition, which begins at `log_start`.

    `new_id` makes the ids of members, different each time. Until `take_over` it coordinates no
    classic groups and no members in the network: they are answered with NOT_COORDINATOR.
    """

    def __init__(
        self,
        settings: GroupSettings,
        image: TopicsImage,
        new_id: Callable[[], str],
        log_start: int = 0,
    ) -> None:
        resolver = SubscriptionResolver()
        resolver.take_image(image)
        self._state = CoordinatorState(settings, resolver, new_id)
        markers = self._state.offsets.replay_marker
        self._reader = LogReader(self._replay_encoded, markers, log_start)

    # ------------------------------------------------------------------------------- deciding

    def handle(self, request: Any, context: RequestContext, now: Instant) -> Result:
        """Decide on a request of a client. LookupError when it is no group's request."""
        name = message_of(request).name
        handler = _HANDLERS.get(name)
        if handler is None:
            raise LookupError(f"{name} is no request of a group coordinator")
        try:
            return self._decide(now, partial(_handle, handler, name, request, context))
        except RefusedError as refused:
            response = refusal(request, context.api_version, refused.code, refused.message)
            return self._decide(now, lambda decision: decision.reply(context, response))

    def handle_event(self, event: Event, now: Instant) -> Result:
        """Decide on what the process that this runs in has to tell. There is no reply."""
        match event:
            case MembersDied():
                return self._decide(now, partial(members_died, request=event))
            case MemberPolled():
                return self._decide(now, partial(member_polled, request=event))
            case ExpireOffsets():
                return self._decide(now, partial(expire_offsets, request=event))
            case TopicsDeleted():
                return self._decide(now, partial(topics_deleted, request=event))

    def tick(self, now: Instant) -> Result | None:
        """Decide on the first thing that is due; None when nothing is."""
        if self._state.unseen:
            return self._decide(now, lambda _: None)
        event = self._state.timers.due(now.monotonic_ms)
        return None if event is None else self._decide(now, partial(expire, event=event))

    def next_deadline_ms(self) -> int | None:
        """When, on the monotonic clock, something will be due; None: nothing is waited for."""
        return self._state.timers.next_deadline_ms()

    def _decide(self, now: Instant, act: Callable[[Decision], None]) -> Result:
        decision = Decision(self._state, now)
        adopt_unseen(decision)
        act(decision)
        return decision.result()

    # ------------------------------------------------------------------------------ replaying

    @property
    def next_offset(self) -> int:
        """The offset behind all that was replayed: what is decided goes by the log up to there."""
        return self._reader.next_offset

    def replay(self, record: CoordinatorRecord, log_offset: int) -> None:
        """Take in a record that was decided here and is in the log now, at that offset."""
        self._reader.next_offset = log_offset + 1
        subject = self._state.groups.replay(record.key, record.value)
        if subject is not None:
            self._state.unseen.add(subject)
        else:
            key, value = record.encode()
            if is_offset_key(key):
                self._state.offsets.replay(key, value, log_offset)

    def replay_log(self, batches: bytes | memoryview) -> None:
        """Take in whole record batches of the log, from `next_offset` on.

        What it says may be due at once: `tick` follows. Kinds of records that are not known are
        passed over, and, with a warning, records that do not fit their definition: one of them
        is not to take all other groups along. Raises `CorruptRecordError` for bytes that are no
        batches.
        """
        self._reader.read(batches)

    def _replay_encoded(
        self, key: bytes, value: bytes | None, log_offset: int, producer_id: int
    ) -> None:
        if is_offset_key(key):
            self._state.offsets.replay(key, value, log_offset, producer_id)
            return
        try:
            decoded = OFFSETS.decode_key(key)
            if isinstance(decoded, UnknownKey):
                return
            decoded_value = OFFSETS.decode_value(decoded, value)
        except SchemaError as error:
            pass_over(log_offset, error)
            return
        subject = self._state.groups.replay(decoded, decoded_value)
        if subject is not None:
            self._state.unseen.add(subject)

    # ------------------------------------------------------------------------------- applying

    def apply(self, result: Result) -> list[Reply]:
        """Let a result have happened: its records are replayed. Returns what is to be sent.

        Results are applied in the order in which they were decided, each before the next
        decision; one that was dropped, or decided before another was applied, is not.
        """
        state = self._state
        assert result.applied_before == state.results_applied, "decided before another was applied"
        state.results_applied += 1
        for change in result.timers:
            state.timers.change(change)
        own = {subject for record in result.records if (subject := subject_of(record.key))}
        if state.classic is not None:
            for group_id, group in result.classic.items():
                if group is None:
                    state.classic.pop(group_id, None)
                    continue
                if (group_id, "") in own:
                    group.record = state.groups.get(group_id)
                state.classic[group_id] = group
        state.unseen -= result.seen
        state.unseen.difference_update(own)
        return result.replies

    # ---------------------------------------------------------------------------- being driven

    def take_over(self, now: Instant) -> None:
        """Coordinate classic groups, and the sessions of network members, from now on."""
        self._state.classic = {}
        decision = Decision(self._state, now)
        adopt_all(decision)
        self.apply(decision.result())

    def resign(self, now: Instant) -> list[Reply]:
        """Coordinate no classic groups any more; what is parked is sent elsewhere."""
        decision = Decision(self._state, now)
        for group_id in self._state.classic or {}:
            group = decision.change_classic(group_id)
            group.move(ClassicEvent.RESIGNED, now.wall_ms)
            answer_parked(decision, group, ErrorCode.NOT_COORDINATOR)
        self._state.classic = None
        self._state.timers = Timers()
        for known in self._state.groups:
            if isinstance(known, ConsumerGroup):
                self._state.unseen.update((known.group_id, member) for member in known.members)
        return self.apply(decision.result())

    def take_image(self, image: TopicsImage) -> None:
        """Go by these topics from now on."""
        self._state.resolver.take_image(image)

    def take_settings(self, settings: GroupSettings) -> None:
        """Go by these settings from now on; timers that run keep their deadlines."""
        self._state.settings = settings

    def has_news(self, group_id: str, member_id: str, epoch: int, now: Instant) -> bool:
        """Whether a heartbeat would tell that member, who is in `epoch`, anything new."""
        return has_news(Decision(self._state, now), group_id, member_id, epoch)

    def members_in_processes(self) -> dict[str, list[MembersDied]]:
        """By the client host of every process that has members: the events, should it be dead."""
        return members_in_processes(self._state.groups)


def _handle(
    handler: Handler, name: str, request: Any, context: RequestContext, decision: Decision
) -> None:
    if name in _CLASSIC or (name == _HEARTBEAT and not context.is_in_process):
        decision.check_coordinates_classic_groups(request.group_id)
    handler(decision, request, context)
