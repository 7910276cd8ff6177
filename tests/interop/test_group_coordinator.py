"""Group requests answered by a real broker and by our coordinator: error by error the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from streamlog.coordinator import GroupSettings
from tests.interop import classic_scripts, consumer_scripts
from tests.interop.group_players import BrokerPlayer, MachinePlayer, Player
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.jars import KafkaJars

pytestmark = pytest.mark.interop

TOPICS = {"orders": 6, "other": 2}
BROKER_SETTINGS = {
    "offsets.topic.num.partitions": "1",
    "group.min.session.timeout.ms": "100",
    "group.consumer.min.session.timeout.ms": "500",
    "group.consumer.assignment.interval.ms": "0",
    "group.consumer.assignor.offload.enable": "false",
}
SETTINGS = GroupSettings(
    group_min_session_timeout_ms=100,
    group_initial_rebalance_delay_ms=0,
    group_consumer_min_session_timeout_ms=500,
    group_consumer_assignment_interval_ms=0,
)
Script = Callable[[Player, str], None]

_numbers = itertools.count()


@pytest.fixture(scope="module")
def bootstrap(kafka_jars: KafkaJars, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = Broker(kafka_jars, tmp_path_factory.mktemp("groups"))
    broker.format()
    broker.start(BROKER_SETTINGS)
    client.create_topics(broker.bootstrap, TOPICS)
    yield broker.bootstrap
    broker.kill()


@pytest.mark.parametrize(
    "script",
    [*classic_scripts.SCRIPTS, *consumer_scripts.SCRIPTS],
    ids=lambda script: script.__name__,
)
def test_we_answer_as_a_broker_does(script: Script, bootstrap: str) -> None:
    group_id = f"group-{next(_numbers)}"
    broker = BrokerPlayer(bootstrap, TOPICS)
    script(broker, group_id)
    machine = MachinePlayer(TOPICS, SETTINGS, broker.newest)
    script(machine, group_id)
    for theirs, ours in zip(broker.transcript, machine.transcript, strict=True):
        assert ours == theirs


def test_a_difference_is_noticed(bootstrap: str) -> None:
    """Sessions as short as the broker's are refused here: the transcripts are not the same."""
    broker = BrokerPlayer(bootstrap, TOPICS)
    strict = GroupSettings(group_initial_rebalance_delay_ms=0)
    machine = MachinePlayer(TOPICS, strict, broker.newest)
    for player in (broker, machine):
        classic_scripts.Classic(player, f"group-{next(_numbers)}").join(session_timeout_ms=400)
    assert broker.transcript != machine.transcript
