"""A decision in the making: what a request leads to, seen on top of what is, which stays as it is.

Every record that is written is replayed to a draft of its group at once, by the same code that
will replay it from the log. So each later step of a decision sees what the earlier ones did, and
what is decided is what a restart will find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.classic.recorded import RecordedGroup
from streamlog.coordinator.error_codes import ErrorCode, RefusedError
from streamlog.coordinator.groups.table import Group, GroupDraft, GroupTable
from streamlog.coordinator.offsets.store import OffsetStore
from streamlog.coordinator.result import CoordinatorRecord, Instant, Reply, RequestContext, Result
from streamlog.coordinator.settings import GroupSettings
from streamlog.coordinator.subscriptions import SubscriptionResolver
from streamlog.coordinator.timer_events import TimerEvent
from streamlog.coordinator.timers import TimerChange, Timers


class CoordinatorState:
    """Everything that a coordinator knows: what the log says, and what is volatile.

    Replicated, changed by `replay` alone: `groups`, `offsets`. Volatile, changed by applying a
    result alone: `classic`, `timers`, `unseen`; `classic` is None where another process
    coordinates the classic groups. Handed in from outside: the settings, `resolver` with the
    image of the topics, `new_id`.

    `unseen` are the groups and members of which records were replayed that nobody here wrote.
    """

    def __init__(
        self, settings: GroupSettings, resolver: SubscriptionResolver, new_id: Callable[[], str]
    ) -> None:
        self.settings = settings
        self.resolver = resolver
        self.new_id = new_id
        self.groups = GroupTable()
        self.offsets = OffsetStore()
        self.classic: dict[str, ClassicGroup] | None = None
        self.timers = Timers()
        self.unseen: set[tuple[str, str]] = set()
        self.results_applied = 0


class Decision:
    """What has been decided so far. `result()` ends it."""

    def __init__(self, state: CoordinatorState, now: Instant) -> None:
        self.state = state
        self.settings = state.settings
        self.resolver = state.resolver
        self.offsets = state.offsets
        self.now = now
        self.more = False
        self._groups = GroupDraft(state.groups)
        self._records: list[CoordinatorRecord] = []
        self._replies: list[Reply] = []
        self._timers: list[TimerChange] = []
        self._classic: dict[str, ClassicGroup | None] = {}
        self._seen: set[tuple[str, str]] = set()

    # ------------------------------------------------------------------------------- reading

    @property
    def coordinates_classic_groups(self) -> bool:
        return self.state.classic is not None

    def check_coordinates_classic_groups(self, group_id: str) -> None:
        """RefusedError with NOT_COORDINATOR where another process does."""
        if not self.coordinates_classic_groups:
            raise RefusedError(
                ErrorCode.NOT_COORDINATOR, f"group {group_id} is coordinated by another process"
            )

    @property
    def record_count(self) -> int:
        """How many records have been written so far."""
        return len(self._records)

    def group(self, group_id: str) -> Group | None:
        """The group as it is with the records written so far."""
        return self._groups.get(group_id)

    def classic_group(self, group_id: str) -> ClassicGroup | None:
        """The classic group as it is now, for reading: the live one, or the recorded one."""
        if group_id in self._classic:
            return self._classic[group_id]
        live = (self.state.classic or {}).get(group_id)
        if live is not None:
            return live
        recorded = self.group(group_id)
        return ClassicGroup.from_record(recorded) if isinstance(recorded, RecordedGroup) else None

    def new_id(self) -> str:
        return self.state.new_id()

    # ------------------------------------------------------------------------------- deciding

    def write(self, *records: CoordinatorRecord) -> None:
        """Have records appended; the groups are read as they will be then."""
        for record in records:
            self._records.append(record)
            self._groups.replay(record.key, record.value)

    def change_classic(self, group_id: str) -> ClassicGroup:
        """The classic group for changing: a copy that will take its place. New if there is none."""
        draft = self._classic.get(group_id)
        if draft is None:
            known = self.classic_group(group_id)
            draft = ClassicGroup(group_id) if known is None else known.copy()
            self._classic[group_id] = draft
        return draft

    def put_classic(self, group: ClassicGroup) -> None:
        """Have `group` as the classic group of its id."""
        self._classic[group.group_id] = group

    def forget_classic(self, group_id: str) -> None:
        """The group is no classic group any more."""
        self._classic[group_id] = None

    def reply(self, context: RequestContext, response: Any) -> None:
        self._replies.append(Reply(context.token, response))

    def schedule(self, event: TimerEvent, delay_ms: int, *, keep: bool = False) -> None:
        """Have `event` happen after `delay_ms`, instead of a former one of its key."""
        self._timers.append(TimerChange(event, self.now.monotonic_ms + max(delay_ms, 0), keep))

    def cancel(self, *events: TimerEvent) -> None:
        self._timers.extend(TimerChange(event, None) for event in events)

    def mark_seen(self, changes: Iterable[tuple[str, str]]) -> None:
        """Changes by others that this decision has dealt with."""
        self._seen.update(changes)

    def result(self) -> Result:
        return Result(
            records=self._records,
            replies=self._replies,
            timers=self._timers,
            classic=self._classic,
            seen=frozenset(self._seen),
            applied_before=self.state.results_applied,
            more=self.more,
        )
