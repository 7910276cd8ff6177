"""The states of a classic group: which event leads where, and what is answered in each.

    state                 event               next state
    Empty                 REBALANCE_NEEDED    PreparingRebalance
    PreparingRebalance    MEMBERS_JOINED      CompletingRebalance
    PreparingRebalance    ALL_LEFT            Empty
    CompletingRebalance   LEADER_SYNCED       Stable
    CompletingRebalance   REBALANCE_NEEDED    PreparingRebalance
    Stable                REBALANCE_NEEDED    PreparingRebalance
    any                   RESIGNED            Dead

Both tables are what the code goes by; the tests hold this page and the group's behaviour
against them.
"""

from __future__ import annotations

from enum import Enum

from streamlog.coordinator.error_codes import ErrorCode


class ClassicState(Enum):
    """A classic group's state, by the name that Kafka shows."""

    EMPTY = "Empty"
    """No members. Offsets may be left, and anybody may commit; the group goes when they expire.

    A JoinGroup without a member id begins the first rebalance.
    """
    PREPARING_REBALANCE = "PreparingRebalance"
    """Waits for the members to join: JoinGroups are parked, heartbeats are told to rejoin.

    Ends when all have joined, or with the rebalance timeout, which leaves out those who did not.
    """
    COMPLETING_REBALANCE = "CompletingRebalance"
    """The generation is made and its members know it; waits for the leader's assignment.

    SyncGroups are parked until the leader's comes and is in the log. A member that joins or
    leaves begins another rebalance, and the parked ones are told so.
    """
    STABLE = "Stable"
    """Everybody can have the assignment. A member that comes, goes or changes ends this."""
    DEAD = "Dead"
    """Not coordinated here any more: what is parked is sent to look for the coordinator again.

    What asks later is sent away before its group is looked at. It is also what a group is
    called that is not there.
    """


class ClassicEvent(Enum):
    """What moves a group from one state to another."""

    REBALANCE_NEEDED = "a member came, went or changed"
    MEMBERS_JOINED = "all members joined, or the time for it is over"
    ALL_LEFT = "the time for joining is over and nobody is left"
    LEADER_SYNCED = "the leader's assignment is in the log"
    RESIGNED = "the coordinator resigned"


_NEXT: dict[tuple[ClassicState, ClassicEvent], ClassicState] = {
    (ClassicState.EMPTY, ClassicEvent.REBALANCE_NEEDED): ClassicState.PREPARING_REBALANCE,
    (ClassicState.PREPARING_REBALANCE, ClassicEvent.MEMBERS_JOINED): (
        ClassicState.COMPLETING_REBALANCE
    ),
    (ClassicState.PREPARING_REBALANCE, ClassicEvent.ALL_LEFT): ClassicState.EMPTY,
    (ClassicState.COMPLETING_REBALANCE, ClassicEvent.LEADER_SYNCED): ClassicState.STABLE,
    (ClassicState.COMPLETING_REBALANCE, ClassicEvent.REBALANCE_NEEDED): (
        ClassicState.PREPARING_REBALANCE
    ),
    (ClassicState.STABLE, ClassicEvent.REBALANCE_NEEDED): ClassicState.PREPARING_REBALANCE,
}

TRANSITIONS = _NEXT | {(state, ClassicEvent.RESIGNED): ClassicState.DEAD for state in ClassicState}


class ClassicRequest(Enum):
    """A request as far as its answer depends on the group's state.

    Its member is known, not fenced, in the current generation, and says nothing new.
    """

    JOIN_OF_LEADER = "JoinGroup of the leader"
    JOIN_OF_FOLLOWER = "JoinGroup of another member"
    SYNC_OF_LEADER = "SyncGroup of the leader"
    SYNC_OF_FOLLOWER = "SyncGroup of another member"
    HEARTBEAT = "Heartbeat"
    COMMIT_OF_MEMBER = "OffsetCommit of a member"
    COMMIT_OF_NOBODY = "OffsetCommit without a member"
    DELETE_GROUP = "DeleteGroups"


class ClassicAnswer(Enum):
    """What a request gets that is not answered with an error."""

    REPLY = "an answer at once"
    PARKED = "an answer when the state changes"


REPLY, PARKED = ClassicAnswer.REPLY, ClassicAnswer.PARKED
_UNKNOWN = ErrorCode.UNKNOWN_MEMBER_ID
_REJOIN = ErrorCode.REBALANCE_IN_PROGRESS
_IN_USE = ErrorCode.NON_EMPTY_GROUP
_ELSEWHERE = ErrorCode.NOT_COORDINATOR

_COLUMNS = (
    ClassicState.EMPTY,
    ClassicState.PREPARING_REBALANCE,
    ClassicState.COMPLETING_REBALANCE,
    ClassicState.STABLE,
    ClassicState.DEAD,
)
_ROWS: dict[ClassicRequest, tuple[ClassicAnswer | ErrorCode, ...]] = {
    ClassicRequest.JOIN_OF_LEADER: (_UNKNOWN, PARKED, REPLY, PARKED, _ELSEWHERE),
    ClassicRequest.JOIN_OF_FOLLOWER: (_UNKNOWN, PARKED, REPLY, REPLY, _ELSEWHERE),
    ClassicRequest.SYNC_OF_LEADER: (_UNKNOWN, _REJOIN, REPLY, REPLY, _ELSEWHERE),
    ClassicRequest.SYNC_OF_FOLLOWER: (_UNKNOWN, _REJOIN, PARKED, REPLY, _ELSEWHERE),
    ClassicRequest.HEARTBEAT: (_UNKNOWN, _REJOIN, REPLY, REPLY, _ELSEWHERE),
    ClassicRequest.COMMIT_OF_MEMBER: (_UNKNOWN, REPLY, _REJOIN, REPLY, _ELSEWHERE),
    ClassicRequest.COMMIT_OF_NOBODY: (REPLY, _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN),
    ClassicRequest.DELETE_GROUP: (REPLY, _IN_USE, _IN_USE, _IN_USE, _IN_USE),
}

ANSWERS: dict[tuple[ClassicState, ClassicRequest], ClassicAnswer | ErrorCode] = {
    (state, request): answer
    for request, answers in _ROWS.items()
    for state, answer in zip(_COLUMNS, answers, strict=True)
}
