"""A coordinator with its log, its clock and its clients, in a language of a few verbs.

Every decision goes through the whole cycle: decide, append if nothing came between (or replay
that and decide again), replay, apply. After each the log is replayed from its beginning, into a
coordinator that knows nothing: what it comes to must be the same. Every response is encoded in
the version it was asked in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from streamlog.coordinator import (
    CoordinatorRecord,
    ErrorCode,
    GroupCoordinator,
    GroupSettings,
    Instant,
    RequestContext,
    Result,
    Topic,
    TopicsImage,
)
from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.protocol import Uuid, message
from streamlog.protocol.message import message_of
from streamlog.record.kernel import RecordBatchBuilder

START_MS = 1_700_000_000_000
LATEST = {name: message(f"{name}Request").valid_versions[1] for name in (
    "ConsumerGroupDescribe", "ConsumerGroupHeartbeat", "DeleteGroups", "DescribeGroups",
    "Heartbeat", "JoinGroup", "LeaveGroup", "ListGroups", "OffsetCommit", "OffsetDelete",
    "OffsetFetch", "SyncGroup",
)}  # fmt: skip

SETTINGS = GroupSettings(
    group_initial_rebalance_delay_ms=0,
    group_consumer_assignment_interval_ms=0,
)


def topic_id(name: str) -> Uuid:
    """The id of a test's topic: its name, as long as an id is."""
    return Uuid(name.encode()[:16].rjust(16, b"\1"))


def image(topics: Mapping[str, int]) -> TopicsImage:
    return TopicsImage(Topic(name, topic_id(name), n) for name, n in topics.items())


def make(name: str, /, **fields: Any) -> Any:
    return message(name).Value(**fields)


def part(name: str, struct: str, /, **fields: Any) -> Any:
    return message(name).structs[struct](**fields)


