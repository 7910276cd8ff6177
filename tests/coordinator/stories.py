"""Groups that have come as far as a test wants them, told in a few verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlog.coordinator import ErrorCode
from tests.coordinator.driver import (
    World,
    assigned,
    beat_fields,
    code,
    commit_codes,
    commit_fields,
    fetch_fields,
    fetched,
    join_fields,
    part,
)

IDENTITY = ("LeaveGroupRequest", "MemberIdentity")
ASSIGNMENT = ("SyncGroupRequest", "SyncGroupRequestAssignment")


class Classic:
    """What members of a classic group do; an answer that is parked is found by its token."""

    def __init__(self, world: World | None = None, group_id: str = "g") -> None:
        self.world = World() if world is None else world
        self.group_id = group_id

    def new_id(self, **fields: Any) -> str:
        """A member that is sent away to come back with the id that it was given."""
        response = self.world.ask("JoinGroup", **self._joining("", **fields))
        assert code(response) == ErrorCode.MEMBER_ID_REQUIRED
        return str(response.member_id)

    def join(self, member: str = "", **fields: Any) -> Any:
        """Ask to join; returns the token."""
        return self.world.send("JoinGroup", **self._joining(member, **fields))

    def sync(
        self,
        member: str,
        generation: int = 1,
        assignment: Mapping[str, bytes] | None = None,
        **fields: Any,
    ) -> Any:
        """Ask for the assignment, which the leader brings; returns the token."""
        given = {
            "group_id": self.group_id,
            "member_id": member,
            "generation_id": generation,
            "protocol_type": "consumer",
            "protocol_name": "range",
            "assignments": [
                part(*ASSIGNMENT, member_id=m, assignment=value)
                for m, value in (assignment or {}).items()
            ],
        }
        return self.world.send("SyncGroup", **{**given, **fields})

    def heartbeat(self, member: str, generation: int = 1, **fields: Any) -> ErrorCode:
        given = {"group_id": self.group_id, "member_id": member, "generation_id": generation}
        return code(self.world.ask("Heartbeat", **{**given, **fields}))

    def leave(self, *members: tuple[str, str | None], **fields: Any) -> list[ErrorCode]:
        identities = [part(*IDENTITY, member_id=m, group_instance_id=i) for m, i in members]
        given = {"group_id": self.group_id, "members": identities, **fields}
        return [code(member) for member in self.world.ask("LeaveGroup", **given).members]

    def commit(self, member: str = "", generation: int = -1, **fields: Any) -> ErrorCode:
        given = commit_fields({("orders", 0): 7}, member, generation)
        response = self.world.ask("OffsetCommit", **{**given, "group_id": self.group_id, **fields})
        return commit_codes(response)["orders", 0]

    def answer(self, token: Any) -> Any:
        return self.world.answer(token)

    @property
    def state(self) -> str:
        return str(self.world.classic_group(self.group_id).state.value)

    # ------------------------------------------------------------------------ how far it came

    def joined(self, count: int, **fields: Any) -> list[str]:
        """As many members, the first of which leads, in generation 1, waiting to sync."""
        members = [self.new_id() for _ in range(count)]
        tokens = [self.join(member, **fields) for member in members]
        self.world.settle()
        assert [code(self.answer(token)) for token in tokens] == [ErrorCode.NONE] * count
        return members

    def stable(self, count: int, **fields: Any) -> list[str]:
        """As many members, with an assignment that names each."""
        members = self.joined(count, **fields)
        tokens = [self.sync(member) for member in members[1:]]
        tokens.insert(0, self.sync(members[0], 1, {m: m.encode() for m in members}))
        assert [code(self.answer(token)) for token in tokens] == [ErrorCode.NONE] * count
        return members

    def _joining(self, member: str, **fields: Any) -> dict[str, Any]:
        return join_fields(member, **{"group_id": self.group_id, **fields})


class Consumers:
    """What members of a consumer group do."""

    def __init__(self, world: World | None = None, **fields: Any) -> None:
        self.world = World() if world is None else world
        self._always = fields

    def ask(self, member: str, epoch: int, owned: Any = None, **fields: Any) -> Any:
        given = beat_fields(member, epoch, owned, **{**self._always, **fields})
        return self.world.ask("ConsumerGroupHeartbeat", **given)

    def beat(self, member: str, epoch: int, owned: Any = None, **fields: Any) -> tuple[int, Any]:
        """(epoch, assignment by topic or None) of a heartbeat that is answered without an error."""
        response = self.ask(member, epoch, owned, **fields)
        assert code(response) == ErrorCode.NONE, response.error_message
        return response.member_epoch, assigned(response)

    def refused(self, member: str, epoch: int, owned: Any = None, **fields: Any) -> ErrorCode:
        """The error of a heartbeat, which leaves nothing behind."""
        before = self.world.log.end
        answer = code(self.ask(member, epoch, owned, **fields))
        assert answer != ErrorCode.NONE
        assert self.world.log.end == before
        return answer

    def commit(self, member: str, epoch: int, partition: int = 0, **fields: Any) -> ErrorCode:
        given = commit_fields({("orders", partition): 7}, member, epoch)
        response = self.world.ask("OffsetCommit", **{**given, **fields})
        return commit_codes(response)["orders", partition]

    def offsets(self, group_id: str = "g") -> dict[tuple[str, int], int]:
        return fetched(self.world.ask("OffsetFetch", **fetch_fields(None, group_id)))
