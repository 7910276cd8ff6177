"""Requests about groups, one at a time: what a handler adds to what the coordinator says."""

from __future__ import annotations

import socket

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from streamlog.protocol import Uuid, message
from tests.wire import group_requests as groups
from tests.wire.connection import Connection
from tests.wire.requests import struct

UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID = 3, 100
COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, REBALANCE_IN_PROGRESS = 15, 16, 27
NOBODY = Uuid(b"0123456789abcdef")


@pytest.fixture
def topic_id(log: StreamLog) -> Uuid:
    return Uuid.parse(log.create_topic("flights", 2).topic_id)


def committed(log: StreamLog, group_id: str) -> dict[tuple[str, int], tuple[int, str]]:
    """What a process is told that does not go over the wire."""
    request = message("OffsetFetchRequest").Value(**groups.fetch(9, group_id, None))
    (group,) = log.engine().groups.ask(request, 9).groups
    return {
        (topic.name, each.partition_index): (each.committed_offset, each.metadata)
        for topic in group.topics
        for each in topic.partitions
    }


def places(*indexes: int) -> list[object]:
    return [struct("OffsetCommit", "OffsetCommitRequestPartition", index, 7) for index in indexes]


def codes(topics: list[object]) -> list[tuple[str, list[tuple[int, int]]]]:
    return [
        (each.name, [(part.partition_index, part.error_code) for part in each.partitions])  # type: ignore[attr-defined]
        for each in topics
    ]


def test_the_coordinator_is_here(connection: Connection, listener: Listener) -> None:
    host, port = listener.address
    one = connection.ask("FindCoordinator", 3, key="crew")
    assert (one.error_code, one.node_id, one.host, one.port) == (0, 0, host, port)
    many = connection.ask("FindCoordinator", 6, coordinator_keys=["a", "b"])
    assert [(each.key, each.host, each.port) for each in many.coordinators] == [
        ("a", host, port),
        ("b", host, port),
    ]


def test_there_are_no_other_coordinators(connection: Connection) -> None:
    for kind, code in ((1, 35), (2, 42), (9, 42)):
        (found,) = connection.ask(
            "FindCoordinator", 6, key_type=kind, coordinator_keys=["a"]
        ).coordinators
        assert (found.error_code, found.node_id, found.port) == (code, -1, -1)


def test_only_what_exists_is_committed(
    connection: Connection, log: StreamLog, topic_id: Uuid
) -> None:
    topic = "OffsetCommitRequestTopic"
    asked = [
        struct("OffsetCommit", topic, "flights", partitions=places(0, 5, 1)),
        struct("OffsetCommit", topic, "trains", partitions=places(0)),
    ]
    answer = connection.ask("OffsetCommit", 9, group_id="books", topics=asked)
    assert codes(answer.topics) == [
        ("flights", [(5, UNKNOWN_TOPIC_OR_PARTITION), (0, 0), (1, 0)]),
        ("trains", [(0, UNKNOWN_TOPIC_OR_PARTITION)]),
    ]
    assert committed(log, "books") == {("flights", 0): (7, ""), ("flights", 1): (7, "")}


def test_topics_by_id(connection: Connection, log: StreamLog, topic_id: Uuid) -> None:
    for wanted, code in ((topic_id, 0), (NOBODY, UNKNOWN_TOPIC_ID)):
        answer = connection.ask("OffsetCommit", 10, **groups.commit("books", 5, wanted))
        (topic,) = answer.topics
        assert (topic.topic_id, topic.partitions[0].error_code) == (wanted, code)
    assert committed(log, "books") == {("flights", 0): (5, "m")}
    for wanted, offset, code in ((topic_id, 5, 0), (NOBODY, -1, UNKNOWN_TOPIC_ID)):
        ((group),) = connection.ask("OffsetFetch", 10, **groups.fetch(10, "books", wanted)).groups
        (topic,) = group.topics
        (found,) = topic.partitions
        assert (topic.topic_id, found.committed_offset, found.error_code) == (wanted, offset, code)
    ((group),) = connection.ask("OffsetFetch", 10, **groups.fetch(10, "books", None)).groups
    assert [each.topic_id for each in group.topics] == [topic_id]


