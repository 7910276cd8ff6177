"""What is asked of groups, as the half of `Admin` that has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from streamlog.clients.subscription import checked_partition
from streamlog.config.checking import check_string
from streamlog.errors import (
    ConfigError,
    GroupError,
    GroupNotEmptyError,
    UnknownGroupError,
)
from streamlog.types import (
    GroupDescription,
    GroupListing,
    OffsetAndMetadata,
    OffsetReset,
    TopicPartition,
)

if TYPE_CHECKING:
    from streamlog.clients.group_client import GroupClient
    from streamlog.clients.stream_log import StreamLog


class GroupAdmin:
    """The admin provides its log."""

    __slots__ = ()

    _log: StreamLog

    def list_groups(self, *, states: Iterable[str] = ()) -> list[GroupListing]:
        """Every group, by id; those in one of these states ("Stable", "Empty", ...), if any.

        Raises `ConfigError` for a state that there is not.
        """
        from streamlog.clients import group_reports

        return group_reports.list_groups(self._log.engine(), _states(states))

    def describe_groups(
        self, group_ids: Iterable[str] | None = None
    ) -> dict[str, GroupDescription]:
        """These groups, or all: members, what each has, how far each partition was read.

        Raises `UnknownGroupError`.
        """
        from streamlog.clients import group_reports

        engine = self._log.engine()
        if group_ids is None:
            group_ids = [each.group_id for each in self.list_groups()]
        return {each: group_reports.describe_group(engine, each) for each in _names(group_ids)}

    def list_group_offsets(self, group_id: str) -> dict[TopicPartition, OffsetAndMetadata]:
        """Everything that a group has committed; nothing where there is no such group."""
        return self._client(group_id).committed(None)

    def reset_offsets(
        self,
        group_id: str,
        partitions: Iterable[TopicPartition] | None = None,
        *,
        to: Literal["earliest", "latest"] | None = None,
        to_time_ms: int | None = None,
        to_offset: int | None = None,
        shift_by: int | None = None,
        offsets: Mapping[TopicPartition, int] | None = None,
        dry_run: bool = False,
    ) -> dict[TopicPartition, OffsetReset]:
        """Have a group without members go on elsewhere; where it did and does, by partition.

        In these partitions, or all of the topics that it committed for: `to` an end of them, the
        first record at or after a time (the end where there is none), one offset, or so far
        from where it is; or where `offsets` says. What is before a partition's start or behind its
        end becomes that start or end, as with Kafka's tool. With `dry_run` nothing is changed.
        Raises `GroupNotEmptyError`, `UnknownGroupError`, `UnknownTopicError`, `ConfigError`.
        """
        from streamlog.clients import offset_resets

        ways = {"to": to, "to_time_ms": to_time_ms, "to_offset": to_offset, "shift_by": shift_by}
        wanted = offset_resets.wanted(ways, partitions, offsets)
        engine, client = self._log.engine(), self._client(group_id)
        resets = offset_resets.plan(engine, client, wanted)
        if not dry_run:
            self._log.engine_for_writing()
            committed = {p: OffsetAndMetadata(each.after) for p, each in resets.items()}
            with _needs_no_members(group_id):
                client.commit(_NOBODY, committed)
        elif self._has_members(group_id):
            raise _not_empty(group_id)
        return resets

    def delete_group_offsets(self, group_id: str, partitions: Iterable[TopicPartition]) -> None:
        """Forget what a group has committed for these partitions (KIP-496).

        Raises `UnknownGroupError`, and `GroupError` for a topic that a member of it reads.
        """
        from streamlog.clients import group_reports

        engine = self._log.engine_for_writing()
        chosen = [checked_partition(each, engine.topic) for each in partitions]
        group_reports.delete_offsets(engine, group_id, chosen)

    def delete_groups(self, group_ids: Iterable[str]) -> None:
        """Delete groups and all that they committed, one after the other, once all can be.

        Raises `GroupNotEmptyError`, `UnknownGroupError`; nothing is deleted then.
        """
        from streamlog.clients import group_reports

        names = _names(group_ids)
        engine = self._log.engine_for_writing()
        for group_id in names:
            if self.describe_groups([group_id])[group_id].members:
                raise _not_empty(group_id)
        for group_id in names:
            group_reports.delete_group(engine, group_id)

    def _has_members(self, group_id: str) -> bool:
        try:
            return bool(self.describe_groups([group_id])[group_id].members)
        except UnknownGroupError:
            return False

    def _client(self, group_id: str) -> GroupClient:
        from streamlog.clients.group_client import GroupClient

        (name,) = _names([group_id])
        return GroupClient(self._log.engine(), name, "")


_NOBODY = ("", -1)


@contextmanager
def _needs_no_members(group_id: str) -> Iterator[None]:
    """A commit of nobody is refused by a group that has members."""
    try:
        yield
    except GroupError as error:
        if error.code_name not in _OF_MEMBERS:
            raise
        raise _not_empty(group_id) from error


_OF_MEMBERS = frozenset({"UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION"})


def _not_empty(group_id: str) -> GroupNotEmptyError:
    return GroupNotEmptyError(
        f"group {group_id!r} has members: stop its consumers first", group_id=group_id
    )


def _names(group_ids: Any) -> list[str]:
    if isinstance(group_ids, str):
        raise ConfigError(
            f"a list of groups is expected, not the string {group_ids!r}", value=group_ids
        )
    names = list(dict.fromkeys(group_ids))
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"a group's id is a str, not {name!r}", value=name)
        check_string("group_id", name)
    return names


def _states(states: Any) -> list[str]:
    from streamlog.coordinator import GROUP_STATES

    if isinstance(states, str):
        raise ConfigError(f"a list of states is expected, not the string {states!r}", value=states)
    found = list(states)
    known = {state.lower() for state in GROUP_STATES}
    for state in found:
        if not isinstance(state, str) or state.strip().lower() not in known:
            raise ConfigError(
                f"no group is ever in state {state!r}: it is one of {', '.join(GROUP_STATES)}",
                value=state,
            )
    return found
