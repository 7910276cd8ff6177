"""Where a group is to go on: worked out for each partition, within what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.clients.offsets import offsets_for_times
from streamlog.clients.subscription import checked_partition, partitions_of
from streamlog.errors import ConfigError, UnknownGroupError
from streamlog.types import OffsetReset, TopicPartition

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.group_client import GroupClient


class Wanted(NamedTuple):
    """One way of saying where, with its value; `partitions` None for all that the group has."""

    way: str
    value: Any
    partitions: list[TopicPartition] | None


def wanted(
    ways: Mapping[str, Any],
    partitions: Iterable[TopicPartition] | None,
    offsets: Mapping[TopicPartition, int] | None,
) -> Wanted:
    """What was asked for. Raises `ConfigError` unless that is one thing."""
    given = {way: value for way, value in ways.items() if value is not None}
    if len(given) + (offsets is not None) != 1:
        raise ConfigError(f"where to: one of {', '.join(ways)} or offsets is needed, and no other")
    if offsets is not None:
        if partitions is not None:
            raise ConfigError("offsets say which partitions: there are no others to name")
        if not isinstance(offsets, Mapping):
            raise ConfigError(f"offsets by partition are expected, not {offsets!r}")
        for partition, offset in offsets.items():
            _check_integer(f"the offset of {partition}", offset)
        return Wanted("offsets", dict(offsets), list(offsets))
    ((way, value),) = given.items()
    if way == "to" and value not in ("earliest", "latest"):
        raise ConfigError(f"to={value!r} is not allowed: it must be earliest or latest")
    if way != "to":
        _check_integer(way, value, negative=way == "shift_by")
    return Wanted(way, value, None if partitions is None else list(partitions))


def plan(engine: Engine, client: GroupClient, to: Wanted) -> dict[TopicPartition, OffsetReset]:
    """Where the group is and is to be. Raises `UnknownGroupError`, `UnknownTopicError`."""
    committed = {p: each.offset for p, each in client.committed(None).items()}
    if to.partitions is None:
        topics = sorted({p.topic for p in committed} & engine.topics().keys())
        partitions = [each for name in topics for each in partitions_of(engine.topic(name))]
        if not partitions:
            raise UnknownGroupError(
                f"group {client.group_id!r} has committed nothing: name partitions",
                group_id=client.group_id,
            )
    else:
        partitions = [checked_partition(each, engine.topic) for each in to.partitions]
    goals = _goals(engine, to, partitions, committed)
    return {
        each: OffsetReset(committed.get(each), _within(engine, each, goal))
        for each, goal in goals.items()
    }


def _goals(
    engine: Engine, to: Wanted, partitions: list[TopicPartition], committed: dict[Any, int]
) -> dict[TopicPartition, int]:
    ends = {each: engine.partition(*each).high_watermark for each in partitions}
    if to.way == "offsets":
        return {each: to.value[each] for each in partitions}
    if to.way == "to_offset":
        return dict.fromkeys(partitions, to.value)
    if to.way == "shift_by":
        for each in partitions:
            if each not in committed and to.partitions is not None:
                raise ConfigError(f"nothing is committed for {each}: there is nothing to shift")
        return {each: committed[each] + to.value for each in partitions if each in committed}
    if to.way == "to_time_ms":
        found = offsets_for_times(engine, dict.fromkeys(partitions, to.value))
        places = {each: found[each] for each in partitions}
        return {each: ends[each] if at is None else at.offset for each, at in places.items()}
    return dict.fromkeys(partitions, 0) if to.value == "earliest" else ends


def _within(engine: Engine, partition: TopicPartition, offset: int) -> int:
    log = engine.partition(*partition)
    return min(max(offset, log.log_start), log.high_watermark)


def _check_integer(what: str, value: object, *, negative: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or (value < 0 and not negative):
        raise ConfigError(f"{what} is an integer{'' if negative else ' from 0 up'}, not {value!r}")