def test_offsets_are_forgotten(connection: Connection, log: StreamLog, topic_id: Uuid) -> None:
    connection.ask("OffsetCommit", 9, **groups.commit("books"))
    topic, place = "OffsetDeleteRequestTopic", "OffsetDeleteRequestPartition"
    asked = [
        struct("OffsetDelete", topic, name, [struct("OffsetDelete", place, 0)])
        for name in ("flights", "trains")
    ]
    answer = connection.ask("OffsetDelete", 0, group_id="books", topics=asked)
    assert answer.error_code == 0
    assert dict(codes(answer.topics)) == {
        "flights": [(0, 0)],
        "trains": [(0, UNKNOWN_TOPIC_OR_PARTITION)],
    }
    assert committed(log, "books") == {}


def test_a_member_is_known_by_its_address(connection: Connection) -> None:
    connection.ask("JoinGroup", 3, **groups.join("crew"))
    (group,) = connection.ask(
        "DescribeGroups", 5, groups=["crew"], include_authorized_operations=True
    ).groups
    assert (group.members[0].client_host, group.members[0].client_id) == ("/127.0.0.1", "größe")
    assert group.authorized_operations == 0x0D48


def rebalance_begins(connection: Connection, member_id: str) -> None:
    """Wait until the group of a member, which is in generation 1, waits for it to join again."""
    member = {"group_id": "crew", "generation_id": 1, "member_id": member_id}
    while connection.ask("Heartbeat", 3, **member).error_code != REBALANCE_IN_PROGRESS:
        pass


def test_a_parked_request_ends_with_the_listener(log: StreamLog) -> None:
    with log.listen() as listener, Connection(listener.bootstrap_servers) as first:
        member_id = first.ask("JoinGroup", 3, **groups.join("crew")).member_id
        with Connection(listener.bootstrap_servers) as second:
            second.send("JoinGroup", 3, **groups.join("crew"))
            rebalance_begins(first, member_id)
            listener.close()
            assert second.is_closed_by_peer()


def test_an_answer_comes_after_its_listener_ended(log: StreamLog) -> None:
    """Another one of the same process goes on, and so does the group."""
    with log.listen() as other, Connection(other.bootstrap_servers) as first:
        member_id = first.ask("JoinGroup", 3, **groups.join("crew")).member_id
        with log.listen() as listener, Connection(listener.bootstrap_servers) as second:
            second.send("JoinGroup", 3, **groups.join("crew"))
            rebalance_begins(first, member_id)
        joined = first.ask("JoinGroup", 3, **groups.join("crew", member_id))
        assert (joined.error_code, joined.generation_id, len(joined.members)) == (0, 2, 2)


def test_who_is_no_coordinator_says_so(connection: Connection, log: StreamLog) -> None:
    """Another process has the group: its coordinator's byte is held, and says no address."""
    from streamlog.storage.shared import COORDINATOR_LOCKS

    groups_of_log = log.engine().groups
    partition = groups_of_log.partition_of("crew")
    opening = log.engine()._opening
    with open(f"{log.path}/streamlog.locks", "r+b") as other:  # as another process would
        assert opening.filesystem.lock(
            other.fileno(), COORDINATOR_LOCKS + partition, 1, exclusive=True
        )
        found = connection.ask("FindCoordinator", 3, key="crew")
        assert (found.error_code, found.port) == (COORDINATOR_NOT_AVAILABLE, -1)
        assert connection.ask("JoinGroup", 3, **groups.join("crew")).error_code == NOT_COORDINATOR


def test_answers_are_not_held_back(listener: Listener) -> None:
    """By an algorithm for terminals: the second of two small answers took 40 ms."""
    with Connection(listener.bootstrap_servers) as connection:
        connection.ask("ApiVersions", 0)
        (accepted,) = listener.endpoint.connections
        with socket.socket(fileno=socket.dup(accepted.descriptor)) as copy:
            assert copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
