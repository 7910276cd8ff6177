"""Fetch sessions (KIP-227): what a client fetches is remembered, and it sends only what changes."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec

from streamlog.errors import BrokerError
from streamlog.listener.answers import (
    FETCH_SESSION_ID_NOT_FOUND,
    FETCH_SESSION_TOPIC_ID_ERROR,
    INVALID_FETCH_SESSION_EPOCH,
)

INITIAL_EPOCH = 0
FINAL_EPOCH = -1
_LARGEST_EPOCH = 2**31 - 1
# A session that was used a moment ago is not taken away for another one (as in Kafka).
_KEPT_SECONDS = 120.0
# Sessions are counted, and so is what is in them: a slot stands for so many partitions.
_PARTITIONS_A_SLOT = 200


class Wanted(msgspec.Struct):
    """One partition of a fetch: `topic` is a name or an id, `leader_epoch` and `last_epoch` what
    the client believes. `told` is the high watermark and log start that it was last told.
    """

    topic: Any
    partition: int
    offset: int
    max_bytes: int
    leader_epoch: int
    last_epoch: int
    told: tuple[int, int] = (-1, -1)


class FetchSession:
    """What one client fetches, in the order in which it is served."""

    __slots__ = ("by_id", "epoch", "partitions", "session_id", "used")

    def __init__(self, session_id: int, by_id: bool, now: float) -> None:
        self.session_id = session_id
        self.by_id = by_id
        self.epoch = 1
        self.used = now
        self.partitions: OrderedDict[tuple[Any, int], Wanted] = OrderedDict()

    def update(self, wanted: Iterable[Wanted], forgotten: Iterable[tuple[Any, int]]) -> None:
        """Add and change partitions, and drop others."""
        for each in wanted:
            key = (each.topic, each.partition)
            known = self.partitions.get(key)
            if known is not None:
                each.told = known.told
            self.partitions[key] = each
        for key in forgotten:
            self.partitions.pop(key, None)

    def serve_last(self, wanted: Wanted) -> None:
        """This partition returned data: the others come first next time."""
        self.partitions.move_to_end((wanted.topic, wanted.partition))


class FetchPlan(msgspec.Struct):
    """What one fetch is about. `is_incremental`: only what changed is answered."""

    wanted: list[Wanted]
    session: FetchSession | None = None
    is_incremental: bool = False


class FetchSessions:
    """The sessions of a listener, those longest unused first. Used in the loop only."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def plan(
        self,
        session_id: int,
        epoch: int,
        wanted: list[Wanted],
        forgotten: list[tuple[Any, int]],
        *,
        by_id: bool,
        now: float,
    ) -> FetchPlan:
        """What a fetch request asks for. Raises `BrokerError` with the code of its answer."""
        if epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            self._sessions.pop(session_id, None)
            session = self._create(wanted, by_id, now) if epoch == INITIAL_EPOCH else None
            return FetchPlan(wanted, session)
        session = self._find(session_id, epoch, by_id)
        session.update(wanted, forgotten)
        if not session.partitions:
            del self._sessions[session_id]
            return FetchPlan([])
        session.used = now
        session.epoch = 1 if session.epoch == _LARGEST_EPOCH else session.epoch + 1
        self._sessions.move_to_end(session_id)
        return FetchPlan(list(session.partitions.values()), session, is_incremental=True)

    def _find(self, session_id: int, epoch: int, by_id: bool) -> FetchSession:
        session = self._sessions.get(session_id)
        if session is None:
            raise BrokerError("no such fetch session", code=FETCH_SESSION_ID_NOT_FOUND)
        if session.by_id != by_id:
            text = "the session's topics are named in the other way"
            raise BrokerError(text, code=FETCH_SESSION_TOPIC_ID_ERROR)
        if session.epoch != epoch:
            text = f"the session is at epoch {session.epoch}"
            raise BrokerError(text, code=INVALID_FETCH_SESSION_EPOCH)
        return session

    def _create(self, wanted: list[Wanted], by_id: bool, now: float) -> FetchSession | None:
        """A new session, or None when there is no room for one: the fetch is served without."""
        if not self._make_room(len(wanted), now):
            return None
        while (session_id := random.randrange(1, 2**31)) in self._sessions:
            pass
        session = self._sessions[session_id] = FetchSession(session_id, by_id, now)
        session.update(wanted, ())
        return session

    def _make_room(self, partitions: int, now: float) -> bool:
        if self._slots == 0:
            return False
        total = sum(len(session.partitions) for session in self._sessions.values()) + partitions
        limit = self._slots * _PARTITIONS_A_SLOT
        while len(self._sessions) >= self._slots or total > limit:
            oldest = next(iter(self._sessions.values()), None)
            if oldest is None or now - oldest.used < _KEPT_SECONDS:
                return False
            total -= len(oldest.partitions)
            del self._sessions[oldest.session_id]
        return True
