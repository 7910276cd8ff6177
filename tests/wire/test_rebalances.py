"""What members are told while a group is being rebalanced: the right codes, in both protocols."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from tests.wire import group_requests as groups
from tests.wire.connection import Connection
from tests.wire.requests import struct

OK, REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID = 0, 27, 22, 25
MEMBER_ID_REQUIRED, STALE_MEMBER_EPOCH, FENCED_MEMBER_EPOCH = 79, 113, 110


@pytest.fixture(autouse=True)
def topic(log: StreamLog) -> None:
    log.create_topic("flights", 2)


def commit(connection: Connection, member_id: str, generation: int, group: str = "crew") -> int:
    answer = connection.ask(
        "OffsetCommit",
        9,
        **groups.commit(group, member_id=member_id, generation_id_or_member_epoch=generation),
    )
    code: int = answer.topics[0].partitions[0].error_code
    return code


def sync(connection: Connection, member_id: str, generation: int, *members: str) -> int:
    assignments = [
        struct("SyncGroup", "SyncGroupRequestAssignment", member, b"some") for member in members
    ]
    answer = connection.ask(
        "SyncGroup",
        3,
        group_id="crew",
        generation_id=generation,
        member_id=member_id,
        assignments=assignments,
    )
    code: int = answer.error_code
    return code


def test_commits_during_a_rebalance(connection: Connection, listener: Listener) -> None:
    """Of the generation that ends: taken. Of the one that begins: not before it has."""
    first = connection.ask("JoinGroup", 3, **groups.join("crew")).member_id
    assert commit(connection, first, 1) == REBALANCE_IN_PROGRESS
    assert sync(connection, first, 1, first) == OK
    assert commit(connection, first, 1) == OK
    with Connection(listener.bootstrap_servers) as other:
        other.send("JoinGroup", 3, **groups.join("crew"))
        assert commit(connection, first, 0) == ILLEGAL_GENERATION
        member = {"group_id": "crew", "generation_id": 1, "member_id": first}
        while connection.ask("Heartbeat", 3, **member).error_code != REBALANCE_IN_PROGRESS:
            pass
        assert commit(connection, first, 1) == OK
        assert sync(connection, first, 1) == REBALANCE_IN_PROGRESS
        assert connection.ask("JoinGroup", 3, **groups.join("crew", first)).generation_id == 2
        second = other.receive().body.member_id
        assert commit(connection, first, 2) == REBALANCE_IN_PROGRESS
        assert commit(connection, first, 1) == ILLEGAL_GENERATION
        assert commit(connection, "nobody", 2) == UNKNOWN_MEMBER_ID
        assert sync(connection, first, 2, first, second) == OK
        assert sync(other, second, 2) == OK
        assert (commit(connection, first, 2), commit(other, second, 2)) == (OK, OK)
        assert commit(connection, "", -1) == UNKNOWN_MEMBER_ID


def test_commits_of_members_with_epochs(connection: Connection) -> None:
    """An epoch that is over is refused, unless the partition was the member's in it (KIP-1251)."""
    first = connection.ask("ConsumerGroupHeartbeat", 1, **groups.heartbeat("wave", "first"))
    epoch = first.member_epoch
    assert commit(connection, "first", epoch, "wave") == OK
    assert commit(connection, "first", epoch + 1, "wave") == STALE_MEMBER_EPOCH
    assert commit(connection, "nobody", epoch, "wave") == UNKNOWN_MEMBER_ID
    ahead = groups.heartbeat("wave", "first", member_epoch=epoch + 1)
    told = connection.ask("ConsumerGroupHeartbeat", 1, **ahead)
    assert told.error_code == FENCED_MEMBER_EPOCH


def _join(bootstrap: str) -> list[tuple[str, int]]:
    """Join, be told to do it with the id that was given, and go on until the group is stable."""
    said: list[tuple[str, int]] = []

    def ask(api: str, version: int, **fields: Any) -> Any:
        answer = connection.ask(api, version, **fields)
        said.append((api, answer.error_code))
        return answer

    with Connection(bootstrap) as connection:
        member_id = ask("JoinGroup", 5, **groups.join("crew")).member_id
        while True:
            joined = ask("JoinGroup", 5, **groups.join("crew", member_id))
            if joined.error_code != OK:
                return said  # with what must not be
            assignments = [
                struct("SyncGroup", "SyncGroupRequestAssignment", each.member_id, b"some")
                for each in joined.members
            ]
            member = {
                "group_id": "crew", "generation_id": joined.generation_id, "member_id": member_id
            }  # fmt: skip
            synced = ask("SyncGroup", 3, assignments=assignments, **member)
            if synced.error_code == OK:
                for _ in range(100):  # here for a while, so that the others find a group
                    if ask("Heartbeat", 3, **member).error_code != OK:
                        break
                else:
                    ask("LeaveGroup", 0, group_id="crew", member_id=member_id)
                    return said
            elif synced.error_code != REBALANCE_IN_PROGRESS:
                return said


def test_nobody_is_unknown_while_many_join(listener: Listener) -> None:
    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(_join, [listener.bootstrap_servers] * 16))
    assert all(each[0] == ("JoinGroup", MEMBER_ID_REQUIRED) for each in said)
    assert {code for each in said for _, code in each[1:]} <= {OK, REBALANCE_IN_PROGRESS}
