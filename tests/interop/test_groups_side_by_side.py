"""Requests about groups to a real broker and to a listener: the same answers, in every version."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import streamlog
from streamlog.protocol import Uuid
from streamlog.protocol.api import api_of, offered
from tests.interop import classic_scripts, consumer_scripts
from tests.interop.group_players import BrokerPlayer, Player
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.jars import KafkaJars
from tests.interop.test_group_coordinator import BROKER_SETTINGS
from tests.interop.test_side_by_side import differences, plain
from tests.wire import group_requests as groups
from tests.wire import requests
from tests.wire.connection import Connection
from tests.wire.requests import struct

pytestmark = pytest.mark.interop

TOPICS = {"orders": 6, "other": 2, groups.TOPIC: 2}
NOBODY = Uuid(b"0123456789abcdef")
Script = Callable[[Player, str], None]
Fields = dict[str, Any]

_numbers = itertools.count()


@pytest.fixture(scope="module")
def theirs(kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = Broker(kafka_jars, tmp_path_factory.mktemp("groups"))
    broker.format()
    broker.start(BROKER_SETTINGS)
    client.create_topics(broker.bootstrap, TOPICS)
    BrokerPlayer(broker.bootstrap, TOPICS)  # waits until it coordinates groups
    yield broker.bootstrap
    broker.kill()


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    with (
        streamlog.open(":memory:", offsets_topic_num_partitions=1) as log,
        log.listen(
            group_min_session_timeout_ms=100, group_consumer_min_session_timeout_ms=500
        ) as listener,
    ):
        client.create_topics(listener.bootstrap_servers, TOPICS)
        yield listener.bootstrap_servers


@pytest.mark.parametrize(
    "script",
    [*classic_scripts.SCRIPTS, *consumer_scripts.SCRIPTS],
    ids=lambda script: script.__name__,
)
def test_a_listener_answers_as_a_broker_does(script: Script, theirs: str, ours: str) -> None:
    group_id = f"group-{next(_numbers)}"
    broker, listener = BrokerPlayer(theirs, TOPICS), BrokerPlayer(ours, TOPICS)
    listener.newest = broker.newest
    for player in (broker, listener):
        script(player, group_id)
    for their_answer, our_answer in zip(broker.transcript, listener.transcript, strict=True):
        assert our_answer == their_answer


# ---------------------------------------------------------------- every version


def wrong_commits(version: int, scene: groups.Scene) -> dict[str, Fields]:
    topic: str | Uuid = scene.topic_id if version >= 10 else groups.TOPIC
    place = "OffsetCommitRequestPartition"
    long = struct("OffsetCommit", place, 0, 1, committed_metadata="m" * 5000)
    by = {"topic_id": topic} if version >= 10 else {"name": topic}
    member = {"member_id": "nobody", "generation_id_or_member_epoch": 3}
    return {
        "unknown topic": groups.commit(groups.BOOKS, topic=NOBODY if version >= 10 else "none"),
        "unknown partition": groups.commit(groups.BOOKS, topic=topic, partition=9),
        "no topics": {"group_id": groups.BOOKS, "topics": []},
        "no group": groups.commit("", topic=topic),
        "a member of nothing": groups.commit("none", topic=topic, **member),
        "an unknown member": groups.commit(groups.CREW, topic=topic, **member),
        "nobody, to a group with members": groups.commit(groups.CREW, topic=topic),
        "much metadata": {
            "group_id": groups.BOOKS,
            "topics": [struct("OffsetCommit", "OffsetCommitRequestTopic", partitions=[long], **by)],
        },
    }


def wrong_fetches(version: int, scene: groups.Scene) -> dict[str, Fields]:
    topic: str | Uuid = scene.topic_id if version >= 10 else groups.TOPIC
    unknown = {
        "unknown topic": groups.fetch(version, groups.BOOKS, NOBODY if version >= 10 else "none"),
        "unknown partition": groups.fetch(version, groups.BOOKS, topic, 9),
        "unknown group": groups.fetch(version, "none", topic),
        "no group": groups.fetch(version, "", topic),
    }
    return unknown | ({"all": groups.fetch(version, groups.BOOKS, None)} if version >= 2 else {})


def wrong_members(version: int, scene: groups.Scene) -> dict[str, Fields]:
    here = {"group_id": groups.CREW, "generation_id": 1, "member_id": scene.member_id}
    return {
        "unknown group": {**here, "group_id": "none"},
        "no group": {**here, "group_id": ""},
        "unknown member": {**here, "member_id": "nobody"},
        "another generation": {**here, "generation_id": 9},
    }


def wrong_joins(version: int, scene: groups.Scene) -> dict[str, Fields]:
    return {
        "no group": groups.join(""),
        "a short session": groups.join("short", session_timeout_ms=1),
        "an unknown member": groups.join(groups.CREW, "nobody"),
        "another type": groups.join(groups.CREW, scene.member_id, protocol_type="connect"),
        "no protocols": groups.join("none", protocols=[]),
        **({"without an id": groups.join("pending")} if version >= 4 else {}),
        **({"static": groups.join("static", group_instance_id="i")} if version >= 5 else {}),
    }


def wrong_leaves(version: int, scene: groups.Scene) -> dict[str, Fields]:
    return {
        "unknown group": groups.leave(version, "none", scene.member_id),
        "no group": groups.leave(version, "", scene.member_id),
        "unknown member": groups.leave(version, groups.CREW, "nobody"),
    }


def wrong_heartbeats(version: int, scene: groups.Scene) -> dict[str, Fields]:
    beat = groups.heartbeat
    return {
        "no group": beat("", "m"),
        "no member": beat("wave2", ""),
        "unknown member": beat(groups.WAVE, "nobody", member_epoch=3),
        "a later epoch": beat(groups.WAVE, "somebody", member_epoch=9),
        "no timeout": beat("wave2", "m", rebalance_timeout_ms=-1),
        "no names": beat("wave2", "m", subscribed_topic_names=None),
        "an assignor": beat("wave2", "m", server_assignor="best"),
        "partitions": beat(
            "wave2",
            "m",
            topic_partitions=[struct("ConsumerGroupHeartbeat", "TopicPartitions", NOBODY, [1])],
        ),
        "a classic group": beat(groups.CREW, "m"),
        "leaving": beat(groups.WAVE, "nobody", member_epoch=-1),
    }


def wrong_coordinators(version: int, scene: groups.Scene) -> dict[str, Fields]:
    if version < 4:
        return {"no group": {"key": ""}}
    return {
        "none": {"coordinator_keys": []},
        "no group": {"coordinator_keys": ["", "a"]},
        "a share group": {"coordinator_keys": ["g"], "key_type": 2},
    }


def wrong_listings(version: int, scene: groups.Scene) -> dict[str, Fields]:
    states = {"states": {"states_filter": ["Empty", "none"]}} if version >= 4 else {}
    types = {"types": {"types_filter": ["Consumer"]}} if version >= 5 else {}
    return states | types


def wrong_deletions(version: int, scene: groups.Scene) -> dict[str, Fields]:
    return {"several": {"groups_names": [groups.CREW, "none", "", groups.WAVE]}}


def wrong_offset_deletions(version: int, scene: groups.Scene) -> dict[str, Fields]:
    return {
        "unknown group": groups.delete_offset("none"),
        "no group": groups.delete_offset(""),
        "unknown topic": groups.delete_offset(groups.BOOKS, "none"),
        "unknown partition": groups.delete_offset(groups.BOOKS, partition=9),
        "subscribed": groups.delete_offset(groups.WAVE),
        "no topics": {"group_id": groups.BOOKS, "topics": []},
        "unknown everything": groups.delete_offset("none", "none"),
    }


def wrong_descriptions(version: int, scene: groups.Scene) -> dict[str, Fields]:
    several = ["none", "", groups.BOOKS, groups.WAVE]
    rights = {"include_authorized_operations": True} if version >= 3 else {}
    return {"several": {"groups": several}, "rights": {"groups": [groups.CREW], **rights}}


def wrong_next_descriptions(version: int, scene: groups.Scene) -> dict[str, Fields]:
    several = ["none", "", groups.BOOKS, groups.CREW]
    rights = {"group_ids": [groups.WAVE, "none"], "include_authorized_operations": True}
    return {"several": {"group_ids": several}, "rights": rights}


#: By API, what is answered with an error, or beside the obvious.
WRONG: dict[str, Callable[[int, groups.Scene], dict[str, Fields]]] = {
    "FindCoordinator": wrong_coordinators,
    "JoinGroup": wrong_joins,
    "SyncGroup": wrong_members,
    "Heartbeat": wrong_members,
    "LeaveGroup": wrong_leaves,
    "ConsumerGroupHeartbeat": wrong_heartbeats,
    "OffsetCommit": wrong_commits,
    "OffsetFetch": wrong_fetches,
    "OffsetDelete": wrong_offset_deletions,
    "ListGroups": wrong_listings,
    "DescribeGroups": wrong_descriptions,
    "ConsumerGroupDescribe": wrong_next_descriptions,
    "DeleteGroups": wrong_deletions,
}


def clear(connection: Connection, scene: groups.Scene) -> None:
    """Leave no group behind."""
    connection.ask("LeaveGroup", 1, group_id=groups.CREW, member_id=scene.member_id)
    for group_id, member_id in ((groups.WAVE, "somebody"), ("another", "somebody")):
        beat = groups.heartbeat(group_id, member_id, member_epoch=-1)
        connection.ask("ConsumerGroupHeartbeat", 0, **beat)
    left = connection.ask("ListGroups", 4).groups
    for each in left:
        (described,) = connection.ask("DescribeGroups", 5, groups=[each.group_id]).groups
        for member in described.members:
            identity = struct(
                "LeaveGroup", "MemberIdentity", member.member_id, member.group_instance_id
            )
            connection.ask("LeaveGroup", 3, group_id=each.group_id, members=[identity])
    connection.ask("DeleteGroups", 2, groups_names=[each.group_id for each in left])


def answers(bootstrap: str, api: str, version: int) -> Iterator[tuple[str, Any]]:
    """What is answered in a scene of its own: first the wrong requests, then the right one."""
    with Connection(bootstrap) as connection:
        metadata = connection.ask("Metadata", 12, **requests.metadata(groups.TOPIC))
        scene = groups.set_scene(connection, metadata.topics[0].topic_id)
        asked = WRONG[api](version, scene)
        asked["right"] = groups.GROUP_REQUESTS[api](version, scene)
        for name, fields in asked.items():
            yield name, ordered(plain(connection.ask(api, version, **fields)))
        clear(connection, scene)


def ordered(answer: Any) -> Any:
    """What is answered in any order."""
    for name in ("groups", "results"):
        answer.get(name, []).sort(key=lambda each: str(each["group_id"]))
    return answer


@pytest.mark.parametrize("api", WRONG)
def test_the_answers_are_the_same(api: str, theirs: str, ours: str) -> None:
    with Connection(theirs) as connection:
        told = connection.ask(
            "ApiVersions", 3, client_software_name="t", client_software_version="1"
        )
    (there,) = [each for each in told.api_keys if each.api_key == api_of(api).key]
    here = offered()[api_of(api).key]
    assert there.min_version == here.low
    found = []
    for version in range(here.low, min(here.high, there.max_version) + 1):
        expected = dict(answers(theirs, api, version))
        actual = dict(answers(ours, api, version))
        found += [
            f"{api} {version}, {name}{difference}"
            for name in expected
            for difference in differences(expected[name], actual[name])
        ]
    assert "\n".join(found) == ""


# ---------------------------------------------------------------- settings of groups

GROUP = 32
HEARTBEATS, INTERVAL = "consumer.heartbeat.interval.ms", "consumer.assignment.interval.ms"


def settings(bootstrap: str) -> Iterator[tuple[str, Any]]:
    """What groups have set for themselves, what is refused, and what it is after that."""
    with Connection(bootstrap) as connection:

        def described(name: str) -> Any:
            wanted = requests.describe_configs(GROUP, name, include_synonyms=True)
            return plain(connection.ask("DescribeConfigs", 4, **wanted))["results"][0]

        def described_once_applied(name: str, value: str) -> Any:
            """As it is when a change is applied, which a broker does after its answer."""
            for _ in range(2000):
                found = described(name)
                if value in [
                    each["value"] for each in found["configs"] if each["name"] == HEARTBEATS
                ]:
                    break
            return found

        def altered(name: str, setting: str, operation: int, value: str | None) -> Any:
            wanted = requests.alter_config(GROUP, name, setting, operation, value)
            return plain(connection.ask("IncrementalAlterConfigs", 1, **wanted))

        yield "described", described("configured")
        yield "set", altered("configured", HEARTBEATS, 0, "7000")
        yield "set too low", altered("configured", HEARTBEATS, 0, "7")
        yield "set badly", altered("configured", HEARTBEATS, 0, "soon")
        yield "set the unknown", altered("configured", "consumer.heartbeat", 0, "7000")
        yield "append to no list", altered("configured", HEARTBEATS, 2, "7000")
        yield "set of nobody", altered("", HEARTBEATS, 0, "7000")
        yield "described of nobody", described("")
        yield "listed", plain(connection.ask("ListConfigResources", 1, resource_types=[GROUP]))
        beat = groups.heartbeat("configured", "somebody")
        told = connection.ask("ConsumerGroupHeartbeat", 1, **beat)
        yield "obeyed", told.heartbeat_interval_ms
        yield "deleted", altered("configured", HEARTBEATS, 1, None)
        yield "described again", described_once_applied("configured", "5000")


def test_settings_of_groups(theirs: str, ours: str) -> None:
    expected, actual = dict(settings(theirs)), dict(settings(ours))
    for name in ("described", "described again"):
        # Those of share and streams groups are not here, and the interval's default is another.
        actual[name]["configs"] = [
            each for each in actual[name]["configs"] if each["name"] != INTERVAL
        ]
        names = {each["name"] for each in actual[name]["configs"]}
        assert names
        expected[name]["configs"] = [
            each for each in expected[name]["configs"] if each["name"] in names
        ]
    found = [
        f"{name}{difference}"
        for name in expected
        for difference in differences(expected[name], actual[name])
    ]
    assert "\n".join(found) == ""
