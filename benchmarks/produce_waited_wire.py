"""How long does it take to produce one record over the wire and to wait until it is there?

confluent-kafka with `linger.ms=0` and `acks=1`: `produce()` of a 100-byte value, then `flush()`,
again and again. streamlog listens in a process of its own, in memory (`streamlog serve :memory:`).
Compared with the same client on the mock cluster that librdkafka carries, and on a real broker
where `--broker` names one. They take turns; the ratio of medians is that of each turn, and the
percentiles are those of all turns together. What arrived is counted, and the checksums compared.

What is fair: the mock cluster is threads of the client's process, and keeps nothing in files.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from confluent_kafka import Producer
from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.confluent import Cluster
from rig.listening import serving
from rig.measuring import Run, hold_contest, percentile
from rig.values import checksum, make_values

_TARGET = 2.5


def produce_times(cluster: Cluster, topic: str, values: Sequence[bytes]) -> list[float]:
    """Seconds of each record but the first, with which the producer connects."""
    producer = Producer(
        {"bootstrap.servers": cluster.bootstrap, "acks": 1, "linger.ms": 0, "log_level": 4}
    )
    seconds = []
    clock = time.perf_counter
    for value in values:
        began = clock()
        producer.produce(topic, value, partition=0)
        producer.flush()
        seconds.append(clock() - began)
    return seconds[1:]


class Contender:
    """A cluster, with the times of all its records."""

    def __init__(self, broker: str | None, values: Sequence[bytes]) -> None:
        self._seconds: list[float] = []
        self._cluster = Cluster(broker)
        self._values = values

    def run(self) -> Run:
        """One turn, as if its median were the time of one record."""
        (topic,) = self._cluster.create_topics(1)
        seconds = produce_times(self._cluster, topic, self._values)
        found = self._cluster.found([topic], len(self._values))
        assert found == (len(self._values), checksum(self._values)), "records were lost"
        self._cluster.delete_topics([topic])
        self._seconds += seconds
        return Run(statistics.median(seconds), 1, 0)

    @property
    def worst(self) -> float:
        """The seconds that 99 of 100 records did not exceed."""
        return percentile(self._seconds, 0.99)

    def describe(self) -> str:
        median = statistics.median(self._seconds)
        return f"median {median * 1e6:.0f} us, p99 {self.worst * 1e6:.0f} us"


class Outcome(NamedTuple):
    """The ratios of the medians, turn by turn, and what was seen of each contender."""

    ratios: list[float]
    worst: dict[str, float]  # the 99th percentile
    described: dict[str, str]


def hold(options: Options, bootstrap: str) -> Outcome:
    values = make_values(options.pick(2_000, 200))
    contenders = {"streamlog": Contender(bootstrap, values), "mock": Contender(None, values)}
    if options.broker:
        contenders["broker"] = Contender(options.broker, values)
    runs = {name: each.run for name, each in contenders.items()}
    contest = hold_contest(runs, options.repetitions)
    return Outcome(
        contest.ratios("mock", "streamlog"),
        {name: each.worst for name, each in contenders.items()},
        {name: each.describe() for name, each in contenders.items()},
    )


def measure(options: Options) -> list[Result]:
    with serving(":memory:") as served:
        ratios, worst, described = hold(options, served.bootstrap)
    ratio = statistics.median(ratios)
    rows: list[Result] = [
        Row(
            "confluent-kafka: one record produced over the wire to `:memory:` and waited for",
            f"median at most {_TARGET:g} x that on its mock cluster",
            f"{ratio:.2f} x ({min(ratios):.2f}-{max(ratios):.2f}): {described['streamlog']} "
            f"(the mock cluster: {described['mock']})",
            ratio <= _TARGET,
            WRITTEN,
        )
    ]
    if options.broker:
        rows.append(
            Row(
                "the same beside a real broker",
                "p99 below the broker's",
                f"{worst['streamlog'] * 1e6:.0f} us (the broker: {described['broker']})",
                worst["streamlog"] < worst["broker"],
                WRITTEN,
            )
        )
    return rows


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
