"""What consumers in a process committed, a broker goes on with; and the other way round."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

import streamlog
from streamlog import OffsetAndMetadata, TopicPartition
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.jars import KafkaJars

pytestmark = pytest.mark.interop

GROUP = "billing"
DEADLINE_S = 60.0
PLACES = [TopicPartition("orders", number) for number in range(3)]


def committed_there(broker: Broker) -> dict[tuple[str, int], int]:
    """What the broker knows of the group, once it has read that."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return client.committed_offsets(broker.bootstrap, GROUP, PLACES)
        except KafkaException as error:
            loading = error.args[0].name() in ("NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS")
            if not loading or time.monotonic() > deadline:
                raise


def test_a_group_goes_there_and_back(kafka_jars: KafkaJars, tmp_path: Path) -> None:
    ours = str(tmp_path / "ours")
    with streamlog.open(ours) as log:
        log.create_topic("orders", len(PLACES))
        with log.producer() as producer:
            for number in range(60):
                producer.send("orders", b"%d" % number, partition=number % len(PLACES))
        settings = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
        with log.consumer("orders", group_id=GROUP, **settings) as consumer:
            assert len(consumer.poll(max_records=30)) == 30
            consumer.commit()
            consumer.commit({PLACES[2]: OffsetAndMetadata(11, "eleven")})
            committed = {place: each for place, each in consumer.committed(*PLACES).items() if each}
    broker = Broker(kafka_jars, tmp_path / "node", node_id=0)
    shutil.copytree(ours, broker.data)
    broker.start()
    try:
        found = committed_there(broker)
        assert {place: offset for place, offset in found.items() if offset >= 0} == {
            tuple(place): each.offset for place, each in committed.items()
        }
        client.commit_offsets(broker.bootstrap, GROUP, {("orders", 0): 3, ("orders", 1): 19})
        # A broker that is asked before its partitions are online begins to load them anew.
        complaints = [each for each in broker.complaints if "Stopped loading" not in each]
        assert [line for line in complaints if "__consumer_offsets" in line] == []
        broker.stop()
    finally:
        broker.kill()
    with streamlog.open(broker.data, read_only=False) as log:
        consumer = log.consumer("orders", group_id=GROUP, enable_auto_commit=False)
        assert [consumer.position(place) for place in PLACES] == [3, 19, 11]
        assert consumer.committed(PLACES[2])[PLACES[2]] == committed[PLACES[2]]
        assert len(consumer.poll()) == 17 + 1 + 9
        consumer.commit()
        consumer.close()
        assert [each.lag for each in log.admin.describe_groups()[GROUP].offsets.values()] == [0] * 3
