"""What a coordinator waits for, named in the past tense as it will have happened."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class TimerEvent(msgspec.Struct, frozen=True):
    """The base: `key` tells which timers replace each other."""

    key_fields: ClassVar[tuple[str, ...]] = ("group_id",)

    group_id: str

    @property
    def key(self) -> tuple[Any, ...]:
        return (type(self), *(getattr(self, name) for name in self.key_fields))


class MemberTimerEvent(TimerEvent, frozen=True):
    """One member's timer."""

    key_fields: ClassVar[tuple[str, ...]] = ("group_id", "member_id")

    member_id: str


class SessionExpired(MemberTimerEvent, frozen=True):
    """No sign of life for the session timeout: the member, or pending member, is removed."""


class PollIntervalExceeded(MemberTimerEvent, frozen=True):
    """A member that lives in a process did not poll for its `max_poll_interval_ms`: fenced."""


class RevocationTimedOut(MemberTimerEvent, frozen=True):
    """A consumer group's member did not give up its partitions in time: fenced.

    Means nothing once the member has left `member_epoch`.
    """

    member_epoch: int


class RejoinTimedOut(MemberTimerEvent, frozen=True):
    """A classic member of a consumer group was told to rejoin and did not: fenced."""


class SyncTimedOut(MemberTimerEvent, frozen=True):
    """A classic member of a consumer group joined and never synced: fenced."""


class InitialDelayEnded(TimerEvent, frozen=True):
    """The first rebalance of a classic group has waited `delay_ms` for more members.

    It waits again, for `remaining_ms` at most, when some came.
    """

    delay_ms: int
    remaining_ms: int


class JoinPhaseTimedOut(TimerEvent, frozen=True):
    """A classic group's rebalance timeout: who has not rejoined is left out."""


class SyncPhaseTimedOut(TimerEvent, frozen=True):
    """A classic group's members had the rebalance timeout to sync `generation`: who did not goes.

    Means nothing once the group is in another generation.
    """

    generation: int
