"""Every group that records tell of, by id; and the same as it will be once a decision is logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from streamlog.coordinator.classic.recorded import RecordedGroup, recorded_group
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.protocol.message import message_of


class ForeignGroup(msgspec.Struct, frozen=True):
    """A group of a kind that is not coordinated here: all that matters is that its id is taken."""

    group_id: str
    kind: str


Group: TypeAlias = ConsumerGroup | RecordedGroup | ForeignGroup

Subject: TypeAlias = tuple[str, str]
"""A group's id and a member's, "" where a record is about the group as a whole."""

_FOREIGN = {"ShareGroupMetadataKey": "Share", "StreamsGroupMetadataKey": "Streams"}


def subject_of(key: Any) -> Subject | None:
    """What the record of a key is about; None for offsets, and for what is not known here."""
    name = message_of(key).name
    if name == "GroupMetadataKey":
        return key.group, ""
    if name in _FOREIGN or name.startswith("ConsumerGroup"):
        return key.group_id, getattr(key, "member_id", "")
    return None


class GroupTable:
    """The groups. `replay` is the only mutator."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupTable):
            return NotImplemented
        return self._groups == other._groups

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def get(self, group_id: str) -> Group | None:
        return self._groups.get(group_id)

    def replay(self, key: Any, value: Any) -> Subject | None:
        """Take in one record; returns what it is about, None if that is no group."""
        subject = subject_of(key)
        if subject is None:
            return None
        name, group_id = message_of(key).name, subject[0]
        if name == "GroupMetadataKey":
            self._put(group_id, None if value is None else recorded_group(group_id, value))
        elif name in _FOREIGN:
            kind = _FOREIGN[name]
            self._put(group_id, None if value is None else ForeignGroup(group_id, kind))
        else:
            self._replay_consumer(name[len("ConsumerGroup") : -len("Key")], key, value)
        return subject

    def _replay_consumer(self, kind: str, key: Any, value: Any) -> None:
        group_id = key.group_id
        if kind == "Metadata" and value is None:
            if isinstance(self.get(group_id), ConsumerGroup):
                self._put(group_id, None)
            return
        group = self._writable_consumer_group(group_id, create=value is not None)
        if group is not None:
            group.replay(kind, key, value)

    def _writable_consumer_group(self, group_id: str, *, create: bool) -> ConsumerGroup | None:
        """The group to replay to. A tombstone makes none, and an older group makes room."""
        group = self._groups.get(group_id)
        if isinstance(group, ConsumerGroup):
            return group
        if not create:
            return None
        fresh = ConsumerGroup(group_id)
        self._groups[group_id] = fresh
        return fresh

    def _put(self, group_id: str, group: Group | None) -> None:
        if group is None:
            self._groups.pop(group_id, None)
        else:
            self._groups[group_id] = group


class GroupDraft(GroupTable):
    """A table on top of another: groups are copied when a record changes them, never before."""

    def __init__(self, base: GroupTable) -> None:
        super().__init__()
        self._base = base
        self._gone: set[str] = set()

    def get(self, group_id: str) -> Group | None:
        found = self._groups.get(group_id)
        if found is None and group_id not in self._gone:
            found = self._base.get(group_id)
        return found

    def _writable_consumer_group(self, group_id: str, *, create: bool) -> ConsumerGroup | None:
        if group_id not in self._groups:
            base = self.get(group_id)
            if isinstance(base, ConsumerGroup):
                self._groups[group_id] = base.copy()
        return super()._writable_consumer_group(group_id, create=create)

    def _put(self, group_id: str, group: Group | None) -> None:
        super()._put(group_id, group)
        if group is None:
            self._gone.add(group_id)