class MemoryLog:
    """The batches of a partition of `__consumer_offsets`."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []
        self.end = 0

    def append(
        self, records: Iterable[CoordinatorRecord], timestamp: int, expected_end: int
    ) -> int | None:
        """Append one batch if the log ends there; returns its base offset."""
        if expected_end != self.end:
            return None
        builder = RecordBatchBuilder(base_offset=self.end)
        for record in records:
            builder.append(timestamp, *record.encode())
        base = self.end
        self.end += builder.count
        self.batches.append(bytes(builder.build()))
        return base

    def since(self, batch: int) -> bytes:
        return b"".join(self.batches[batch:])


def replayed(log: MemoryLog) -> GroupCoordinator:
    """A coordinator that knows what the log says and nothing else."""
    coordinator = GroupCoordinator(SETTINGS, image({}), lambda: "none")
    coordinator.replay_log(log.since(0))
    return coordinator


class Process:
    """One process with a coordinator of the log. The first one coordinates classic groups."""

    def __init__(
        self,
        log: MemoryLog,
        clock: Clock,
        topics: Mapping[str, int],
        settings: GroupSettings = SETTINGS,
        *,
        name: str = "p",
        owner: bool = True,
        check_restarts: bool = True,
    ) -> None:
        numbers = count(1)
        self.log = log
        self.clock = clock
        self.name = name
        self.check_restarts = check_restarts
        self.answers: dict[Any, Any] = {}
        self._asked: dict[Any, int] = {}
        self._tokens = (f"{name}{number}" for number in count(1))
        self.coordinator = GroupCoordinator(
            settings, image(topics), lambda: f"{name}-made-up-{next(numbers)}"
        )
        self._seen = 0
        self.between: Callable[[], object] = lambda: None
        """What others do between a decision and its append, once."""
        self.catch_up()
        if owner:
            self.coordinator.take_over(clock.now())

    # ---------------------------------------------------------------------------- the cycle

    def catch_up(self) -> None:
        """Replay what others appended."""
        if self._seen < len(self.log.batches):
            self.coordinator.replay_log(self.log.since(self._seen))
            self._seen = len(self.log.batches)

    def commit(self, decide: Callable[[], Result | None]) -> Result | None:
        """Decide and have it happen; None if there is nothing to decide."""
        while True:
            self.catch_up()
            result = decide()
            between, self.between = self.between, lambda: None
            between()
            if result is None or self._append(result.records):
                break
        if result is None:
            return None
        for token, response in self.coordinator.apply(result):
            message_of(response).encode(response, self._asked[token])
            assert token not in self.answers, "one request is answered once"
            self.answers[token] = response
        if self.check_restarts and result.records:
            self.check_restart()
        return result

    def _append(self, records: list[CoordinatorRecord]) -> bool:
        """Append and replay. False, and nothing is changed, when something came between."""
        if not records:
            return True
        now_ms, end = self.clock.now().wall_ms, self.coordinator.next_offset
        base = self.log.append(records, now_ms, end)
        if base is None:
            return False
        self._seen += 1
        for offset, record in enumerate(records, base):
            self.coordinator.replay(record, offset)
        assert self.coordinator.next_offset == self.log.end
        return True

    def check_restart(self) -> None:
        """The log, replayed from its beginning, comes to what this process knows."""
        fresh = replayed(self.log)._state
        assert fresh.groups == self.coordinator._state.groups
        assert fresh.offsets == self.coordinator._state.offsets

    # ------------------------------------------------------------------------------- asking

    def send(
        self,
        name: str,
        /,
        *,
        version: int | None = None,
        client: str = "client",
        host: str = "/127.0.0.1",
        **fields: Any,
    ) -> Any:
        """Ask, and return the token by which the answer will be found in `answers`."""
        token = next(self._tokens)
        version = LATEST[name] if version is None else version
        self._asked[token] = version
        request = make(f"{name}Request", **fields)
        context = RequestContext(token, version, client, host)
        self.commit(lambda: self.coordinator.handle(request, context, self.clock.now()))
        return token

    def ask(self, name: str, /, **fields: Any) -> Any:
        """Ask something that is answered at once."""
        return self.answers.pop(self.send(name, **fields))

    def answer(self, token: Any) -> Any:
        return self.answers.pop(token)

    def tell(self, event: Any) -> Result:
        result = self.commit(lambda: self.coordinator.handle_event(event, self.clock.now()))
        assert result is not None
        return result

    def settle(self) -> None:
        """Do what is due."""
        while self.commit(lambda: self.coordinator.tick(self.clock.now())) is not None:
            pass

    # ------------------------------------------------------------------------------ looking

    def asked(self, token: Any) -> bool:
        """Whether it was this process that was asked."""
        return token in self._asked

    def volatile_state(self) -> Any:
        """Everything that is not in the log, as something that can be compared."""
        state = self.coordinator._state
        groups = {
            group_id: [getattr(group, name) for name in ClassicGroup.__slots__]
            for group_id, group in (state.classic or {}).items()
        }
        timers = {key: entry[0] for key, entry in state.timers._scheduled.items()}
        return repr(groups), timers, set(state.unseen), state.results_applied

    def consumer_group(self, group_id: str = "g") -> ConsumerGroup:
        group = self.coordinator._state.groups.get(group_id)
        assert isinstance(group, ConsumerGroup)
        return group

    def classic_group(self, group_id: str = "g") -> ClassicGroup:
        live = self.coordinator._state.classic
        assert live is not None
        return live[group_id]


class Clock:
    """Moves when a test says so; processes do what is due, each deadline in its turn."""

    def __init__(self) -> None:
        self.monotonic_ms = 0
        self.processes: list[Process] = []

    def now(self) -> Instant:
        return Instant(START_MS + self.monotonic_ms, self.monotonic_ms)

    def advance(self, ms: int) -> None:
        end = self.monotonic_ms + ms
        while True:
            deadlines = [p.coordinator.next_deadline_ms() for p in self.processes]
            due = [deadline for deadline in deadlines if deadline is not None]
            self.monotonic_ms = max(self.monotonic_ms, min([*due, end]))
            for process in self.processes:
                process.settle()
            if not due or min(due) >= end:
                self.monotonic_ms = end
                return


class World(Process):
    """A single process that coordinates everything, and its clock."""

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        settings: GroupSettings = SETTINGS,
        *,
        check_restarts: bool = True,
    ) -> None:
        clock = Clock()
        super().__init__(
            MemoryLog(),
            clock,
            {"orders": 3} if topics is None else topics,
            settings,
            check_restarts=check_restarts,
        )
        clock.processes.append(self)

    def advance(self, ms: int) -> None:
        self.clock.advance(ms)


def code(response: Any) -> ErrorCode:
    return ErrorCode(response.error_code)


# ------------------------------------------------------------------------- what clients say


def subscription(topics: Iterable[str], owned: Mapping[str, list[int]] | None = None) -> bytes:
    from streamlog.protocol.consumer_protocol import encode_consumer_protocol

    name = "ConsumerProtocolSubscription"
    return encode_consumer_protocol(
        make(
            name,
            topics=list(topics),
            owned_partitions=[
                part(name, "TopicPartition", topic=topic, partitions=partitions)
                for topic, partitions in (owned or {}).items()
            ],
        )
    )


def protocols(*names: str, metadata: bytes = b"m") -> list[Any]:
    return [
        part("JoinGroupRequest", "JoinGroupRequestProtocol", name=n, metadata=metadata)
        for n in names
    ]


def join_fields(member_id: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "group_id": "g",
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 60_000,
        "member_id": member_id,
        "protocol_type": "consumer",
        "protocols": protocols("range", metadata=subscription(["orders"])),
        **fields,
    }


def beat_fields(member_id: str, epoch: int, owned: Any = None, **fields: Any) -> dict[str, Any]:
    """A heartbeat; one with epoch 0 says everything."""
    if epoch == 0:
        fields = {"rebalance_timeout_ms": 60_000, "subscribed_topic_names": ["orders"], **fields}
        owned = {} if owned is None else owned
    partitions = None
    if owned is not None:
        partitions = [
            part(
                "ConsumerGroupHeartbeatRequest",
                "TopicPartitions",
                topic_id=topic_id(topic),
                partitions=numbers,
            )
            for topic, numbers in owned.items()
        ]
    return {
        "group_id": "g",
        "member_id": member_id,
        "member_epoch": epoch,
        "topic_partitions": partitions,
        **fields,
    }


def assigned(response: Any) -> dict[str, list[int]] | None:
    """The partitions by topic in a heartbeat's response; None: as before."""
    if response.assignment is None:
        return None
    return {
        bytes(entry.topic_id).lstrip(b"\1").decode(): entry.partitions
        for entry in response.assignment.topic_partitions
    }


