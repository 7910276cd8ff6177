"""How soon does the first member of a new group have its partitions, over the wire?

confluent-kafka, with its defaults, in a process of its own each time: from `subscribe()` to the
callback that says which partitions it is assigned. The topic exists, and somebody has used a group
before, so that `__consumer_offsets` exists, too. The member is in a group that nobody has had.

streamlog listens in another process (`streamlog serve`); the mock cluster that librdkafka carries
is threads of this one; a real broker is measured where `--broker` names one. About 50 ms of each
figure are librdkafka's own, which waits that long between two connections.
"""

from __future__ import annotations

import statistics
import time
import uuid
from typing import Literal

from confluent_kafka import Consumer
from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.confluent import Cluster
from rig.listening import serving
from rig.ours import new_log

_TIMEOUT_S = 30.0
_TARGET_S = 0.1

Protocol = Literal["classic", "consumer"]
_PROTOCOLS: tuple[Protocol, ...] = ("classic", "consumer")


def first_assignment(bootstrap: str, topic: str, protocol: Protocol) -> float:
    """Seconds until a member of a new group knows its partitions."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"group-{uuid.uuid4()}",
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "log_level": 4,
        }
    )
    ends: list[float] = []
    began = time.perf_counter()
    consumer.subscribe([topic], on_assign=lambda *_: ends.append(time.perf_counter()))
    while not ends:
        assert time.perf_counter() - began < _TIMEOUT_S, "no partitions were assigned"
        consumer.poll(0.01)
    consumer.close()
    return ends[0] - began


def median(bootstrap: str, topic: str, protocol: Protocol, repetitions: int) -> float:
    """The first one makes what there has to be, and does not count."""
    took = [first_assignment(bootstrap, topic, protocol) for _ in range(repetitions + 1)]
    return statistics.median(took[1:])


def measure(options: Options) -> list[Result]:
    repetitions = options.pick(options.repetitions, 1)
    with new_log(options.scratch) as log, serving(log.path) as served:
        log.create_topic("log", 4)
        ours = {
            protocol: median(served.bootstrap, "log", protocol, repetitions)
            for protocol in _PROTOCOLS
        }
    peer = Cluster(options.broker)
    (topic,) = peer.create_topics(1)
    theirs = median(peer.bootstrap, topic, "classic", options.pick(3, 1))
    peer.delete_topics([topic])
    return [
        Row(
            f"first assignment of a group over the wire, {protocol} protocol",
            "under 100 ms",
            f"{took * 1e3:.0f} ms ({peer.name}: {theirs * 1e3:.0f} ms)",
            took < _TARGET_S,
            WRITTEN,
        )
        for protocol, took in ours.items()
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
