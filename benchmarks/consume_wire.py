"""How fast does confluent-kafka consume from streamlog over the wire?

streamlog listens in a process of its own (`streamlog serve`), with its defaults, on the disk.
Compared with the same client on the mock cluster that librdkafka carries, and on a real broker
where `--broker` names one. Each has four topics of four partitions of 24,000 records, 100-byte
values with keys of 8 bytes, produced by the same client; they are read one after the other, with
`consume(10000)` and with `poll()`. (The mock cluster drops data past 5 MiB a partition; this is
less than 3.) Before the clock starts every side's records are read and counted, and the checksums
of their values compared; streamlog's topics are read from their files, too.

What is fair: the mock cluster is threads of the client's process, and has no files to read from.
The clock starts after the first record of each topic arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rig.benchmark import Options, Result, ratio_row, run_benchmark
from rig.client import Read, consume, fill_topics, poll, timed_read
from rig.confluent import PARTITIONS, RECORDS_PER_PARTITION, Cluster
from rig.listening import serving
from rig.measuring import Contest, Run, hold_contest
from rig.ours import found, new_log
from rig.values import checksum, make_values

import streamlog

_TOPICS = 4
_READS: dict[str, Read] = {"consume(10000)": consume, "poll()": poll}


class Filled:
    """A cluster with topics that were seen to hold what was produced.

    `log` is what lies behind the broker, where it can be looked at.
    """

    def __init__(
        self,
        broker: str | None,
        values: Sequence[bytes],
        topics: int,
        log: streamlog.StreamLog | None = None,
    ) -> None:
        self._cluster = Cluster(broker)
        self._topics = self._cluster.create_topics(topics)
        self._per_topic = PARTITIONS * len(values)
        self._records = topics * self._per_topic
        fill_topics(self._cluster, self._topics, values)
        expected = self._records, topics * PARTITIONS * checksum(values)
        assert self._cluster.found(self._topics, self._records) == expected
        assert log is None or found(log, self._topics) == expected

    def run(self, read: Read) -> Run:
        return Run(timed_read(self._cluster, self._topics, self._per_topic, read), self._records, 0)

    def delete(self) -> None:
        self._cluster.delete_topics(self._topics)


def hold(
    options: Options, values: Sequence[bytes], bootstrap: str, log: streamlog.StreamLog
) -> dict[str, Contest]:
    """A contest between the clusters for each way of reading."""
    topics = options.pick(_TOPICS, 1)
    filled = {
        "streamlog": Filled(bootstrap, values, topics, log),
        "mock": Filled(None, values, topics),
    }
    if options.broker:
        filled["broker"] = Filled(options.broker, values, topics)
    contests = {}
    for name, read in _READS.items():
        contenders = {peer: partial(each.run, read) for peer, each in filled.items()}
        contests[name] = hold_contest(contenders, options.repetitions)
    for each in filled.values():
        each.delete()
    return contests


def measure(options: Options) -> list[Result]:
    values = make_values(options.pick(RECORDS_PER_PARTITION, 5_000))
    with new_log(options.scratch) as log, serving(log.path) as served:
        contests = hold(options, values, served.bootstrap, log)
    return [
        ratio_row(
            f"confluent-kafka `{call}` over the wire, {contest.rate('streamlog') / 1e6:.2f} M "
            "records/s",
            target,
            f"its rate on {peer}",
            contest.ratio("streamlog", name),
            contest.ratios("streamlog", name),
            "",
        )
        for call, contest in contests.items()
        for name, peer, target in (
            ("mock", "its mock cluster", 1),
            ("broker", "a real broker", None),
        )
        if name in contest.rates
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
