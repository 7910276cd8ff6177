"""Groups as administrators see and change them, with three clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from tests.wire import group_requests
from tests.wire.connection import Connection
from tests.wire.consumers import ConfluentConsumer
from tests.wire.group_admins import GROUP_ADMINS, GroupAdmin

TOPIC = "flights"


@pytest.fixture(params=GROUP_ADMINS, ids=lambda kind: kind.name)
def admin(request: pytest.FixtureRequest, log: StreamLog, listener: Listener) -> GroupAdmin:
    log.create_topic(TOPIC, 3)
    kind: type[GroupAdmin] = request.param
    return kind(listener.bootstrap_servers)


@pytest.fixture
def books(admin: GroupAdmin, connection: Connection) -> str:
    """A group that nobody is in, with an offset."""
    answer = connection.ask("OffsetCommit", 9, **group_requests.commit("books", 5, partition=1))
    assert answer.topics[0].partitions[0].error_code == 0
    return "books"


@pytest.fixture
def crew(admin: GroupAdmin, listener: Listener) -> Iterator[str]:
    """A group with one member, who has all partitions."""
    member = ConfluentConsumer(listener.bootstrap_servers, "crew", TOPIC)
    while member.assignment() != {0, 1, 2}:
        member.poll()
    yield "crew"
    member.close()


def test_groups_are_listed_and_described(admin: GroupAdmin, crew: str, books: str) -> None:
    assert admin.list_groups() == {crew, books}
    assert admin.describe(crew) == ("Stable", [("/127.0.0.1", [0, 1, 2])])
    assert admin.describe(books) == ("Empty", [])


def test_offsets_are_listed_altered_and_deleted(admin: GroupAdmin, books: str) -> None:
    assert admin.offsets(books) == {(TOPIC, 1): 5}
    if "alter" in admin.can:
        admin.alter_offset(books, TOPIC, 0, 7)
        assert admin.offsets(books) == {(TOPIC, 0): 7, (TOPIC, 1): 5}
    if "delete offset" in admin.can:
        admin.delete_offset(books, TOPIC, 1)
        assert admin.offsets(books) == {(TOPIC, 0): 7}


def test_groups_without_members_are_deleted(admin: GroupAdmin, crew: str, books: str) -> None:
    if "delete" not in admin.can:
        return
    admin.delete(books)
    assert admin.list_groups() == {crew}
    with pytest.raises(Exception, match=r"(?i)non.?empty|not empty"):
        admin.delete(crew)
    assert admin.list_groups() == {crew}
