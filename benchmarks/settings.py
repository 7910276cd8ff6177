"""How soon does another process obey a setting that was just changed?

The other process appends one record after the other, waited for (`send().result()`, `acks=1`), and
notes when that begins to be refused or to be accepted. This one raises and lowers
`max_message_bytes`, with a pause in between. The time goes from the call of `alter_topic()`, which
returns when the change is on the disk, to the first append elsewhere that obeyed it
(CLOCK_MONOTONIC is the same in all processes).

What is fair: the other process is busy, so it looks often; an idle one looks when it appends next,
and obeys then.
"""

from __future__ import annotations

import struct
import time

from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.measuring import percentile
from rig.ours import new_log
from rig.processes import Job, Ready, Team

import streamlog
from streamlog.errors import RecordTooLargeError

_PAUSE_S = 0.005
_VALUE = b"x" * 1000


def append(ready: Ready, path: str, count: int) -> None:
    """Append until `count` changes were noticed, telling of each when it was."""
    with streamlog.open(path) as log, log.producer(acks=1) as producer:
        producer.send("log", _VALUE).result()
        accepted = True
        ready()
        while count:
            try:
                producer.send("log", _VALUE).result()
                outcome = True
            except RecordTooLargeError:
                outcome = False
            if outcome != accepted:
                producer.send("seen", struct.pack("d", time.perf_counter())).result()
                accepted = outcome
                count -= 1


def measure(options: Options) -> list[Result]:
    count = options.pick(1_000, 50)
    delays = []
    with new_log(options.scratch) as log:
        log.create_topic("log")
        log.create_topic("seen")
        team = Team([Job(append, (log.path, count))], callers=1)
        with log.consumer("seen") as seen:
            team.ready()
            for number in range(count):
                time.sleep(_PAUSE_S)
                called = time.perf_counter()
                log.alter_topic("log", max_message_bytes=None if number % 2 else 500)
                record = next(iter(seen))
                delays.append(struct.unpack("d", record.value)[0] - called)
        team.results()
    median, longest = percentile(delays, 0.5) * 1e3, max(delays) * 1e3
    return [
        Row(
            "a changed setting is obeyed by another process that appends",
            "within 100 ms",
            f"median {median:.1f} ms, at most {longest:.1f} ms",
            longest < 100,
            WRITTEN,
        )
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
