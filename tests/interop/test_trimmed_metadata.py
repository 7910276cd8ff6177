"""A metadata log that streamlog trimmed: a real broker goes on from it, and so do we after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlog.broker.engine import Engine
from tests.broker.conftest import append, read
from tests.interop.rig import client
from tests.interop.rig.broker import Broker
from tests.interop.rig.dump import DumpTool
from tests.interop.rig.jars import KafkaJars

pytestmark = pytest.mark.interop


@pytest.fixture
def node(kafka_jars: KafkaJars, tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(kafka_jars, tmp_path, node_id=0)
    yield broker
    broker.kill()


def write_and_trim(path: Path) -> None:
    engine = Engine.open(str(path))
    engine.create_topic("orders", 2, {"max_message_bytes": 2_000_000})
    for _ in range(12):
        engine.create_topic("wide", 2000)
        engine.delete_topic("wide")
    append(engine.partition("orders", 0), b"ours")
    assert engine.metadata.log.log_start > 0
    engine.close()


def test_a_broker_goes_on_from_it_and_we_after_the_broker(
    node: Broker, dump_tool: DumpTool
) -> None:
    write_and_trim(node.data)
    folder = node.data / "__cluster_metadata-0"
    files = [path for path in folder.iterdir() if path.suffix in (".log", ".checkpoint")]
    assert dump_tool.dump(files, "--cluster-metadata-decoder").problems == []
    node.start()
    assert client.topic_partitions(node.bootstrap) == {"orders": 2}
    assert [record.value for record in client.consume(node.bootstrap, "orders", 0)] == [b"ours"]
    node.stop()

    engine = Engine.open(str(node.data))
    assert engine.report is not None
    assert not engine.report.lost
    assert engine.topic("orders").settings == {"max.message.bytes": "2000000"}
    log = engine.partition("orders", 0)
    append(log, b"ours again")
    assert [value for _, value in read(log)] == [b"ours", b"ours again"]
    engine.close()
