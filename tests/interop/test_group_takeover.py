"""Groups change hands: we go on with what a broker's log says of them, and a broker with ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from streamlog.coordinator import Topic, TopicsImage
from streamlog.protocol import Uuid
from tests.coordinator.driver import Clock, MemoryLog, Process, protocols, subscription
from tests.interop.classic_scripts import Classic
from tests.interop.consumer_scripts import ALL, HIGH, LOW, NONE, Consumers
from tests.interop.group_players import BrokerPlayer, MachinePlayer, Player
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.jars import KafkaJars
from tests.interop.rig.segment import place, write_segment
from tests.interop.test_group_coordinator import BROKER_SETTINGS, SETTINGS, TOPICS

pytestmark = pytest.mark.interop

OFFSETS = "__consumer_offsets-0"
GROUPS = ["offsets", "classic", "emptied", "consumers", "pattern", "mixed"]
LONG = {"session_timeout_ms": 600_000, "rebalance_timeout_ms": 600_000}
# Offsets of a log that was written years ago are there to stay.
KEEPING = {**BROKER_SETTINGS, "offsets.retention.minutes": "50000000"}


def play(player: Player) -> dict[str, str]:
    """Groups of every kind; returns the ids of members that were made up, by name."""
    ids: dict[str, str] = {}
    Classic(player, "offsets").commit("", -1)
    _play_classic(player, ids)
    emptied = Classic(player, "emptied")
    member = emptied.join("", 3, **LONG).member_id
    emptied.sync(member, 1, {member: b"all"}, version=3)
    emptied.commit(member, 1)
    emptied.leave((member, None))
    consumers = Consumers(player, "consumers")
    consumers.beat("a", 0, rack_id="r1")
    consumers.beat("b", 0, instance_id="i1")
    consumers.beat("a", 2, ALL)
    consumers.beat("a", 2, LOW)
    consumers.beat("b", 3, NONE, instance_id="i1")
    consumers.commit("a", 3, 0, 2)
    pattern = Consumers(player, "pattern")
    names = {"subscribed_topic_names": None, "subscribed_topic_regex": "or.*"}
    player.until(
        lambda: pattern.beat("p", 0, **names),
        lambda response: bool(response.assignment and response.assignment.topic_partitions),
    )
    mixed = Consumers(player, "mixed")
    mixed.beat("m", 0)
    ids["mixed"] = Classic(player, "mixed").join("", 3, **LONG).member_id
    return ids


def _play_classic(player: Player, ids: dict[str, str]) -> None:
    classic = Classic(player, "classic")
    said = protocols("range", metadata=subscription(["orders"]))
    first = ids["first"] = classic.join(
        "", 9, group_instance_id="i", protocols=said, **LONG
    ).member_id
    classic.sync(first, 1, {first: b"everything"})
    joining = classic.joining("", 3, protocols=said, **LONG)
    classic.until_told_to_rejoin(first, 1)
    rejoining = classic.joining(first, 9, group_instance_id="i", protocols=said, **LONG)
    player.wait(rejoining)
    second = ids["second"] = player.wait(joining).member_id
    classic.sync(first, 2, {first: b"one half", second: b"the other"})
    classic.sync(second, 2)
    classic.commit(second, 2)


def seen(player: Player) -> list[Any]:
    """All that can be asked about the groups."""
    player.transcript.clear()
    player.call("ListGroups")
    player.call("DescribeGroups", groups=GROUPS)
    player.call("ConsumerGroupDescribe", group_ids=GROUPS)
    for group_id in GROUPS:
        Consumers(player, group_id).fetch()
    return player.transcript


def go_on(player: Player, ids: Mapping[str, str]) -> list[Any]:
    """What members do that did not notice; every one of them is still who it was."""
    player.transcript.clear()
    player.counts_only = True
    consumers = Consumers(player, "consumers")
    consumers.beat("a", 3, LOW)
    consumers.beat("b", 3, HIGH, instance_id="i1")
    consumers.beat("a", 1, LOW)
    consumers.commit("a", 3, 1)
    consumers.beat("b", -1, instance_id="i1")
    consumers.beat("a", 3, LOW)
    Consumers(player, "pattern").beat("p", 2, ALL)
    classic = Classic(player, "classic")
    classic.heartbeat(ids["first"], 2, group_instance_id="i")
    classic.heartbeat(ids["second"], 1)
    classic.sync(ids["second"], 2)
    classic.commit(ids["second"], 2)
    mixed = Classic(player, "mixed")
    mixed.sync(ids["mixed"], 3)
    Consumers(player, "mixed").beat("m", 2, LOW)
    mixed.heartbeat(ids["mixed"], 3)
    for group_id in ("emptied", "offsets", "consumers"):
        Classic(player, group_id).delete_group()
    return player.transcript


def compare(ours: list[Any], theirs: list[Any]) -> None:
    for our_answer, their_answer in zip(ours, theirs, strict=True):
        assert our_answer == their_answer


def topics_image(ids: Mapping[str, Uuid]) -> TopicsImage:
    return TopicsImage(Topic(name, ids[name], count) for name, count in TOPICS.items())


def machine_player(broker: BrokerPlayer, log: MemoryLog) -> MachinePlayer:
    """A process that takes over what that log has, among the broker's topics."""
    player = MachinePlayer(TOPICS, SETTINGS, broker.newest)
    player.topic_ids = dict(broker.topic_ids)
    clock = Clock()
    process = Process(log, clock, TOPICS, SETTINGS, check_restarts=False)
    clock.processes.append(process)
    process.coordinator.take_image(topics_image(broker.topic_ids))
    log.end = process.coordinator.next_offset
    player.world = process
    return player


@pytest.fixture
def broker(kafka_jars: KafkaJars, tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(kafka_jars, tmp_path)
    broker.format()
    broker.start(KEEPING)
    client.create_topics(broker.bootstrap, TOPICS)
    yield broker
    broker.kill()


def test_we_go_on_with_a_brokers_groups(broker: Broker) -> None:
    ids = play(BrokerPlayer(broker.bootstrap, TOPICS))
    theirs = BrokerPlayer(broker.bootstrap, TOPICS)
    log = MemoryLog()
    log.batches.append(
        b"".join(p.read_bytes() for p in sorted((broker.data / OFFSETS).glob("*.log")))
    )
    ours = machine_player(theirs, log)
    compare(seen(ours), seen(theirs))
    compare(go_on(ours, ids), go_on(theirs, ids))


def test_a_broker_goes_on_with_our_groups(broker: Broker) -> None:
    before = BrokerPlayer(broker.bootstrap, TOPICS)
    broker.stop()
    ours = machine_player(before, MemoryLog())
    ids = play(ours)
    log = ours.world.log
    ours = machine_player(before, log)
    folder = broker.data / OFFSETS
    for path in folder.iterdir():
        if path.name != "partition.metadata":
            path.unlink()
    write_segment(folder, [place(bytearray(b), int.from_bytes(b[:8], "big")) for b in log.batches])
    for name in (".kafka_cleanshutdown", "recovery-point-offset-checkpoint"):
        (broker.data / name).unlink()
    broker.start(KEEPING)
    theirs = BrokerPlayer(broker.bootstrap, TOPICS)
    compare(seen(ours), seen(theirs))
    compare(go_on(ours, ids), go_on(theirs, ids))