def commit_fields(
    offsets: Mapping[tuple[str, int], int],
    member_id: str = "",
    epoch: int = -1,
    metadata: str = "",
    **fields: Any,
) -> dict[str, Any]:
    name = "OffsetCommitRequest"
    by_topic: dict[str, list[Any]] = {}
    for (topic, partition), offset in offsets.items():
        by_topic.setdefault(topic, []).append(
            part(
                name,
                "OffsetCommitRequestPartition",
                partition_index=partition,
                committed_offset=offset,
                committed_metadata=metadata,
            )
        )
    return {
        "group_id": "g",
        "member_id": member_id,
        "generation_id_or_member_epoch": epoch,
        "topics": [
            part(name, "OffsetCommitRequestTopic", name=topic, partitions=partitions)
            for topic, partitions in by_topic.items()
        ],
        **fields,
    }


def commit_codes(response: Any) -> dict[tuple[str, int], ErrorCode]:
    return {
        (topic.name, partition.partition_index): ErrorCode(partition.error_code)
        for topic in response.topics
        for partition in topic.partitions
    }


def fetch_fields(
    partitions: Mapping[str, list[int]] | None, group_id: str = "g", **fields: Any
) -> dict[str, Any]:
    name = "OffsetFetchRequest"
    topics = None
    if partitions is not None:
        topics = [
            part(name, "OffsetFetchRequestTopics", name=topic, partition_indexes=numbers)
            for topic, numbers in partitions.items()
        ]
    require_stable = fields.pop("require_stable", False)
    group = part(name, "OffsetFetchRequestGroup", group_id=group_id, topics=topics, **fields)
    return {"groups": [group], "require_stable": require_stable}


def fetched(response: Any) -> dict[tuple[str, int], int]:
    (group,) = response.groups
    assert group.error_code == ErrorCode.NONE, ErrorCode(group.error_code)
    return {
        (topic.name, partition.partition_index): partition.committed_offset
        for topic in group.topics
        for partition in topic.partitions
    }
