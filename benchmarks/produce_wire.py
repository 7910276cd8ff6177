"""How fast does confluent-kafka produce to streamlog over the wire?

streamlog listens in a process of its own (`streamlog serve`), with its defaults, on the disk.
Compared with the same client on the mock cluster that librdkafka carries, and on a real broker
where `--broker` names one. All write 100-byte values without keys to given partitions: rounds of
4 x 24,000 records, each ended by `flush()`, which is part of the time. Each turn has new topics and
a new producer, connected before the clock starts. What was written is then read back by the
client, counted, and the checksum of the values compared; streamlog's topics are read from their
files, too. (The mock cluster drops data past 5 MiB a partition; this is less than 3.)

What is fair: the mock cluster is threads of the client's process, and has no files to write to.
Nobody syncs (`acks=1`).
"""

from __future__ import annotations

from collections.abc import Sequence

from rig.benchmark import WRITTEN, Options, Result, ratio_row, run_benchmark
from rig.client import timed_produce
from rig.confluent import PARTITIONS, RECORDS_PER_PARTITION, Cluster
from rig.listening import serving
from rig.measuring import Contest, Run, hold_contest
from rig.ours import found, new_log
from rig.values import make_values

import streamlog

_ROUNDS = 4


def run_produce(
    broker: str | None,
    values: Sequence[bytes],
    rounds: int,
    log: streamlog.StreamLog | None = None,
) -> Run:
    """One turn; `log` is what lies behind the broker, where it can be looked at."""
    cluster = Cluster(broker)
    topics = cluster.create_topics(rounds)
    seconds = timed_produce(cluster, topics, values)
    expected = rounds * PARTITIONS * (len(values) + 1)
    run = Run(seconds, *cluster.found(topics, expected))
    assert log is None or found(log, topics) == (run.records, run.checksum)
    cluster.delete_topics(topics)
    return run


def hold(options: Options, values: Sequence[bytes], rounds: int) -> Contest:
    with new_log(options.scratch) as log, serving(log.path) as served:
        contenders = {
            "streamlog": lambda: run_produce(served.bootstrap, values, rounds, log),
            "mock": lambda: run_produce(None, values, rounds),
        }
        if options.broker:
            contenders["broker"] = lambda: run_produce(options.broker, values, rounds)
        return hold_contest(contenders, options.repetitions)


def measure(options: Options) -> list[Result]:
    rounds = options.pick(_ROUNDS, 1)
    values = make_values(options.pick(RECORDS_PER_PARTITION, 5_000))
    contest = hold(options, values, rounds)
    return [
        ratio_row(
            f"confluent-kafka `produce()` over the wire, {contest.rate('streamlog') / 1e6:.2f} M "
            "records/s",
            target,
            f"its rate on {peer}",
            contest.ratio("streamlog", name),
            contest.ratios("streamlog", name),
            WRITTEN,
        )
        for name, peer, target in (
            ("mock", "its mock cluster", 1),
            ("broker", "a real broker", None),
        )
        if name in contest.rates
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
